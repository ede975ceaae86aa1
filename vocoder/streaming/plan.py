"""Plans: a module as a stream of its operations, with its look-ahead and latency."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.streaming.chunks import Chunk, Span, State, join
from vocoder.streaming.graph import Graph, parameters, read_graph, steps
from vocoder.streaming.rules.base import Cumsum, Local, Rule
from vocoder.streaming.rules.lookup import find_rule

_INSIDE = 1 << 20  # a step of input far from both ends
_TOLERANCE = 1e-4  # of the peak, between a stream and one call


class _Stage(NamedTuple):
    """One rule, the signals that it reads and writes, and those that no later stage reads."""

    rule: Rule
    inputs: tuple[int, ...]
    output: int
    done: tuple[int, ...]


def _fused(stages: list[_Stage]) -> list[_Stage]:
    """Merge every chain of local operations into one stage: there are many, and most are small."""
    readers = Counter(index for stage in stages for index in stage.inputs)
    fused: list[_Stage] = []
    for stage in stages:
        before = fused[-1] if fused else None
        if (
            before is not None
            and stage.inputs == (before.output,)
            and readers[before.output] == 1
            and isinstance(before.rule, Local)
            and isinstance(stage.rule, Local)
            and not (before.rule.blank or stage.rule.blank)
        ):
            both = before.rule.then(stage.rule)
            fused[-1] = before._replace(rule=both, output=stage.output)
        else:
            fused.append(stage)
    return fused


def _released(stages: list[_Stage]) -> list[_Stage]:
    """Set `done` of every stage: the signals that no later stage reads."""
    last = {index: number for number, stage in enumerate(stages) for index in stage.inputs}
    return [
        stage._replace(done=tuple(i for i in dict.fromkeys(stage.inputs) if last[i] == number))
        for number, stage in enumerate(stages)
    ]


def noise_examples(hop_length: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Two batches of noise to make a plan with: two signals of 4 hops, and one of 7.

    The noise has a fixed seed.   Shape: [2, 1, 4 * hop_length], [1, 1, 7 * hop_length].
    """
    rng = torch.Generator("cpu").manual_seed(0)
    short, long = (
        0.1 * torch.randn(shape, generator=rng, device="cpu", dtype=torch.float32)
        for shape in ((2, 1, 4 * hop_length), (1, 1, 7 * hop_length))
    )
    return short.to(device), long.to(device)


class Plan:
    """Runs `module` on inputs that arrive in chunks, with the result of one call on the whole.

    `short` and `long` are examples of its inputs, by name, with the batch first; they differ in
    batch size and number of steps. Both are run once, and the stream of the longer one is compared
    with one call. A plan holds no state, and streams that share it may run in several threads. It
    uses the weights at the time it is made: the module must be ready for inference. `rate` is the
    number of output steps for one input step; where it is below one, as in an analysis, look-ahead
    is undefined. Raises ConfigError, naming the operation, if one of them cannot stream, or if the
    stream differs from one call.
    """

    def __init__(
        self, module: nn.Module, short: Mapping[str, Tensor], long: Mapping[str, Tensor]
    ) -> None:
        graph = read_graph(module, short, long)
        self.inputs = tuple(name for name in parameters(module) if name in long)
        self._sources = tuple(signal.index for signal in graph.inputs)
        self.axis = graph.output.axis
        held = dict.fromkeys(self._sources, 0)
        stages: list[_Stage] = []
        for operation in graph.operations:
            read = tuple(signal.index for signal in operation.inputs)
            rule = find_rule(operation, [held[index] for index in read])
            held[operation.output.index] = rule.held_until_flush
            stages.append(_Stage(rule, read, operation.output.index, ()))
        self._stages = _released(_fused(stages))
        self._result = graph.output.index
        self._signals = max([*self._sources, *(stage.output for stage in self._stages)]) + 1
        self.rate = Fraction(graph.output.growth, graph.inputs[0].growth)
        # With strides inside, the steps of a hop differ; those of the next hop repeat them.
        self._period = range(_INSIDE, _INSIDE + graph.inputs[0].growth)
        self._verify(graph)

    def begin(self) -> list[State]:
        """The states at the beginning of a stream."""
        return [None] * len(self._stages)

    def step(
        self, states: Sequence[State], inputs: Sequence[Chunk], *, last: bool = False
    ) -> tuple[Chunk, list[State]]:
        """Output that is final with the next chunk of every input, and the states after it.

        With `last` the inputs end with these chunks, and all remaining output is returned.
        """
        values: list[Chunk] = [None] * self._signals
        for index, chunk in zip(self._sources, inputs, strict=True):
            values[index] = chunk
        after = list(states)
        for number, (rule, read, output, done) in enumerate(self._stages):
            chunks = [values[index] for index in read]
            if last or any(chunk is not None for chunk in chunks):
                values[output], after[number] = rule.step(after[number], chunks, last=last)
            for index in done:
                values[index] = None
        return values[self._result], after

    @torch.inference_mode()
    def _verify(self, graph: Graph) -> None:
        """Raise ConfigError unless the stream of the longer example equals its one call."""
        total = steps(graph.inputs[0].long, graph.inputs[0].axis)
        cuts = sorted({0, 1, total // 2, total})
        states, made = self.begin(), None
        for begin, end in pairwise(cuts):
            chunks = [s.long.narrow(s.axis, begin, end - begin) for s in graph.inputs]
            chunk, states = self.step(states, chunks, last=end == total)
            made = join(made, chunk, self.axis)
        whole = graph.output.long
        if made is None or made.shape != whole.shape:
            shape = None if made is None else list(made.shape)
            raise ConfigError(f"the stream gives {shape}, one call {list(whole.shape)}")
        error, peak = (made - whole).abs().max(), whole.abs().max()
        if not bool(error <= _TOLERANCE * peak):
            raise ConfigError(
                f"the stream differs from one call by {error / peak:.1e} of the peak; "
                "the streaming rule of an operation does not describe it"
            )

    @cached_property
    def receptive_field(self) -> int | None:
        """Steps of input on which the output of one step depends; None if on all before it.

        The phase of a source and the position in a table of noise depend on all earlier steps.
        """
        size = max(last - first + 1 for first, last in map(self._block, self._period))
        return int(size) if math.isfinite(size) else None

    @cached_property
    def reach(self) -> tuple[int, int] | None:
        """Steps of input before and after a step on which its output depends; None without a bound.

        There is none if the output depends on how many steps came before, as by a table of noise.
        """
        if self.receptive_field is None or any(isinstance(s.rule, Cumsum) for s in self._stages):
            return None
        before = max(step - self._block(step)[0] for step in self._period)
        return int(before), self.lookahead

    @cached_property
    def lookahead(self) -> int:
        """Steps of input after a step until all of its output is final."""
        return max(self._block(step)[1] - step for step in self._period)

    @cached_property
    def latency(self) -> int:
        """Largest delay, in steps of output, of a stream that is fed step by step."""
        self._block(_INSIDE)  # raises where there is none
        rate = int(self.rate)
        made = range(self._period[0] * rate, (self._period[-1] + 1) * rate)
        # While the last input that a step needs is missing, that step is the next output.
        return max(self._needs(step, step)[1] * rate - step for step in made)

    def _block(self, step: int) -> Span:
        """Steps of the inputs on which the output of one input step depends."""
        if self.rate.denominator > 1:
            raise ConfigError(
                f"look-ahead is undefined at {self.rate} output steps for each input step"
            )
        return self._needs(step * int(self.rate), (step + 1) * int(self.rate) - 1)

    def _needs(self, low: int, high: int) -> Span:
        """Steps of the inputs on which output steps `low` to `high`, both included, depend."""
        spans: dict[int, Span] = {self._result: (low, high)}
        for stage in reversed(self._stages):
            if stage.output not in spans:
                continue
            first, last = stage.rule.needs(spans[stage.output])
            for index in stage.inputs:
                span = spans.get(index, (math.inf, -1))
                spans[index] = (min(first, span[0]), max(last, span[1]))
        inputs = [spans[index] for index in self._sources if index in spans]
        return min(first for first, _ in inputs), max(last for _, last in inputs)
