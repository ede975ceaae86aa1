"""Sessions: runs of a program, piece by piece, in memory of their own."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from vocoder.inference.compiled.nodes.base import Call, Floats, Rows, RowSignal
from vocoder.inference.compiled.program import Program, needed
from vocoder.kernels.jit.compiler import compiled
from vocoder.kernels.rows import SLACK, simple

_ALIGNMENT = 16  # floats
_EDGE = 64  # rows: where the beginning of a signal is that far behind, it does not matter


class Position(NamedTuple):
    """Rows of a signal that are in memory: from `base` up to `end`."""

    base: int
    end: int


class _Step(NamedTuple):
    """A step: its calls, those that make room for the next one, and the positions after it."""

    calls: Floats
    moves: Floats
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

    def begin(self, skipped: int = 0) -> None:
        """Go to the beginning of the input; the first `skipped` frames of results are not made.

        What these need alone is not computed either. Behind a beginning that is none, they would be
        wrong.
        """
        self._frame = 0
        self._moves: Floats | None = None
        self._positions = self._start(skipped)
        for signal, place in zip(self.program.signals, self._places, strict=True):
            self._memory[place : place + signal.zeros * signal.width] = 0.0

    def end(self, signal: RowSignal) -> int:
        """Row after the last one of a signal that is computed."""
        return self._positions[self._index[signal]].end

    def input(self, frames: int) -> list[Floats]:
        """Where the next frames have to be written. Shape: [frames * rate, width] each."""
        self._make_room()
        views = []
        for signal in self.program.sources:
            end = self._positions[self._index[signal]].end
            views.append(self._view(signal, end, end + frames * signal.rate))
        return views

    def step(self, frames: int, *, last: bool = False, dropped: int = 0) -> list[Floats]:
        """Compute the results that the next frames make final, or all that remain if `last`.

        Of these, the last `dropped` frames are not made: they would be wrong before an end that is
        none. Views of memory, valid until the next step. Shape: [rows, width] each.
        """
        self._make_room()
        before, frame = self._positions, self._frame
        step = self._find(frames, dropped if last else -1)
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

    def _view(self, signal: RowSignal, start: int, stop: int) -> Floats:
        n = self._index[signal]
        base = self._positions[n].base
        place, width = self._places[n], signal.width
        rows = self._memory[place + (start - base) * width : place + (stop - base) * width]
        return rows.reshape(stop - start, width)

    def _start(self, skipped: int = 0) -> list[Position]:
        signals = self.program.signals
        if not skipped:
            return [Position(-signal.zeros, 0) for signal in signals]
        rows = [
            0 if signal in self.program.sources else self.program.first_row(signal, skipped)
            for signal in signals
        ]
        return [Position(r - s.zeros, r) for r, s in zip(rows, signals, strict=True)]

    def _find(self, frames: int, dropped: int) -> _Step:
        """The next step. Steps from like positions are made once."""
        relative = [
            Position(p.base - s.rate * self._frame, p.end - s.rate * self._frame)
            for s, p in zip(self.program.signals, self._positions, strict=True)
        ]
        near = self._frame if any(p.base < _EDGE for p in self._positions) else -1
        key = (frames, dropped, near, *relative)
        if key not in self._steps:
            self._steps[key] = self._plan(frames, dropped)
        return self._steps[key]

    def _plan(self, frames: int, dropped: int) -> _Step:
        """Plan a step; `dropped` is -1 unless it is the last one."""
        self._known = self._positions
        ends = {s: p.end for s, p in zip(self.program.signals, self._known, strict=True)}
        calls = list(self._compute(ends, frames, dropped))
        computed = [Position(p.base, ends[s]) for s, p in zip(ends, self._known, strict=True)]
        after, moves = self._room(ends, computed)
        shift = [signal.rate * self._frame for signal in self.program.signals]
        return _Step(
            _table(calls),
            _table(moves),
            [Position(p.base - n, p.end - n) for p, n in zip(computed, shift, strict=True)],
            [Position(p.base - n, p.end - n) for p, n in zip(after, shift, strict=True)],
        )

    def _compute(self, ends: dict[RowSignal, int], frames: int, dropped: int) -> Iterator[Call]:
        """Calls of all nodes; `ends` are changed."""
        last, stop_frame = dropped >= 0, self._frame + frames - max(dropped, 0)
        for signal in self.program.sources:
            ends[signal] += frames * signal.rate
            yield from self._closed(signal, ends, last=last)
        for node in self.program.nodes:
            rows, (output, *_) = ends[node.inputs[0]], node.outputs
            stop = node.ready(rows, ended=last)
            stop = min([stop, *(ends[signal] for signal in node.inputs[1:])])
            if dropped > 0:
                limits = [self.program.last_row(s, stop_frame) for s in node.outputs]
                stop = min(stop, -(-max(limits) // output.stride) * output.stride)
            start = ends[output]
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
            step = self._plan(self.frames, 0 if number == steady else -1)
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
