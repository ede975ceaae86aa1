"""A network's streaming step: one graph for the start, the middle, and the end of a stream."""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from vocoder.errors import ConfigError
from vocoder.export.stream import rules
from vocoder.export.stream.build import Flow, StepBuilder, StepState
from vocoder.streaming.graph import Graph, Operation, parameters, read_graph
from vocoder.streaming.rules.base import Crop, Cumsum, Local, Pad, Rule, Stretch, Windowed
from vocoder.streaming.rules.lookup import find_rule
from vocoder.streaming.rules.overlap import OverlapAdd

_TOLERANCE = 1e-4  # of the peak, between the step and one call


class StreamingStep(NamedTuple):
    """A streaming step of a network, for chunks of `chunk` steps of its inputs.

    F steps of input make F * `rate` + `offset` steps of output. The chunks of output of a stream
    hold them behind `delay` steps without meaning.
    """

    module: fx.GraphModule
    """Inputs, count [1], states → output, next states."""
    inputs: tuple[str, ...]
    states: list[StepState]
    chunk: int
    rate: Fraction
    offset: int
    delay: int

    def total(self, taken: int) -> int:
        """Steps of output that `taken` steps of input make."""
        return int(taken * self.rate) + self.offset

    @torch.inference_mode()
    def stream(self, *inputs: Tensor) -> Tensor:
        """Output of whole inputs, computed chunk by chunk; time is their last axis."""
        taken = inputs[0].shape[-1]
        padded = [F.pad(x, (0, -taken % self.chunk)) for x in inputs]
        states = [torch.zeros(state.shape, dtype=state.dtype) for state in self.states]
        made: list[Tensor] = []
        ready = -self.delay
        while ready < self.total(taken):
            begin = len(made) * self.chunk
            chunks = [x[..., begin : begin + self.chunk] for x in padded]
            count = min(max(taken - begin, 0), self.chunk)
            if not count:
                chunks = [x.new_zeros(*x.shape[:-1], self.chunk) for x in inputs]
            audio, *states = self.module(*chunks, torch.tensor([count]), *states)
            made.append(audio)
            ready += audio.shape[-1]
        return torch.cat(made, -1)[..., self.delay : self.delay + self.total(taken)]


def build_step(
    network: nn.Module, short: Mapping[str, Tensor], long: Mapping[str, Tensor], *, chunk: int
) -> StreamingStep:
    """The streaming step of a network; `short` and `long` are examples as for a `Plan`.

    Raises ConfigError, naming the operation, if one of them cannot stream, or if the stream differs
    from one call.
    """
    graph = read_graph(network, short, long)
    names = tuple(name for name in parameters(network) if name in long)
    step = _assembled(graph, names, chunk, selects=False)
    made = step.stream(*(long[name] for name in names))
    if not torch.isfinite(made).all():  # a source has no period where there is no F0 yet
        step = _assembled(graph, names, chunk, selects=True)
        made = step.stream(*(long[name] for name in names))
    error, peak = (made - graph.output.long).abs().max(), graph.output.long.abs().max()
    if not bool(error <= _TOLERANCE * peak):
        raise ConfigError(f"its streaming step differs from one call by {error / peak:.1e}")
    return step


def _assembled(graph: Graph, names: tuple[str, ...], chunk: int, *, selects: bool) -> StreamingStep:
    b = StepBuilder(chunk, dict(zip(names, graph.inputs, strict=True)), selects=selects)
    assembly = _Assembly(b)
    for signal, flow in zip(graph.inputs, b.inputs, strict=True):
        assembly.flows[signal.index] = flow
    for operation in graph.operations:
        assembly.add(operation)
    output = assembly.flow(graph.output.index)
    return StreamingStep(
        b.finish(output), names, b.states, chunk, output.rate, output.offset, output.delay
    )


class _Assembly:
    """Adds the operations of a graph to a step, one after the other."""

    def __init__(self, builder: StepBuilder) -> None:
        self.builder = builder
        self.flows: dict[int, Flow] = {}
        # Padding is added where it is read: windows of a signal need no padded copy of it.
        self._padded: dict[int, tuple[Operation, rules.EdgePadding]] = {}
        self._held: dict[int, int] = {}

    def add(self, operation: Operation) -> None:
        """Add the next operation."""
        read = [signal.index for signal in operation.inputs]
        rule = find_rule(operation, [self._held.get(index, 0) for index in read])
        made = operation.output.index
        self._held[made] = rule.held_until_flush
        if isinstance(rule, Pad):
            self._padded[made] = operation, rules.padding_of(operation, rule)
        else:
            self.flows[made] = self._added(operation, rule, read)

    def flow(self, index: int) -> Flow:
        """A signal, with its padding."""
        if index not in self.flows:
            operation, padding = self._padded[index]
            source = self.flow(operation.inputs[0].index)
            self.flows[index] = rules.add_pad(self.builder, operation, padding, source)
        return self.flows[index]

    def _added(self, operation: Operation, rule: Rule, read: list[int]) -> Flow:
        b = self.builder
        if isinstance(rule, Local):
            return rules.add_local(b, operation, rule, [self.flow(index) for index in read])
        if isinstance(rule, Windowed | OverlapAdd):
            return self._windows(operation, rule, read[0])
        flow = self.flow(read[0])
        if isinstance(rule, Crop):
            return rules.add_crop(b, operation, rule.left, flow)
        if isinstance(rule, Stretch):
            return rules.add_stretch(b, operation, rule, flow)
        if isinstance(rule, Cumsum):
            return rules.add_cumsum(b, operation, rule, flow)
        raise ConfigError(f"{operation.where} has no streaming step of a fixed size")

    def _windows(self, operation: Operation, rule: Windowed | OverlapAdd, index: int) -> Flow:
        b = self.builder
        padding = None
        if index in self._padded:
            before, padding = self._padded[index]
            source = self.flow(before.inputs[0].index)
            if isinstance(rule, Windowed):
                joined = not rule.padding
            else:
                joined = rules.can_join(rule, padding, source.delay)
            if not joined:
                padding = None
        flow = self.flow(index) if padding is None else source
        if isinstance(rule, Windowed):
            return rules.add_windowed(b, operation, rule, flow, padding)
        return rules.add_overlap_add(b, operation, rule, flow, padding)
