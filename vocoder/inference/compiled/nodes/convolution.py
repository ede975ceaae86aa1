"""Convolutions of a compiled generator, dense ones and transposed ones."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from vocoder.inference.compiled.nodes.base import (
    Call,
    Floats,
    Node,
    RowMemory,
    Rows,
    RowSignal,
    bits,
)
from vocoder.kernels.jit.compiler import compiled, cpu
from vocoder.kernels.rows import SLACK, convolution, toom_cook

_SCRATCH_FLOATS = 128 * 1024  # half of a megabyte, for the sums of a fast convolution
_FEWEST_TILES, _MOST_TILES = 64, 256  # fewer would read the weights too often


@dataclass(eq=False)
class Epilogue:
    """What follows a convolution in its kernel: added signals, a factor, an activation."""

    raw: RowSignal | None
    activated: RowSignal | None = None
    added: list[RowSignal] = field(default_factory=list)
    factor: float = 1.0
    slope: float = 1.0
    act: int = convolution.LEAKY_RELU


@dataclass(eq=False)
class Taps:
    """Taps of a convolution that make a group of output channels from the same rows of input."""

    first: int
    """Row of input of the first tap, relative to the row of output."""
    weight: Floats
    """Shape: [O, I, K]."""
    column: int
    """Where its channels are in a row of output."""

    @property
    def size(self) -> int:
        """Number of taps."""
        return int(self.weight.shape[2])

    @cached_property
    def packed(self) -> Floats:
        """The weights in the order in which the kernel reads them."""
        machine = cpu()
        shape = convolution.tile(self.weight.shape[0], machine)
        return convolution.pack(self.weight, shape, machine.lanes)

    def kernel(self, act: int) -> int:
        """Address of the kernel, which ends with an activation."""
        out, inside, _ = self.weight.shape
        return convolution.kernel(out, cpu(), inside, act).address


@dataclass(eq=False)
class Convolution(Node):
    """Convolution of stride 1, or a transposed one whose `stride` outputs are one wide row."""

    source: RowSignal
    groups: list[Taps]
    bias: Floats  # of a wide row
    epilogue: Epilogue
    dilation: int = 1
    stride: int = 1
    growth: int = 0
    """Rows by which the output is longer than the input."""

    @property
    def weights(self) -> list[Taps]:
        """All its weights."""
        return self.groups

    @property
    def inputs(self) -> tuple[RowSignal, ...]:  # type: ignore[override]
        """The source, and the signals that are added."""
        return (self.source, *self.epilogue.added)

    @property
    def outputs(self) -> tuple[RowSignal, ...]:  # type: ignore[override]
        """The raw and the activated result, those that are needed."""
        both = (self.epilogue.raw, self.epilogue.activated)
        return tuple(signal for signal in both if signal is not None)

    @cached_property
    def reach(self) -> tuple[int, int]:
        """First and last row of input that a row of output needs, relative to it."""
        last = max(taps.first + (taps.size - 1) * self.dilation for taps in self.groups)
        return min(taps.first for taps in self.groups), last

    def ready(self, rows: int, *, ended: bool) -> int:
        """Rows of output that can be computed from `rows` rows of input."""
        count = rows + self.growth if ended else rows - self.reach[1]
        return max(count, 0) * self.stride

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """First row and row after the last one of the source that these rows of output need."""
        first, last = start // self.stride, -(-stop // self.stride)
        return first + self.reach[0], last + self.reach[1]

    def calls(self, memory: RowMemory, rows: Rows) -> Iterator[Call]:
        """One call for each group of taps."""
        end, first = self.epilogue, rows.start // self.stride
        count = rows.stop // self.stride - first

        def place(signal: RowSignal | None, column: int) -> int:
            if signal is None:
                return 0
            return memory.address(signal, rows.start) + 4 * column

        def step(signal: RowSignal | None) -> int:
            return 0 if signal is None else self.stride * signal.width

        added = [*end.added, None, None][:2]
        for taps in self.groups:
            yield (
                taps.kernel(end.act),
                memory.address(self.source, first + taps.first),
                taps.packed.ctypes.data,
                self.bias.ctypes.data + 4 * taps.column,
                place(end.raw, taps.column),
                place(end.activated, taps.column),
                *(place(signal, taps.column) for signal in added),
                count,
                taps.weight.shape[1],
                taps.size,
                self.source.width,
                self.dilation * self.source.width,
                step(end.raw),
                step(end.activated),
                *map(step, added),
                len(taps.packed),
                bits(end.factor),
                bits(end.slope),
            )


@dataclass(eq=False)
class FastConvolution(Convolution):
    """Convolution by Toom and Cook's algorithm, in blocks of `block` rows."""

    def __post_init__(self) -> None:
        (taps,) = self.groups
        weights = toom_cook.transformed(taps.weight)
        self.size: int = toom_cook.piece_size(taps.size)
        self.block = toom_cook.OUTPUTS * self.dilation
        self.pieces = int(weights[0].shape[2])
        self.products = [Taps(0, weight, 0) for weight in weights]
        self.width: int = len(self.bias)
        self.none = np.zeros(self.width, np.float32)
        floats = len(weights) * (self.source.width + self.width)
        tiles = min(max(_SCRATCH_FLOATS // floats, _FEWEST_TILES), _MOST_TILES)
        self.blocks = max(tiles // self.dilation, 1)  # at a time
        self.tiles = (self.blocks + self.pieces - 1) * self.dilation + SLACK
        self.kernels = [
            compiled(write, self.size)
            for write in (toom_cook.write_inputs, toom_cook.write_outputs)
        ]

    @property
    def weights(self) -> list[Taps]:
        """All its weights."""
        return self.products

    @property
    def zeros(self) -> int:
        """Rows of zeros around the source: at the end it computes whole blocks and pieces, too."""
        return super().zeros + self.block + self.size * self.dilation

    @property
    def scratch(self) -> int:
        """Floats for the sums of inputs and the products."""
        return len(self.products) * self.tiles * (self.source.width + self.width)

    def ready(self, rows: int, *, ended: bool) -> int:
        """Whole blocks, whose input is complete; at the end all rows."""
        if ended:
            return super().ready(rows, ended=ended)
        count = rows - self.groups[0].first - (self.pieces * self.size - 1) * self.dilation
        return max(count, 0) // self.block * self.block

    def calls(self, memory: RowMemory, rows: Rows) -> Iterator[Call]:
        """For as many blocks as fit into the cache: sums of inputs, products, sums of products."""
        step = self.blocks * self.block
        for start in range(rows.start, rows.stop, step):
            stop = min(start + step, rows.stop)
            yield from self._chunk(memory, start, -(-(stop - start) // self.block))

    def _chunk(self, memory: RowMemory, start: int, blocks: int) -> Iterator[Call]:
        end, dilation, inside = self.epilogue, self.dilation, self.source.width
        inputs, count = memory.scratch, len(self.products)
        outputs = inputs + 4 * count * self.tiles * inside
        source = memory.address(self.source, start + self.groups[0].first)
        yield (
            self.kernels[0].address,
            *(source, inputs, blocks + self.pieces - 1, dilation, inside),
            inside // cpu().lanes,
            self.tiles * inside,
        )
        for number, taps in enumerate(self.products):
            yield (
                taps.kernel(convolution.LEAKY_RELU),
                inputs + 4 * number * self.tiles * inside,
                taps.packed.ctypes.data,
                self.none.ctypes.data,
                outputs + 4 * number * self.tiles * self.width,
                *(0, 0, 0, blocks * dilation, taps.weight.shape[1], self.pieces),
                *(inside, dilation * inside, self.width, 0, 0, 0),
                *(len(taps.packed), bits(1.0), bits(1.0)),
            )
        signals = [end.raw, end.activated, *end.added, None, None][:4]
        yield (
            self.kernels[1].address,
            *(outputs, self.bias.ctypes.data),
            *(0 if signal is None else memory.address(signal, start) for signal in signals),
            *(blocks, dilation, self.width // cpu().lanes, self.tiles * self.width),
            *(0 if signal is None else signal.width for signal in signals),
            *(bits(end.factor), bits(end.slope)),
        )


def place_together(nodes: Iterable[Node]) -> None:
    """Move the weights of all convolutions into one array.

    An array of several megabytes has large pages, of which many more are within the CPU's reach.
    """
    every = [taps for node in nodes if isinstance(node, Convolution) for taps in node.weights]
    together = np.empty(sum(taps.packed.size for taps in every), np.float32)
    begin = 0
    for taps in every:
        place = together[begin : begin + taps.packed.size].reshape(taps.packed.shape)
        place[:] = taps.packed
        taps.packed = place
        begin += place.size


def transposed_groups(weight: Floats, *, stride: int, padding: int, width: int) -> list[Taps]:
    """The taps of a transposed convolution, in groups of phases that need the same rows.

    Output `g * stride + phase` is the sum over j of `x[g + shift - j] * weight[…, k + j * stride]`
    with `shift, k = divmod(phase + padding, stride)`.   Shape: weight [I, O, K].

    Args:
        weight: Weights as torch has them.
        stride: Upsampling factor.
        padding: Outputs that are dropped at the beginning.
        width: Floats in a row of output.
    """
    inside, out, size = weight.shape
    groups = []
    shifts = [(phase + padding) // stride for phase in range(stride)]
    for shift in sorted(set(shifts)):
        phases = [phase for phase in range(stride) if shifts[phase] == shift]
        starts = [(phase + padding) % stride for phase in phases]
        count = max(math.ceil((size - k) / stride) for k in starts)
        taps = np.zeros((len(phases), width, inside, count), np.float32)
        for place, k in enumerate(starts):
            for j, position in enumerate(range(k, size, stride)):
                taps[place, :out, :, count - 1 - j] = weight[:, :, position].T
        merged = taps.reshape(len(phases) * width, inside, count)
        groups.append(Taps(shift - count + 1, merged, phases[0] * width))
    return groups
