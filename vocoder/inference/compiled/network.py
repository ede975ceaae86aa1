"""A generator whose convolutions run as a program of fused kernels, the rest as PyTorch does."""

import queue
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.inference.compiled.lowering.fusion import fused
from vocoder.inference.compiled.lowering.table import MODULES, new_lowering
from vocoder.inference.compiled.program import Program
from vocoder.inference.compiled.session import Session
from vocoder.kernels.jit.compiler import cpu
from vocoder.kernels.threads import run_tasks
from vocoder.streaming.graph import Graph, Operation, Signal, parameters, read_graph

_PIECE_BYTES = 1 << 20  # of the largest signal in a piece, so that a piece stays in the cache
_LEAST_OPERATIONS = 800  # on each weight in a piece, so that reading it takes little of the time


class Compiled:
    """A generator on this CPU: its graph with the longest part that has kernels as one program.

    Several threads compute parts of the time axis, each with the frames around it on which it
    depends. The result is that of `Eager` to float rounding. `short` and `long` are examples of the
    generator's inputs, as of `read_graph`. Raises ConfigError if it has no such part.
    """

    def __init__(
        self, generator: Generator, short: Mapping[str, Tensor], long: Mapping[str, Tensor]
    ) -> None:
        graph = read_graph(generator, short, long, leaves=MODULES)
        self._inputs = [name for name in parameters(generator) if name in long]
        self._split = split(graph)
        self._program = self._split.program
        frames, period = _PIECE_BYTES // (4 * self._program.floats), self._program.period
        frames = max(frames, round(_LEAST_OPERATIONS / self._program.operations_per_weight))
        self.frames = max(frames // period, 1) * period
        self._sessions: queue.SimpleQueue[Session] = queue.SimpleQueue()

    @property
    def path(self) -> str:
        """How the generator runs."""
        count = torch.get_num_threads()
        threads = "1 thread" if count == 1 else f"{count} threads"
        return f"compiled for this CPU ({cpu().name}), {threads}"

    @torch.inference_mode()
    def __call__(self, **features: Tensor) -> Tensor:
        """Generate audio. Shape: features as of the generator → [B, C, T]."""
        split = self._split
        values: dict[int, Any] = {}
        for name, signal in zip(self._inputs, split.graph.inputs, strict=True):
            values[signal.index] = features[name]
        _run(split.before, values)
        sources = [values[signal.index] for signal in split.sources]
        results = self._generate(sources)
        for signal, result in zip(split.results, results, strict=True):
            values[signal.index] = result
        _run(split.after, values)
        audio: Tensor = values[split.graph.output.index]
        return audio

    def _generate(self, sources: list[Tensor]) -> list[Tensor]:
        """Results of the program for a batch of sources."""
        split = self._split
        rows = [
            np.ascontiguousarray((x.mT if s.axis == 2 else x).numpy())
            for x, s in zip(sources, split.sources, strict=True)
        ]  # [B, T, C]
        frames = rows[0].shape[1] // self._program.sources[0].rate
        made = [
            np.empty((len(rows[0]), frames * s.rate, s.channels), np.float32)
            for s in self._program.results
        ]
        threads = torch.get_num_threads()
        parts = _parts(len(rows[0]), frames, threads, self._program)
        run_tasks(
            (partial(self._part, rows, made, each) for each in parts), min(threads, len(parts))
        )
        results = [torch.from_numpy(array) for array in made]
        return [
            x.mT.contiguous() if s.axis == 2 else x
            for x, s in zip(results, split.results, strict=True)
        ]

    def _part(self, rows: list[Any], made: list[Any], part: "_Part") -> None:
        """Compute one part of the results of one item."""
        try:
            session = self._sessions.get_nowait()
        except queue.Empty:
            session = Session(self._program, self.frames)
        program = self._program
        frames = rows[0].shape[1] // program.sources[0].rate
        start = max(part.start - program.before, 0)
        stop = min(part.stop + program.after, frames)
        session.begin(part.start - start if start else 0)
        done = [start * signal.rate + session.end(signal) for signal in program.results]
        for frame in range(start, stop, self.frames):
            count = min(self.frames, stop - frame)
            for place, x, signal in zip(session.input(count), rows, program.sources, strict=True):
                first, last = frame * signal.rate, (frame + count) * signal.rate
                place[:, : signal.channels] = x[part.item, first:last]
            # A part ends as the input does: what is wrong then lies in the frames after it.
            last = frame + count == stop
            for n, block in enumerate(session.step(count, last=last, dropped=stop - part.stop)):
                signal = program.results[n]
                low, high = part.start * signal.rate, part.stop * signal.rate
                skip = max(low - done[n], 0)
                keep = block[skip : max(high - done[n], 0), : signal.channels]
                made[n][part.item, done[n] + skip : done[n] + skip + len(keep)] = keep
                done[n] += len(block)
        self._sessions.put(session)


class _Part(NamedTuple):
    item: int
    start: int
    stop: int


def _parts(items: int, frames: int, threads: int, program: Program) -> list[_Part]:
    """Parts of a batch: as many as threads where their edges cost little."""
    edge = program.before + program.after
    most = max(1, frames // max(2 * edge, 1)) if items < threads else 1
    count = max(1, min(-(-threads // items), most))
    cuts = [round(n * frames / count) for n in range(count + 1)]
    return [_Part(i, a, b) for i in range(items) for a, b in zip(cuts, cuts[1:], strict=False)]


class Split(NamedTuple):
    """A graph in three parts: PyTorch, a program, PyTorch."""

    graph: Graph
    before: list[Operation]
    program: Program
    after: list[Operation]
    sources: list[Signal]
    results: list[Signal]


def split(graph: Graph) -> Split:
    """Find the operations that have kernels. Raises ConfigError if there are none."""
    before, after, inside = [], [], []
    lowering = new_lowering(graph)
    late: set[int] = set()
    sources: dict[int, Signal] = {}
    for operation in graph.operations:
        read = {signal.index for signal in operation.inputs}
        if read & late:
            after.append(operation)
            late.add(operation.output.index)
            continue
        fresh = [s for s in operation.inputs if not lowering.knows(s)]
        if not fresh or lowering.begins(operation):
            for signal in fresh:
                lowering.source(signal, 1)
            if lowering.add(operation):
                inside.append(operation)
                sources |= {signal.index: signal for signal in fresh}
                continue
            for signal in fresh:
                del lowering.signals[signal.index]
        if any(lowering.knows(signal) for signal in operation.inputs):
            after.append(operation)
            late.add(operation.output.index)
        else:
            before.append(operation)
    if not inside:
        raise ConfigError("no operation of the generator has a compiled kernel")
    made = {operation.output.index: operation.output for operation in inside}
    wanted = {s.index for operation in after for s in operation.inputs} | {graph.output.index}
    results = [signal for index, signal in made.items() if index in wanted]
    if any(signal.index in lowering.pending for signal in results):
        raise ConfigError("a padded signal has a reader without a kernel")
    _require_rates(list(sources.values()), results)
    ends = [lowering.signals[signal.index] for signal in results]
    starts = [lowering.signals[index] for index in sources]
    program = Program(fused(lowering.nodes, ends), starts, ends)
    return Split(graph, before, program, after, list(sources.values()), results)


def _require_rates(sources: list[Signal], results: list[Signal]) -> None:
    """Raise ConfigError unless all sources have equal length, and results a multiple of it."""
    for values in ([s.short for s in sources], [s.long for s in sources]):
        sizes = {value.shape[s.axis] for value, s in zip(values, sources, strict=True)}
        if len(sizes) != 1:
            raise ConfigError("its convolutions begin with signals of different lengths")
    first = sources[0]
    for result in results:
        for whole, start in ((result.short, first.short), (result.long, first.long)):
            if whole.shape[result.axis] * first.growth != start.shape[first.axis] * result.growth:
                raise ConfigError("a convolution changes the length of its input")


def _run(operations: list[Operation], values: dict[int, Any]) -> None:
    for operation in operations:
        read = (values[signal.index] for signal in operation.inputs)
        values[operation.output.index] = operation.function(*read)
