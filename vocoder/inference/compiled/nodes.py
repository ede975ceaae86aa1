"""Operations of a compiled generator, on signals that are rows of channels."""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from vocoder.kernels.jit.compiler import compiled, cpu
from vocoder.kernels.rows import SLACK, activation, convolution, depthwise, simple, toom_cook

_SCRATCH_FLOATS = 128 * 1024  # half of a megabyte, for the sums of a fast convolution
_FEWEST_TILES, _MOST_TILES = 64, 256  # fewer would read the weights too often
_FAR = 1 << 20  # rows: so far from both ends that they do not matter
Call = tuple[int, ...]
"""Address of a kernel, and its arguments."""


@dataclass(eq=False)
class Signal:
    """Rows of channels: `rate` of them for each frame of the program's input."""

    channels: int
    rate: int
    zeros: int = 0
    """Rows of zeros that its readers need before its first row and after its last one."""
    stride: int = 1
    """Rows that its node makes at once."""

    @cached_property
    def width(self) -> int:
        """Floats in a row: its channels, filled up by zeros to whole vectors."""
        lanes = cpu().lanes
        return -(-self.channels // lanes) * lanes


class Memory(Protocol):
    """Where the rows of signals are while a program runs."""

    scratch: int
    """Address of memory that a node may use while it runs."""

    def address(self, signal: Signal, row: int) -> int:
        """Address of a row, counted from the beginning of the signal."""
        ...


class Rows(NamedTuple):
    """Rows that a node computes, and the last row of its input if that has ended."""

    start: int
    stop: int
    last: int | None


def bits(value: float) -> int:
    """A float32 as an entry of a call."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


class Node:
    """An operation: the signals that it reads and writes, and which rows need which."""

    inputs: tuple[Signal, ...]
    outputs: tuple[Signal, ...]

    def ready(self, rows: int, *, ended: bool) -> int:
        """Rows of output that can be computed from `rows` rows of input."""
        raise NotImplementedError

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """First row and row after the last one of the inputs that these rows of output need."""
        raise NotImplementedError

    def calls(self, memory: Memory, rows: Rows) -> Iterator[Call]:
        """Calls of kernels that compute these rows."""
        raise NotImplementedError

    @property
    def scratch(self) -> int:
        """Floats of memory that it uses while it runs."""
        return 0


@dataclass(eq=False)
class Epilogue:
    """What follows a convolution in its kernel: added signals, a factor, an activation."""

    raw: Signal | None
    activated: Signal | None = None
    added: list[Signal] = field(default_factory=list)
    factor: float = 1.0
    slope: float = 1.0
    act: int = convolution.LEAKY_RELU


@dataclass(eq=False)
class Taps:
    """Taps of a convolution that make a group of output channels from the same rows of input."""

    first: int
    """Row of input of the first tap, relative to the row of output."""
    weight: np.ndarray
    """Shape: [O, I, K]."""
    column: int
    """Where its channels are in a row of output."""

    @property
    def size(self) -> int:
        """Number of taps."""
        return int(self.weight.shape[2])

    @cached_property
    def packed(self) -> np.ndarray:
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

    source: Signal
    groups: list[Taps]
    bias: np.ndarray  # of a wide row
    epilogue: Epilogue
    dilation: int = 1
    stride: int = 1
    growth: int = 0
    """Rows by which the output is longer than the input."""

    @property
    def inputs(self) -> tuple[Signal, ...]:  # type: ignore[override]
        """The source, and the signals that are added."""
        return (self.source, *self.epilogue.added)

    @property
    def outputs(self) -> tuple[Signal, ...]:  # type: ignore[override]
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

    def calls(self, memory: Memory, rows: Rows) -> Iterator[Call]:
        """One call for each group of taps."""
        end, first = self.epilogue, rows.start // self.stride
        count = rows.stop // self.stride - first

        def place(signal: Signal | None, column: int) -> int:
            if signal is None:
                return 0
            return memory.address(signal, rows.start) + 4 * column

        def step(signal: Signal | None) -> int:
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
        self.size = toom_cook.piece_size(taps.size)
        self.block = toom_cook.OUTPUTS * self.dilation
        self.pieces = weights[0].shape[2]
        self.products = [Taps(0, weight, 0) for weight in weights]
        self.width = len(self.bias)
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
    def scratch(self) -> int:
        """Floats for the sums of inputs and the products."""
        return len(self.products) * self.tiles * (self.source.width + self.width)

    def ready(self, rows: int, *, ended: bool) -> int:
        """Whole blocks, whose input is complete; at the end all rows."""
        if ended:
            return super().ready(rows, ended=ended)
        count = rows - self.groups[0].first - (self.pieces * self.size - 1) * self.dilation
        return max(count, 0) // self.block * self.block

    def calls(self, memory: Memory, rows: Rows) -> Iterator[Call]:
        """For as many blocks as fit into the cache: sums of inputs, products, sums of products."""
        step = self.blocks * self.block
        for start in range(rows.start, rows.stop, step):
            stop = min(start + step, rows.stop)
            yield from self._chunk(memory, start, -(-(stop - start) // self.block))

    def _chunk(self, memory: Memory, start: int, blocks: int) -> Iterator[Call]:
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


@dataclass(eq=False)
class Sum(Node):
    """`leaky((a + b) * factor)`, or of one signal."""

    inputs: tuple[Signal, ...]
    outputs: tuple[Signal, ...]
    factor: float = 1.0
    slope: float = 1.0

    def ready(self, rows: int, *, ended: bool) -> int:
        """Rows of output that can be computed from `rows` rows of input."""
        return rows

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """The same rows."""
        return start, stop

    def calls(self, memory: Memory, rows: Rows) -> Iterator[Call]:
        """One call for all floats."""
        places = [memory.address(signal, rows.start) for signal in (*self.outputs, *self.inputs)]
        yield (
            compiled(simple.write_sum).address,
            *(places + [0])[:3],
            (rows.stop - rows.start) * self.outputs[0].width,
            bits(self.factor),
            bits(self.slope),
        )


@dataclass(eq=False)
class Depthwise(Node):
    """Convolution of each channel by itself."""

    inputs: tuple[Signal, ...]
    outputs: tuple[Signal, ...]
    weight: np.ndarray  # [K, width]
    bias: np.ndarray
    first: int
    dilation: int
    growth: int

    @property
    def reach(self) -> tuple[int, int]:
        """First and last row of input that a row of output needs, relative to it."""
        return self.first, self.first + (len(self.weight) - 1) * self.dilation

    def ready(self, rows: int, *, ended: bool) -> int:
        """Rows of output that can be computed from `rows` rows of input."""
        return max(rows + self.growth if ended else rows - self.reach[1], 0)

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """First row and row after the last one of the input that these rows of output need."""
        return start + self.reach[0], stop + self.reach[1]

    def calls(self, memory: Memory, rows: Rows) -> Iterator[Call]:
        """One call."""
        (source,), (output,) = self.inputs, self.outputs
        yield (
            compiled(depthwise.write_depthwise).address,
            memory.address(source, rows.start + self.first),
            memory.address(output, rows.start),
            *(self.weight.ctypes.data, self.bias.ctypes.data),
            *(rows.stop - rows.start, len(self.weight), source.width, self.dilation * source.width),
            output.width // cpu().lanes,
        )


@dataclass(eq=False)
class Norm(Node):
    """Layer norm over the channels."""

    inputs: tuple[Signal, ...]
    outputs: tuple[Signal, ...]
    weight: np.ndarray
    bias: np.ndarray
    epsilon: float

    def ready(self, rows: int, *, ended: bool) -> int:
        """Rows of output that can be computed from `rows` rows of input."""
        return rows

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """The same rows."""
        return start, stop

    def calls(self, memory: Memory, rows: Rows) -> Iterator[Call]:
        """One call."""
        (source,), (output,) = self.inputs, self.outputs
        yield (
            compiled(depthwise.write_norm).address,
            *(memory.address(signal, rows.start) for signal in (source, output)),
            *(self.weight.ctypes.data, self.bias.ctypes.data),
            *(rows.stop - rows.start, output.width // cpu().lanes),
            *(bits(1.0 / source.channels), bits(self.epsilon)),
        )


@dataclass(eq=False)
class Activation(Node):
    """An activation, plain or at twice the rate between two filters."""

    inputs: tuple[Signal, ...]
    outputs: tuple[Signal, ...]
    kind: int
    alpha: np.ndarray | None = None
    scale: np.ndarray | None = None
    slope: float = 1.0
    anti_aliased: bool = False
    causal: bool = False

    @property
    def reach(self) -> tuple[int, int]:
        """First and last row of input that a row of output needs, relative to it."""
        if not self.anti_aliased:
            return 0, 0
        return (-10, 0) if self.causal else (-5, 5)

    def ready(self, rows: int, *, ended: bool) -> int:
        """Rows of output that can be computed from `rows` rows of input."""
        return rows if ended else max(rows - self.reach[1], 0)

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """First row and row after the last one of the input that these rows of output need."""
        return start + self.reach[0], stop + self.reach[1]

    def calls(self, memory: Memory, rows: Rows) -> Iterator[Call]:
        """One call."""
        (source,), (output,) = self.inputs, self.outputs
        common = (
            memory.address(source, rows.start),
            memory.address(output, rows.start),
            *(0 if values is None else values.ctypes.data for values in (self.alpha, self.scale)),
            rows.stop - rows.start,
            *(source.width, output.width, output.width // cpu().lanes, bits(self.slope)),
        )
        if not self.anti_aliased:
            yield (compiled(activation.write_plain, self.kind).address, *common)
            return
        kernel = compiled(activation.write_anti_aliased, self.kind, int(self.causal))
        last = _FAR if rows.last is None else rows.last - rows.start
        yield (kernel.address, *common, max(-rows.start, -_FAR), last)


def transposed_groups(weight: np.ndarray, *, stride: int, padding: int, width: int) -> list[Taps]:
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


def zero_rows(nodes: Sequence[Node]) -> None:
    """Set how many rows of zeros every signal has at its ends."""
    for node in nodes:
        if isinstance(node, Convolution | Depthwise):
            first, last = node.reach
            if isinstance(node, FastConvolution):  # whole blocks and pieces at the end, too
                last += node.block + node.size * node.dilation
            source = node.inputs[0]
            source.zeros = max(source.zeros, -first, last)
