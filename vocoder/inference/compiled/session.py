"""Sessions: runs of a program, piece by piece, in memory of their own."""

from collections.abc import Iterable, Iterator
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
    """A step: its calls, and the positions when all is computed, and after it."""

    calls: Any
    computed: list[Position]
    after: list[Position]


class Session:
    """Memory of one run of a program, which takes up to `frames` frames at a time.

    While a step runs, signals share memory that stays in the cache: a signal has its place there
    from the node that writes it to the last one that reads it. The rows that the next step needs
    are kept elsewhere between steps.
    """

    def __init__(self, program: Program, frames: int) -> None:
        self.program, self.frames = program, frames
        self._index = {signal: n for n, signal in enumerate(program.signals)}
        self._steps: dict[Any, _Step] = {}
        self._sequence = compiled(simple.write_sequence)
        self._last_reads = self._lives()
        # Of every signal in floats: where it is in a step, and between steps.
        self._places, self._kept_at = ([0] * len(program.signals) for _ in range(2))
        self._address = self.scratch = 0
        self._allocate()
        self.begin()

    def begin(self, skipped: int = 0) -> None:
        """Go to the beginning of the input; the first `skipped` frames of results are not made.

        What these need alone is not computed either. Behind a beginning that is none, they would be
        wrong.
        """
        self._frame = 0
        self._positions = self._start(skipped)
        for signal, place in zip(self.program.signals, self._kept_at, strict=True):
            self._memory[place : place + signal.zeros * signal.width] = 0.0

    def end(self, signal: RowSignal) -> int:
        """Row after the last one of a signal that is computed."""
        return self._positions[self._index[signal]].end

    def input(self, frames: int) -> list[Floats]:
        """Where the next frames have to be written. Shape: [frames * rate, width] each."""
        return [
            self._view(signal, self.end(signal), self.end(signal) + frames * signal.rate)
            for signal in self.program.sources
        ]

    def step(self, frames: int, *, last: bool = False, dropped: int = 0) -> list[Floats]:
        """Compute the results that the next frames make final, or all that remain if `last`.

        Of these, the last `dropped` frames are not made: they would be wrong before an end that is
        none. Views of memory, valid until the next step. Shape: [rows, width] each.
        """
        frame = self._frame
        step = self._find(frames, dropped if last else -1)
        self._sequence(step.calls.ctypes.data, len(step.calls))
        views = [
            self._view(s, self.end(s), step.computed[self._index[s]].end + s.rate * frame)
            for s in self.program.results
        ]
        self._positions = self._moved(step.after, frame)
        self._frame = frame + frames
        return views

    def address(self, signal: RowSignal, row: int) -> int:
        """Address of a row, counted from the beginning of the signal."""
        n = self._index[signal]
        floats = self._places[n] + (row - self._positions[n].base) * signal.width
        return self._address + 4 * floats

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

    def _moved(self, positions: Iterable[Position], frames: int) -> list[Position]:
        """Positions, later by a number of frames."""
        return [
            Position(p.base + s.rate * frames, p.end + s.rate * frames)
            for s, p in zip(self.program.signals, positions, strict=True)
        ]

    def _find(self, frames: int, dropped: int) -> _Step:
        """The next step. Steps from like positions are made once."""
        near = self._frame if any(p.base < _EDGE for p in self._positions) else -1
        key = (frames, dropped, near, *self._moved(self._positions, -self._frame))
        if key not in self._steps:
            self._steps[key] = self._plan(frames, dropped)
        return self._steps[key]

    def _plan(self, frames: int, dropped: int) -> _Step:
        """Plan a step; `dropped` is -1 unless it is the last one."""
        ends = {s: p.end for s, p in zip(self.program.signals, self._positions, strict=True)}
        after = dict(zip(self.program.signals, self._positions, strict=True))
        calls = list(self._calls(ends, after, frames, dropped))
        computed = [
            Position(p.base, end) for p, end in zip(self._positions, ends.values(), strict=True)
        ]
        table = np.zeros((len(calls), simple.WIDTH), np.int64)
        for row, call in zip(table, calls, strict=True):
            row[: len(call)] = call
        back = -self._frame
        return _Step(table, self._moved(computed, back), self._moved(after.values(), back))

    def _calls(
        self,
        ends: dict[RowSignal, int],
        after: dict[RowSignal, Position],
        frames: int,
        dropped: int,
    ) -> Iterator[Call]:
        """Calls of all nodes; `ends` and the positions `after` the step are changed."""
        last, stop_frame = dropped >= 0, self._frame + frames - max(dropped, 0)
        for signal in self.program.sources:
            yield from self._brought(signal)
            ends[signal] += frames * signal.rate
            yield from self._closed(signal, ends, last=last)
        for node, done in zip(self.program.nodes, self._last_reads, strict=True):
            rows, (output, *_) = ends[node.inputs[0]], node.outputs
            stop = node.ready(rows, ended=last)
            stop = min([stop, *(ends[signal] for signal in node.inputs[1:])])
            if dropped > 0:
                limits = [self.program.last_row(s, stop_frame) for s in node.outputs]
                stop = min(stop, -(-max(limits) // output.stride) * output.stride)
            start = ends[output]
            for signal in node.outputs:
                yield from self._brought(signal)
            if stop > start and self._address:  # there is no memory while its size is sought
                yield from node.calls(self, Rows(start, stop, rows - 1 if last else None))
            for signal in node.outputs:
                ends[signal] = max(start, stop)
                yield from self._closed(signal, ends, last=last)
            for signal in done:
                yield from self._kept(signal, ends, after)

    def _closed(
        self, signal: RowSignal, ends: dict[RowSignal, int], *, last: bool
    ) -> Iterator[Call]:
        """The zeros after the last row of a signal."""
        if last and signal.zeros:
            size = signal.zeros * signal.width
            yield (compiled(simple.write_zeros).address, self.address(signal, ends[signal]), size)

    def _brought(self, signal: RowSignal) -> Iterator[Call]:
        """Bring the rows that were kept since the last step."""
        n = self._index[signal]
        base, end = self._positions[n]
        if end > base:
            kept = self._address + 4 * self._kept_at[n]
            size = (end - base) * signal.width
            yield (compiled(simple.write_move).address, self.address(signal, base), kept, size)

    def _kept(
        self, signal: RowSignal, ends: dict[RowSignal, int], after: dict[RowSignal, Position]
    ) -> Iterator[Call]:
        """Keep the rows that the next step needs."""
        n, end = self._index[signal], ends[signal]
        starts = [end]
        for node in self.program.readers[signal]:
            made = ends[node.outputs[0]]
            starts.append(needed(node, signal, made, made + 1)[0])
        first = max(self._positions[n].base, min(starts))
        after[signal] = Position(first, end)
        if end > first:
            kept = self._address + 4 * self._kept_at[n]
            size = (end - first) * signal.width
            yield (compiled(simple.write_move).address, kept, self.address(signal, first), size)

    def _lives(self) -> list[list[RowSignal]]:
        """Signals that each node is the last one to read, or that nothing reads after it."""
        last: dict[RowSignal, int] = {}
        for number, node in enumerate(self.program.nodes):
            last |= dict.fromkeys((*node.inputs, *node.outputs), number)
        return [[s for s, n in last.items() if n == i] for i in range(len(self.program.nodes))]

    def _most_rows(self) -> tuple[list[int], list[int]]:
        """The most rows of every signal in a step, and kept after one, whichever step it is."""
        most, kept = ([signal.zeros for signal in self.program.signals] for _ in range(2))
        for skipped in (0, self.program.before):
            self._positions, self._frame = self._start(skipped), 0
            seen: set[tuple[Position, ...]] = set()
            while (state := tuple(self._moved(self._positions, -self._frame))) not in seen:
                seen.add(state)
                for dropped in (0, -1):  # the last step, and the one that others follow
                    step = self._plan(self.frames, dropped)
                    for rows, positions in ((most, step.computed), (kept, step.after)):
                        rows[:] = [
                            max(n, p.end - p.base) for n, p in zip(rows, positions, strict=True)
                        ]
                self._positions = self._moved(step.after, self._frame)
                self._frame += self.frames
        return most, kept

    def _allocate(self) -> None:
        """Take memory, and give every signal its places."""
        signals = self.program.signals
        most, kept = self._most_rows()
        total = 0
        for n, (signal, rows) in enumerate(zip(signals, kept, strict=True)):
            self._kept_at[n] = total
            total += _aligned(rows * signal.width)
        # The last call may compute a whole tile of rows, of several outputs each.
        sizes = [
            _aligned((rows + s.zeros + SLACK * s.stride) * s.width)
            for s, rows in zip(signals, most, strict=True)
        ]
        total = self._share(sizes, total)
        scratch = max(node.scratch for node in self.program.nodes)
        whole = np.zeros(total + scratch + 2 * _ALIGNMENT, np.float32)
        begin = -(whole.ctypes.data // 4) % _ALIGNMENT
        self._memory = whole[begin:]
        self._address = self._memory.ctypes.data
        self.scratch = self._address + 4 * total

    def _share(self, sizes: list[int], begin: int) -> int:
        """Place signals so that those of one time do not overlap; returns the end of all."""
        nodes = self.program.nodes
        first = dict.fromkeys(self.program.sources, -1)
        for number, node in enumerate(nodes):
            first |= dict.fromkeys(node.outputs, number)
        last = {s: n for n, done in enumerate(self._last_reads) for s in done}
        last |= dict.fromkeys(self.program.results, len(nodes))
        placed: list[tuple[int, int, RowSignal]] = []
        for n, signal in enumerate(self.program.signals):
            place = begin
            for start, stop, other in sorted(placed, key=lambda each: each[:2]):
                apart = first[signal] > last[other] or first[other] > last[signal]
                if not apart and start < place + sizes[n] and place < stop:
                    place = stop
            self._places[n] = place
            placed.append((place, place + sizes[n], signal))
        return max(stop for _, stop, _ in placed)


def _aligned(floats: int) -> int:
    return -(-floats // _ALIGNMENT) * _ALIGNMENT
