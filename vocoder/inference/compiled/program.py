"""Programs: nodes in the order in which they run, on pieces of their input."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from vocoder.inference.compiled.nodes.base import Call, Node, Rows, RowSignal
from vocoder.inference.compiled.nodes.convolution import FastConvolution, place_together
from vocoder.kernels.jit.compiler import compiled
from vocoder.kernels.rows import SLACK, simple

_ALIGNMENT = 16  # floats
_EDGE = 64  # rows: where the beginning of a signal is that far behind, it does not matter
Array = np.ndarray[Any, np.dtype[np.float32]]


class Program:
    """Nodes from its sources to its results, each after those whose signals it reads.

    `before` and `after` are the frames of the sources on which a frame of the results depends,
    beside its own.
    """

    def __init__(
        self, nodes: Sequence[Node], sources: Sequence[RowSignal], results: Sequence[RowSignal]
    ) -> None:
        place_together(nodes)
        for node in nodes:
            source = node.inputs[0]
            source.zeros = max(source.zeros, node.zeros)
        self.nodes, self.sources, self.results = list(nodes), list(sources), list(results)
        written = (signal for node in nodes for signal in node.outputs)
        self.signals = list(dict.fromkeys([*sources, *written]))
        self.readers: dict[RowSignal, list[Node]] = defaultdict(list)
        for node in nodes:
            for signal in node.inputs:
                self.readers[signal].append(node)
        self.before, self.after = self._reach()

    @property
    def floats(self) -> int:
        """Floats of the largest signal for one frame of input."""
        return max(signal.rate * signal.width for signal in self.signals)

    @property
    def period(self) -> int:
        """Frames after which the steps of nodes that compute whole blocks of rows repeat."""
        blocks = [
            node.block // math.gcd(node.block, node.outputs[0].rate)
            for node in self.nodes
            if isinstance(node, FastConvolution)
        ]
        return math.lcm(*blocks)

    def _reach(self) -> tuple[int, int]:
        spans = {signal: (0, signal.rate) for signal in self.results}
        for node in reversed(self.nodes):
            made = [spans[signal] for signal in node.outputs if signal in spans]
            if not made:
                continue
            start, stop = min(s for s, _ in made), max(e for _, e in made)
            for signal in node.inputs:
                first, last = needed(node, signal, start, stop)
                known = spans.get(signal, (first, last))
                spans[signal] = (min(first, known[0]), max(last, known[1]))
        read = [spans[signal] for signal in self.sources if signal in spans]
        return -min(first for first, _ in read), max(last for _, last in read) - 1


def needed(node: Node, signal: RowSignal, start: int, stop: int) -> tuple[int, int]:
    """First row and row after the last one of an input that rows of a node's output need."""
    return node.needs(start, stop) if signal is node.inputs[0] else (start, stop)


class Position(NamedTuple):
    """Rows of a signal that are in memory: from `base` up to `end`."""

    base: int
    end: int


class _Step(NamedTuple):
    """A step: its calls, those that make room for the next one, and the positions after it."""

    calls: Array
    moves: Array
    computed: list[Position]
    after: list[Position]


class Session:
    """Memory of one run of a program, which takes up to `frames` frames at a time."""

    def __init__(self, program: Program, frames: int) -> None:
        self.program, self.frames = program, frames
        self._index = {signal: n for n, signal in enumerate(program.signals)}
        self._steps: dict[Any, _Step] = {}
        self._sequence = compiled(simple.write_sequence)
        self._places = [0] * len(program.signals)
        self._address = self.scratch = 0
        self._allocate()
        self.begin()

    def begin(self) -> None:
        """Go to the beginning of the input."""
        self._frame = 0
        self._moves: Array | None = None
        self._positions = self._start()
        for signal, place in zip(self.program.signals, self._places, strict=True):
            self._memory[place : place + signal.zeros * signal.width] = 0.0

    def input(self, frames: int) -> list[Array]:
        """Where the next frames have to be written. Shape: [frames * rate, width] each."""
        self._make_room()
        views = []
        for signal in self.program.sources:
            end = self._positions[self._index[signal]].end
            views.append(self._view(signal, end, end + frames * signal.rate))
        return views

    def step(self, frames: int, *, last: bool = False) -> list[Array]:
        """Compute the results that the next frames make final, or all that remain if `last`.

        Views of memory, valid until the next step. Shape: [rows, width] each.
        """
        self._make_room()
        before, frame = self._positions, self._frame
        step = self._find(frames, last=last)
        self._sequence(step.calls.ctypes.data, len(step.calls))
        self._moves = step.moves
        self._positions = [
            Position(p.base + s.rate * frame, p.end + s.rate * frame)
            for s, p in zip(self.program.signals, step.after, strict=True)
        ]
        self._frame = frame + frames
        views = []
        for signal in self.program.results:
            n = self._index[signal]
            end = step.computed[n].end + signal.rate * frame
            place = self._places[n] + (before[n].end - before[n].base) * signal.width
            size = (end - before[n].end) * signal.width
            views.append(self._memory[place : place + size].reshape(-1, signal.width))
        return views

    def address(self, signal: RowSignal, row: int) -> int:
        """Address of a row, counted from the beginning of the signal."""
        n = self._index[signal]
        floats = self._places[n] + (row - self._known[n].base) * signal.width
        return self._address + 4 * floats

    def _make_room(self) -> None:
        if self._moves is not None:
            self._sequence(self._moves.ctypes.data, len(self._moves))
            self._moves = None

    def _view(self, signal: RowSignal, start: int, stop: int) -> Array:
        n = self._index[signal]
        base = self._positions[n].base
        place, width = self._places[n], signal.width
        rows = self._memory[place + (start - base) * width : place + (stop - base) * width]
        return rows.reshape(stop - start, width)

    def _start(self) -> list[Position]:
        return [Position(-signal.zeros, 0) for signal in self.program.signals]

    def _find(self, frames: int, *, last: bool) -> _Step:
        """The next step. Steps from like positions are made once."""
        relative = [
            Position(p.base - s.rate * self._frame, p.end - s.rate * self._frame)
            for s, p in zip(self.program.signals, self._positions, strict=True)
        ]
        near = self._frame if any(p.base < _EDGE for p in self._positions) else -1
        key = (frames, last, near, *relative)
        if key not in self._steps:
            self._steps[key] = self._plan(frames, last=last)
        return self._steps[key]

    def _plan(self, frames: int, *, last: bool) -> _Step:
        self._known = self._positions
        ends = {s: p.end for s, p in zip(self.program.signals, self._known, strict=True)}
        calls = list(self._compute(ends, frames, last=last))
        computed = [Position(p.base, ends[s]) for s, p in zip(ends, self._known, strict=True)]
        after, moves = self._room(ends, computed)
        shift = [signal.rate * self._frame for signal in self.program.signals]
        return _Step(
            _table(calls),
            _table(moves),
            [Position(p.base - n, p.end - n) for p, n in zip(computed, shift, strict=True)],
            [Position(p.base - n, p.end - n) for p, n in zip(after, shift, strict=True)],
        )

    def _compute(self, ends: dict[RowSignal, int], frames: int, *, last: bool) -> Iterator[Call]:
        """Calls of all nodes; `ends` are changed."""
        for signal in self.program.sources:
            ends[signal] += frames * signal.rate
            yield from self._closed(signal, ends, last=last)
        for node in self.program.nodes:
            rows = ends[node.inputs[0]]
            stop = node.ready(rows, ended=last)
            stop = min([stop, *(ends[signal] for signal in node.inputs[1:])])
            start = ends[node.outputs[0]]
            if stop > start:
                yield from node.calls(self, Rows(start, stop, rows - 1 if last else None))
            for signal in node.outputs:
                ends[signal] = max(start, stop)
                yield from self._closed(signal, ends, last=last)

    def _closed(
        self, signal: RowSignal, ends: dict[RowSignal, int], *, last: bool
    ) -> Iterator[Call]:
        """The zeros after the last row of a signal."""
        if last and signal.zeros:
            size = signal.zeros * signal.width
            yield (compiled(simple.write_zeros).address, self.address(signal, ends[signal]), size)

    def _room(
        self, ends: dict[RowSignal, int], computed: list[Position]
    ) -> tuple[list[Position], list[Call]]:
        """Positions without the rows that no node needs any more, and calls that move the rest."""
        after: list[Position] = []
        moves: list[Call] = []
        move = compiled(simple.write_move).address
        for (signal, end), (base, _) in zip(ends.items(), computed, strict=True):
            starts = [end]
            for node in self.program.readers[signal]:
                made = ends[node.outputs[0]]
                starts.append(needed(node, signal, made, made + 1)[0])
            kept = max(base, min(starts))
            after.append(Position(kept, end))
            if kept > base and end > kept:
                size = (end - kept) * signal.width
                moves.append((move, self.address(signal, base), self.address(signal, kept), size))
        return after, moves

    def _allocate(self) -> None:
        """Find the largest number of rows of every signal by planning a run, and take memory."""
        most = [0] * len(self.program.signals)
        steady = 2 + -(-(self.program.before + self.program.after) // self.frames)
        self._positions, self._frame = self._start(), 0
        for number in range(steady + 1):
            step = self._plan(self.frames, last=number == steady)
            offsets = [s.rate * self._frame for s in self.program.signals]
            most = [max(n, p.end - p.base) for n, p in zip(most, step.computed, strict=True)]
            self._positions = [
                Position(p.base + n, p.end + n) for p, n in zip(step.after, offsets, strict=True)
            ]
            self._frame += self.frames
        total = 0
        for n, (signal, rows) in enumerate(zip(self.program.signals, most, strict=True)):
            self._places[n] = total
            # The last call may compute a whole tile of rows, of `rate` outputs each.
            size = (rows + signal.zeros + SLACK * max(signal.stride, 1)) * signal.width
            total += -(-size // _ALIGNMENT) * _ALIGNMENT
        scratch = max(node.scratch for node in self.program.nodes)
        whole = np.zeros(total + scratch + 2 * _ALIGNMENT, np.float32)
        begin = -(whole.ctypes.data // 4) % _ALIGNMENT
        self._memory = whole[begin:]
        self._address = self._memory.ctypes.data
        self.scratch = self._address + 4 * total


def _table(calls: Sequence[Call]) -> Any:
    table = np.zeros((len(calls), simple.WIDTH), np.int64)
    for row, call in zip(table, calls, strict=True):
        row[: len(call)] = call
    return table
