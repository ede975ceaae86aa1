"""Sums, extremes and products over axes, as ONNX nodes.

Converters are as in `vocoder.export.operations.pointwise`.
"""

from typing import Any

import torch

from vocoder.export.graph import GraphBuilder
from vocoder.export.operations.pointwise import Converter, Result


def _reduction(kind: str) -> Converter:
    def convert(b: GraphBuilder, input: Any, dim: Any = None, keepdim: bool = False) -> Result:
        axes = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        return b.reduce(kind, input.name, list(axes), keep=keepdim)

    return convert


def _matmul(b: GraphBuilder, input: Any, other: Any) -> Result:
    dtype = b.made.dtype
    return b.op("MatMul", b.name(input, dtype), b.name(other, dtype))


def _argmax(b: GraphBuilder, input: Any, dim: int, keepdim: bool = False) -> Result:
    return b.op("ArgMax", input.name, axis=dim, keepdims=int(keepdim))


def _cumsum(b: GraphBuilder, input: Any, dim: int) -> Result:
    return b.op("CumSum", input.name, b.const(dim % input.ndim, torch.int64))


REDUCTIONS: dict[str, Converter] = {
    "sum": _reduction("ReduceSum"),
    "mean": _reduction("ReduceMean"),
    "amax": _reduction("ReduceMax"),
    "amin": _reduction("ReduceMin"),
    "matmul": _matmul,
    "argmax": _argmax,
    "cumsum": _cumsum,
}
"""Converters by the name of the function or method."""
