"""An ONNX graph under construction, and the values that flow in it.

While a network is converted, a value of it is one of four things: a constant (a tensor or a plain
Python value), a `GraphTensor`, a `Complex` pair of them, or a `Size`, which depends on the lengths.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vocoder.errors import ConfigError

END = (1 << 63) - 1  # as the end of a slice: the last element


@dataclass(frozen=True)
class GraphTensor:
    """A real tensor in the graph; `shape` has None for axes whose size varies."""

    name: str
    dtype: torch.dtype
    shape: tuple[int | None, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


@dataclass(frozen=True)
class Complex:
    """A complex tensor in the graph: ONNX computes with its real and imaginary part."""

    real: GraphTensor
    imag: GraphTensor

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.real.ndim


@dataclass(frozen=True)
class Size:
    """An integer that depends on the lengths of the inputs: a tensor int64 [1] in the graph."""

    name: str


class GraphBuilder:
    """Nodes and constants of an ONNX graph, in the order in which they are added.

    `opset` is the version of ONNX's operators, and `use_dft` whether spectra are computed by its
    DFT operator instead of matrix products. `made` is the example of the result of the operation
    that is being converted, whose type and shape converters may look up.
    """

    def __init__(self, opset: int, *, use_dft: bool = False) -> None:
        self.opset, self.use_dft = opset, use_dft
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.made: Any = None
        self._count = 0
        self._known: dict[tuple[Any, ...], str] = {}

    def op(self, kind: str, *inputs: str | None, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name. None is an absent input."""
        return self.ops(kind, inputs, 1, **attributes)[0]

    def ops(
        self, kind: str, inputs: Sequence[str | None], count: int, **attributes: Any
    ) -> list[str]:
        """Add a node with `count` outputs; returns their names."""
        from onnx import helper

        names = [self._fresh(kind) for _ in range(count)]
        given = ["" if name is None else name for name in inputs]
        while given and not given[-1]:
            given.pop()
        self.nodes.append(helper.make_node(kind, given, names, name=names[0], **attributes))
        return names

    def const(self, value: Any, dtype: torch.dtype | None = None) -> str:
        """Name of a constant: a tensor, or numbers of the given type."""
        from onnx import numpy_helper

        array = torch.as_tensor(value, dtype=dtype, device="cpu").detach().contiguous().numpy()
        # Equal constants, such as the matrices of a transform, are stored once.
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._known:
            self._known[key] = self._fresh("constant")
            self.initializers.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def ints(self, *values: "int | Size") -> str:
        """Name of a vector of integers, some of which may be sizes."""
        if not any(isinstance(value, Size) for value in values):
            return self.const(list(values), torch.int64)
        parts = [v.name if isinstance(v, Size) else self.ints(v) for v in values]
        return self.op("Concat", *parts, axis=0)

    def name(self, value: Any, dtype: torch.dtype | None = None) -> str:
        """Name of a real value, converted to `dtype` where it has another."""
        if isinstance(value, GraphTensor):
            return value.name if dtype in (None, value.dtype) else self.cast(value.name, dtype)
        if isinstance(value, Size):
            return value.name if dtype in (None, torch.int64) else self.cast(value.name, dtype)
        if isinstance(value, Complex):
            raise ConfigError("a complex value where ONNX export expects a real one")
        return self.const(value, dtype)

    def cast(self, name: str, dtype: torch.dtype | None) -> str:
        """Add a conversion to another type."""
        return self.op("Cast", name, to=onnx_type(dtype))

    def size(self, value: GraphTensor, axis: int) -> "int | Size":
        """Size of an axis: a number where it is known, else a `Size`."""
        known = value.shape[axis]
        if known is not None:
            return known
        shape = self.op("Shape", value.name)
        return Size(self.op("Gather", shape, self.ints(axis % value.ndim)))

    def reshape(self, name: str, *sizes: "int | Size") -> str:
        """Reshape; 0 keeps the size of the axis of that index, and -1 takes what remains."""
        return self.op("Reshape", name, self.ints(*sizes))

    def transpose(self, name: str, *axes: int) -> str:
        """Permute axes."""
        return self.op("Transpose", name, perm=list(axes))

    def slice(self, name: str, axis: int, start: Any = 0, end: Any = END, step: int = 1) -> str:
        """Part of an axis, from `start` to before `end`, which may count from the end."""
        sizes = [self.ints(value) for value in (start, end, axis, step)]
        return self.op("Slice", name, *sizes)

    def concat(self, names: Sequence[str], axis: int) -> str:
        """Join along an axis."""
        return names[0] if len(names) == 1 else self.op("Concat", *names, axis=axis)

    def pad(self, name: str, ndim: int, axis: int, left: Any, right: Any, mode: str) -> str:
        """Pad one axis: "constant" (zeros) or "edge"."""
        pads: list[Any] = [0] * (2 * ndim)
        pads[axis], pads[ndim + axis] = left, right
        return self.op("Pad", name, self.ints(*pads), mode=mode)

    def reduce(self, kind: str, name: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Add a reduction (ReduceSum, ReduceMean, ReduceMax) over axes."""
        return self.op(kind, name, self.ints(*axes), keepdims=int(keep))

    def sum(self, names: Sequence[str]) -> str:
        """Sum of several tensors, in order."""
        total = names[0]
        for name in names[1:]:
            total = self.op("Add", total, name)
        return total

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"


def onnx_type(dtype: torch.dtype | None) -> int:
    """ONNX's number of a type of tensors."""
    from onnx import TensorProto

    types = {
        torch.float32: TensorProto.FLOAT,
        torch.float64: TensorProto.DOUBLE,
        torch.int64: TensorProto.INT64,
        torch.int32: TensorProto.INT32,
        torch.bool: TensorProto.BOOL,
    }
    if dtype not in types:
        raise ConfigError(f"ONNX export knows no type for {dtype}")
    return int(types[dtype])


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """Type of the parts of a complex type; others as they are."""
    return {torch.complex64: torch.float32, torch.complex128: torch.float64}.get(dtype, dtype)


def parts(value: Any) -> tuple[Any, Any]:
    """Real and imaginary part of any value; None for the imaginary part of a real one."""
    if isinstance(value, Complex):
        return value.real, value.imag
    if isinstance(value, Tensor) and value.is_complex():
        return value.real, value.imag
    return value, None
