"""A streaming step under construction: a graph of torch operations on chunks of fixed size.

Every signal of the network arrives in chunks of a fixed number of steps, late by a fixed delay, so
the first chunks begin before the start of the signal, and the last ones lie behind its end. What an
operation reads there is replaced, so that the valid steps are those of a call on the whole input.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map

from vocoder.errors import ConfigError
from vocoder.export.stream.edges import hold_edges, reflect_edges
from vocoder.streaming.graph import Operation, Signal, Slot, steps

COUNT = "count"  # the input that says how many steps of a chunk are valid
# Steps after which a stream stops counting, and steps behind a chunk where an end is out of sight.
# Both are far more than a network reaches, and few enough for runtimes that count in 32 bits.
LIMIT, _FAR = 1 << 20, 1 << 16


@dataclass(frozen=True)
class Flow:
    """A signal in a step, whose chunk begins `delay` steps before the position of the input.

    F steps of input make F * `rate` + `offset` steps in all; `example` shows type and shape.
    """

    node: fx.Node
    axis: int
    rate: Fraction
    offset: int
    delay: int
    example: Any


class StepState(NamedTuple):
    """A state of a step, all zeros at the beginning of a stream."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


class StepBuilder:
    """Makes the graph of a step on chunks of `chunk` steps of the inputs.

    `finish` returns it as a module: inputs, count, states → output, next states. `count` [1] is the
    number of steps in the chunk that are valid; the first chunk that is not full ends the signal.
    With `selects`, steps that do not exist are replaced by zeros, otherwise multiplied by zero:
    faster, but it keeps infinities.
    """

    def __init__(self, chunk: int, inputs: Mapping[str, Signal], *, selects: bool) -> None:
        self.chunk, self._selects = chunk, selects
        self.graph, self._root = fx.Graph(), nn.Module()
        self._input = next(iter(inputs.values()))
        self.inputs = [self.flow(s, self.graph.placeholder(n), 0) for n, s in inputs.items()]
        count = self.graph.placeholder(COUNT)
        # Marks where states, constants, and positions are inserted while the graph grows.
        self._marks = [self.graph.call_function(torch.tensor, (0,)) for _ in range(3)]
        self.states: list[StepState] = []
        self._kept: list[Tensor] = []  # constants are known by their id
        self._after: list[fx.Node] = []
        self._known: dict[Any, fx.Node] = {}
        self._reach: dict[tuple[Fraction, int], int] = {}
        with self.graph.inserting_before(self._marks[2]):
            self._position, taken = (self.state([1], torch.int64) for _ in range(2))
            ends = self.call(operator.add, self._position, chunk)
            total = self.call(operator.add, taken, count)
            ended = self.call(operator.lt, total, ends)
            self._end = self.call(torch.where, ended, total, self.call(operator.add, ends, _FAR))
            limit = max(LIMIT // chunk, 1) * chunk
            excess = self.call("clamp_min", self.call(operator.sub, ends, limit), 0)
            self.carry(0, self.call(operator.sub, ends, excess))
            self.carry(1, self.call(operator.sub, total, excess))

    def flow(self, signal: Signal, node: fx.Node, delay: int) -> Flow:
        """A signal of the network, as it arrives at `node`."""
        rate = Fraction(signal.growth, self._input.growth)
        offset = steps(signal.long, signal.axis) - rate * steps(self._input.long, self._input.axis)
        if offset.denominator > 1:
            raise ConfigError("the lengths of its signals do not fit each other")
        return Flow(node, signal.axis, rate, int(offset), delay, signal.long)

    def steps(self, rate: Fraction) -> int:
        """Steps of a chunk of a signal; ConfigError if they are not a whole number."""
        steps = self.chunk * rate
        if steps.denominator > 1:
            raise ConfigError(
                f"a chunk of {self.chunk} does not fit the strides of the network; "
                f"use a multiple of {rate.denominator}"
            )
        return int(steps)

    def call(self, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """Add a call of a function, of a tensor's method (by its name), or of a module."""
        args, kwargs = tree_map(self._constant, (args, kwargs))
        if isinstance(target, str):
            return self.graph.call_method(target, args, kwargs)
        if isinstance(target, nn.Module):
            name = f"layer_{len(self._root._modules)}"
            self._root.add_module(name, target)
            return self.graph.call_module(name, args, kwargs)
        return self.graph.call_function(target, args, kwargs)

    def operation(self, operation: Operation, *nodes: fx.Node) -> fx.Node:
        """Add an operation of the network, with its arguments, on these signals."""
        args, kwargs = tree_map(
            lambda leaf: nodes[leaf.position] if isinstance(leaf, Slot) else leaf,
            (operation.args, operation.kwargs),
            is_leaf=lambda leaf: isinstance(leaf, Slot),
        )
        return self.call(operation.target, *args, **kwargs)

    def cut(self, node: fx.Node, axis: int, begin: int, end: int) -> fx.Node:
        """Steps from `begin` to before `end`."""
        return self.call(operator.getitem, node, (slice(None),) * axis + (slice(begin, end),))

    def state(self, shape: list[int], dtype: torch.dtype) -> fx.Node:
        """Add a state; `carry` sets what comes after it."""
        name = f"state_{len(self.states)}"
        with self.graph.inserting_before(self._marks[0]):
            node = self.graph.placeholder(name)
        self.states.append(StepState(name, tuple(shape), dtype))
        self._after.append(node)
        return node

    def carry(self, place: int, after: fx.Node) -> None:
        """Set the next value of the state with this index."""
        self._after[place] = after

    def late(self, flow: Flow, delay: int) -> fx.Node:
        """The signal with a larger delay."""
        lag = delay - flow.delay
        if not lag:
            return flow.node
        if not isinstance(flow.example, Tensor):
            raise ConfigError("a tuple of signals would have to wait for another signal")
        if not flow.example.is_complex():
            return self._late(flow.node, flow, lag)
        parts = [self.call(getattr, flow.node, part) for part in ("real", "imag")]
        return self.call(torch.complex, *(self._late(part, flow, lag) for part in parts))

    def _late(self, node: fx.Node, flow: Flow, lag: int) -> fx.Node:
        return self.cut(self.history(node, flow, lag), flow.axis, 0, self.steps(flow.rate))

    def history(self, node: fx.Node, flow: Flow, steps: int) -> fx.Node:
        """The chunk `node` of a real signal, behind the `steps` steps before it."""
        if not steps:
            return node
        shape = [1, *flow.example.shape[1:]]
        shape[flow.axis] = steps
        place = len(self.states)
        before = self.state(shape, flow.example.real.dtype)
        signal = self.call(torch.cat, [before, node], flow.axis)
        size = self.steps(flow.rate)
        self.carry(place, self.cut(signal, flow.axis, size, size + steps))
        return signal

    def masked(self, flow: Flow) -> fx.Node:
        """The chunk of a real signal, with zeros before its start and behind its end."""
        valid = self.valid(flow, self.steps(flow.rate))
        behind = flow.example.ndim - 1 - flow.axis
        if behind:
            valid = self.call("reshape", valid, [-1] + [1] * behind)
        return self.zeroed(flow.node, valid, flow.example.dtype)

    def zeroed(self, node: fx.Node, valid: fx.Node, dtype: torch.dtype) -> fx.Node:
        """Values where `valid` is 1, zero where it is 0."""
        if self._selects:
            return self.call(torch.where, self.call(operator.gt, valid, 0.5), node, 0)
        if dtype != torch.float32:
            valid = self.call("to", valid, dtype)
        return self.call(operator.mul, node, valid)

    def valid(self, flow: Flow, steps: int) -> fx.Node:
        """1 for those of the last `steps` steps of the chunk that exist, else 0. Shape: [steps]."""
        key = flow.rate, flow.offset
        self._reach[key] = max(self._reach.get(key, 0), flow.delay + steps)
        if key not in self._known:  # made by `finish`, when its length is known
            with self.graph.inserting_before(self._marks[2]):
                self._known[key] = self.graph.call_function(torch.tensor, (0,))
        part = slice(-flow.delay - steps, -flow.delay or None)
        return self.call(operator.getitem, self._known[key], part)

    def filled(self, signal: fx.Node, flow: Flow, history: int, mode: str) -> fx.Node:
        """A signal with history, whose missing steps are made from others.

        `mode` is "replicate" or "reflect".
        """
        if flow.axis != flow.example.ndim - 1:
            raise ConfigError(f"{mode} padding of an inner axis has no streaming step")
        key = "bounds", flow.rate, flow.offset, history + flow.delay
        if key not in self._known:
            start, total = self._range(flow.rate, flow.offset)
            self._known[key] = first = self.call(operator.sub, start, history + flow.delay)
            self._known[*key, "first"] = self.call(operator.neg, first)
            self._known[*key, "last"] = self.call(operator.sub, total, first)
        fill = hold_edges if mode == "replicate" else reflect_edges
        return self.call(fill, signal, self._known[*key, "first"], self._known[*key, "last"])

    def finish(self, output: Flow) -> fx.GraphModule:
        """The step as a module. Its first `output.delay` samples in a stream are to be dropped."""
        for (rate, offset), reach in self._reach.items():
            stub = self._known[rate, offset]
            with self.graph.inserting_before(self._marks[2]):
                made = self._existing(rate, offset, reach)
            stub.replace_all_uses_with(made)
            self.graph.erase_node(stub)
        for mark in self._marks:
            self.graph.erase_node(mark)
        self.graph.output((output.node, *self._after))
        self.graph.lint()
        return fx.GraphModule(self._root, self.graph)

    def _existing(self, rate: Fraction, offset: int, reach: int) -> fx.Node:
        """1 for those of the last `reach` steps of an undelayed chunk that exist, else 0."""
        size = self.steps(rate)
        start, total = self._range(rate, offset)
        at = self.call(operator.add, start, torch.arange(size - reach, size))
        after_start = self.call("float", self.call(operator.ge, at, 0))
        before_end = self.call("float", self.call(operator.lt, at, total))
        return self.call(operator.mul, after_start, before_end)

    def _range(self, rate: Fraction, offset: int) -> tuple[fx.Node, fx.Node]:
        """Position of an undelayed chunk of a signal, and the number of its steps in all."""
        start, total = ("start", rate), ("total", rate, offset)
        with self.graph.inserting_before(self._marks[2]):
            if start not in self._known:
                self._known[start] = self._scaled(self._position, rate)
            if total not in self._known:
                scaled = self._scaled(self._end, rate)
                self._known[total] = self.call(operator.add, scaled, offset)
        return self._known[start], self._known[total]

    def _scaled(self, node: fx.Node, rate: Fraction) -> fx.Node:
        if rate.numerator > 1:
            node = self.call(operator.mul, node, rate.numerator)
        if rate.denominator > 1:
            node = self.call(operator.floordiv, node, rate.denominator)
        return node

    def _constant(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        key = "constant", id(leaf)
        if key not in self._known:
            name = f"constant_{len(self._known)}"
            self._root.register_buffer(name, leaf.detach())
            self._kept.append(leaf)
            with self.graph.inserting_before(self._marks[1]):
                self._known[key] = self.graph.get_attr(name)
        return self._known[key]
