"""A module as a stream: its operations by their rules, and what its look-ahead is."""

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
from vocoder.streaming.rules.base import Local, Rule
from vocoder.streaming.rules.lookup import find_rule

_INSIDE = 1 << 20  # a step of input far from both ends
_TOLERANCE = 1e-4  # of the peak, between a stream and one call


class _Stage(NamedTuple):
    """One rule, the signals that it reads and makes, and those that nobody reads after it."""

    rule: Rule
    inputs: tuple[int, ...]
    output: int
    done: tuple[int, ...]


def _fused(stages: list[_Stage]) -> list[_Stage]:
    """The same with every chain of local operations as one: there are many, and most are small."""
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
    """The same, every stage knowing which signals nobody reads after it."""
    last = {index: number for number, stage in enumerate(stages) for index in stage.inputs}
    return [
        stage._replace(done=tuple(i for i in dict.fromkeys(stage.inputs) if last[i] == number))
        for number, stage in enumerate(stages)
    ]


def noise_examples(hop_length: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Two batches of noise to make a plan with: two signals of 4 hops, one of 7.

    Always the same.   Shape: [2, 1, 4 * hop_length], [1, 1, 7 * hop_length].
    """
    rng = torch.Generator().manual_seed(0)
    short = 0.1 * torch.randn(2, 1, 4 * hop_length, generator=rng)
    long = 0.1 * torch.randn(1, 1, 7 * hop_length, generator=rng)
    return short.to(device), long.to(device)


class Plan:
    """How to run `module` on inputs that arrive in pieces.

    `short` and `long` are examples of its inputs, by name, with the batch first and another number
    of items and of steps each; both are run once, and the stream of the longer one is compared with
    one call. A plan holds no state, and streams that share it
    may run in several threads. The weights are those of now: the module must be ready for
    inference. `rate` is the number of output steps for one of input; where it is below one, as in
    an analysis, there is no figure of look-ahead. Raises ConfigError, naming the operation, if one
    of them cannot stream, or if the stream is not what one call gives.
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
        # With strides inside, the steps of a hop differ, and those of the next are like them.
        self._period = range(_INSIDE, _INSIDE + graph.inputs[0].growth)
        self._verify(graph)

    def begin(self) -> list[State]:
        """The states of a stream that has not begun."""
        return [None] * len(self._stages)

    def step(
        self, states: Sequence[State], inputs: Sequence[Chunk], *, last: bool = False
    ) -> tuple[Chunk, list[State]]:
        """What the next steps of every input make final, and the states after them.

        With `last` the inputs end behind these steps, and everything that is left is made.
        """
        values: list[Chunk] = [None] * self._signals
        for index, chunk in zip(self._sources, inputs, strict=True):
            values[index] = chunk
        after = list(states)
        for number, (rule, read, output, done) in enumerate(self._stages):
            given = [values[index] for index in read]
            if last or any(chunk is not None for chunk in given):
                values[output], after[number] = rule.step(after[number], given, last=last)
            for index in done:
                values[index] = None
        return values[self._result], after

    @torch.inference_mode()
    def _verify(self, graph: Graph) -> None:
        """Raise ConfigError unless the stream of the longer example is what one call made of it."""
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
                "an operation has a streaming rule that does not describe it"
            )

    @cached_property
    def receptive_field(self) -> int | None:
        """Steps of input that one step's worth of output depends on; None if on all before it.

        The phase of a source and the position in a table of noise remember everything.
        """
        size = max(last - first + 1 for first, last in map(self._block, self._period))
        return int(size) if math.isfinite(size) else None

    @cached_property
    def lookahead(self) -> int:
        """Steps of input behind a step until all of its output is final."""
        return max(self._block(step)[1] - step for step in self._period)

    @cached_property
    def latency(self) -> int:
        """Steps of output by which a stream stays behind its input, at most, fed step by step."""
        self._block(_INSIDE)  # or there is none
        rate = int(self.rate)
        made = range(self._period[0] * rate, (self._period[-1] + 1) * rate)
        # While the last input that a step needs is still to come, the step is what is made next.
        return max(self._needs(step, step)[1] * rate - step for step in made)

    def _block(self, step: int) -> Span:
        """What the output of one step of the input needs."""
        if self.rate.denominator > 1:
            raise ConfigError(
                f"{self.rate} steps for each of the input have no look-ahead in steps"
            )
        return self._needs(step * int(self.rate), (step + 1) * int(self.rate) - 1)

    def _needs(self, low: int, high: int) -> Span:
        """Steps of the inputs that these steps of the output need, both included."""
        spans: dict[int, Span] = {self._result: (low, high)}
        for stage in reversed(self._stages):
            if stage.output not in spans:
                continue
            first, last = stage.rule.needs(spans[stage.output])
            for index in stage.inputs:
                known = spans.get(index, (math.inf, -1))
                spans[index] = (min(first, known[0]), max(last, known[1]))
        inputs = [spans[index] for index in self._sources if index in spans]
        return min(first for first, _ in inputs), max(last for _, last in inputs)
