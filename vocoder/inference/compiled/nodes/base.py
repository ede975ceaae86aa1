"""What a compiled generator consists of: signals that are rows of channels, and nodes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from vocoder.kernels.jit.compiler import cpu
from vocoder.kernels.rows import convolution

Floats = np.ndarray[Any, np.dtype[np.float32]]
Call = tuple[int, ...]
"""Address of a kernel, and its arguments."""


@dataclass(eq=False)
class RowSignal:
    """Rows of channels: `rate` of them for each frame of the program's input."""

    channels: int
    rate: int
    zeros: int = 0
    """Rows of zeros that its readers need before its first row and after its last one."""
    stride: int = 1
    """Rows that its node makes at once."""

    @cached_property
    def width(self) -> int:
        """Floats in a row: its channels, filled up by zeros."""
        return convolution.padded(self.channels, cpu())


class RowMemory(Protocol):
    """Where the rows of signals are while a program runs."""

    scratch: int
    """Address of memory that a node may use while it runs."""

    def address(self, signal: RowSignal, row: int) -> int:
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
    """An operation: the signals that it reads and writes, and which rows need which.

    The first of its inputs is the one whose rows around an output are needed; of others, those at
    the same place.
    """

    inputs: tuple[RowSignal, ...]
    outputs: tuple[RowSignal, ...]
    growth: int = 0
    """Rows by which the output is longer than the first input."""

    @property
    def reach(self) -> tuple[int, int]:
        """First and last row of the first input that a row of output needs, relative to it."""
        return 0, 0

    @property
    def zeros(self) -> int:
        """Rows of zeros that it needs before and after its first input."""
        return max(-self.reach[0], self.reach[1])

    @property
    def scratch(self) -> int:
        """Floats of memory that it uses while it runs."""
        return 0

    def ready(self, rows: int, *, ended: bool) -> int:
        """Rows of output that can be computed from `rows` rows of input."""
        return max(rows + self.growth if ended else rows - self.reach[1], 0)

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """First row and row after the last one of the first input that these rows need."""
        return start + self.reach[0], stop + self.reach[1]

    def calls(self, memory: RowMemory, rows: Rows) -> Iterator[Call]:
        """Calls of kernels that compute these rows."""
        raise NotImplementedError
