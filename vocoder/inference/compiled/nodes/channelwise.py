"""Nodes that treat each channel by itself, but for layer norm: sums, filters, activations."""

from collections.abc import Iterator
from dataclasses import dataclass

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
from vocoder.kernels.rows import activation, depthwise, simple

_FAR = 1 << 20  # rows: so far from both ends that they do not matter


@dataclass(eq=False)
class Sum(Node):
    """`leaky((a + b) * factor)`, or of one signal."""

    inputs: tuple[RowSignal, ...]
    outputs: tuple[RowSignal, ...]
    factor: float = 1.0
    slope: float = 1.0

    def calls(self, memory: RowMemory, rows: Rows) -> Iterator[Call]:
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

    inputs: tuple[RowSignal, ...]
    outputs: tuple[RowSignal, ...]
    weight: Floats  # [K, width]
    bias: Floats
    first: int
    dilation: int
    growth: int = 0

    @property
    def reach(self) -> tuple[int, int]:
        """First and last row of input that a row of output needs, relative to it."""
        return self.first, self.first + (len(self.weight) - 1) * self.dilation

    def calls(self, memory: RowMemory, rows: Rows) -> Iterator[Call]:
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

    inputs: tuple[RowSignal, ...]
    outputs: tuple[RowSignal, ...]
    weight: Floats
    bias: Floats
    epsilon: float

    def calls(self, memory: RowMemory, rows: Rows) -> Iterator[Call]:
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

    inputs: tuple[RowSignal, ...]
    outputs: tuple[RowSignal, ...]
    kind: int
    alpha: Floats | None = None
    scale: Floats | None = None
    slope: float = 1.0
    anti_aliased: bool = False
    causal: bool = False

    @property
    def reach(self) -> tuple[int, int]:
        """First and last row of input that a row of output needs, relative to it."""
        if not self.anti_aliased:
            return 0, 0
        return (-10, 0) if self.causal else (-5, 5)

    def calls(self, memory: RowMemory, rows: Rows) -> Iterator[Call]:
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
