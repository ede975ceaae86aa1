"""Operations of a compiled generator, on signals that are rows of channels."""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from vocoder.kernels.jit.compiler import compiled, cpu
from vocoder.kernels.rows import convolution, simple

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


@dataclass(eq=False)
class Epilogue:
    """What follows a convolution in its kernel: added signals, a factor, a leaky ReLU."""

    raw: Signal | None
    activated: Signal | None = None
    added: list[Signal] = field(default_factory=list)
    factor: float = 1.0
    slope: float = 1.0


@dataclass(eq=False)
class Taps:
    """Taps of a convolution that make a group of output channels from the same rows of input."""

    first: int
    """Row of input of the first tap, relative to the row of output."""
    weight: np.ndarray
    """Shape: [O, I, K]."""
    column: int
    """Where its channels are in a row of output."""

    def __post_init__(self) -> None:
        machine = cpu()
        out, inside, self.size = self.weight.shape
        shape = convolution.tile(out, machine)
        self.packed = convolution.pack(self.weight, shape, machine.lanes)
        self.kernel = convolution.kernel(out, machine, inside)
        self.channels = out


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
                taps.kernel.address,
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
        if isinstance(node, Convolution):
            first, last = node.reach
            node.source.zeros = max(node.source.zeros, -first, last)
