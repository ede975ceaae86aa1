"""Pointwise operations and reductions of torch, as ONNX nodes.

Every converter has the arguments of the function or method of that name, after the builder, and
returns the name of its output, or two names for a complex one.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from vocoder.export.graph import (
    Complex,
    GraphBuilder,
    GraphTensor,
    Size,
    onnx_type,
    parts,
    real_dtype,
)

Result = Any
Converter = Callable[..., Result]


def _example(value: Any) -> Any:
    """Something of the value's type, for torch's rules of type promotion."""
    if isinstance(value, GraphTensor):
        return torch.empty((1,) * max(value.ndim, 1), dtype=value.dtype)
    return 1 if isinstance(value, Size) else value


def _common(*values: Any) -> torch.dtype:
    return torch.result_type(_example(values[0]), _example(values[1]))


def _unary(kind: str) -> Converter:
    def convert(b: GraphBuilder, input: Any) -> Result:
        return b.op(kind, b.name(input))

    return convert


def _binary(kind: str, function: Callable[..., Any]) -> Converter:
    def convert(b: GraphBuilder, input: Any, other: Any) -> Result:
        if isinstance(b.made, int):
            return b.op(kind, b.name(input, torch.int64), b.name(other, torch.int64))
        dtype = real_dtype(b.made.dtype)
        if b.made.is_complex():
            return _complex_binary(b, function, parts(input), parts(other), dtype)
        return b.op(kind, b.name(input, dtype), b.name(other, dtype))

    return convert


def _complex_binary(
    b: GraphBuilder,
    function: Callable[..., Any],
    left: tuple[Any, Any],
    right: tuple[Any, Any],
    dtype: torch.dtype,
) -> tuple[str, str]:
    (a, bi), (c, d) = (
        tuple(None if part is None else b.name(part, dtype) for part in side)
        for side in (left, right)
    )
    if function is operator.mul and bi and d:
        real = b.op("Sub", b.op("Mul", a, c), b.op("Mul", bi, d))
        return real, b.op("Add", b.op("Mul", a, d), b.op("Mul", bi, c))
    if function is operator.mul:
        return b.op("Mul", a, c), b.op("Mul", bi or a, d or c)
    if function is operator.truediv and not d:
        return b.op("Div", a, c), b.op("Div", bi, c)
    if function in (operator.add, operator.sub) and bi and d:
        kind = "Add" if function is operator.add else "Sub"
        return b.op(kind, a, c), b.op(kind, bi, d)
    raise NotImplementedError("of these complex numbers")


def _compare(kind: str) -> Converter:
    def convert(b: GraphBuilder, input: Any, other: Any) -> Result:
        dtype = _common(input, other)
        return b.op(kind, b.name(input, dtype), b.name(other, dtype))

    return convert


def _cast(dtype: torch.dtype) -> Converter:
    def convert(b: GraphBuilder, input: Any) -> Result:
        return to(b, input, dtype)

    return convert


def to(b: GraphBuilder, input: Any, *wanted: Any, **_: Any) -> Result:
    """Conversion to the type of the result."""
    dtype = real_dtype(b.made.dtype)
    if isinstance(input, Complex):
        return b.name(input.real, dtype), b.name(input.imag, dtype)
    return b.name(input, dtype)


def magnitude(b: GraphBuilder, value: Complex) -> str:
    """Absolute value of complex numbers."""
    squares = [b.op("Mul", part.name, part.name) for part in (value.real, value.imag)]
    return b.op("Sqrt", b.sum(squares))


def _abs(b: GraphBuilder, input: Any) -> Result:
    return magnitude(b, input) if isinstance(input, Complex) else b.op("Abs", input.name)


def _square(b: GraphBuilder, input: Any) -> Result:
    return b.op("Mul", input.name, input.name)


def _rsqrt(b: GraphBuilder, input: Any) -> Result:
    return b.op("Reciprocal", b.op("Sqrt", input.name))


def _log2(b: GraphBuilder, input: Any) -> Result:
    return b.op("Mul", b.op("Log", input.name), b.const(1 / math.log(2), input.dtype))


def _exp2(b: GraphBuilder, input: Any) -> Result:
    return b.op("Exp", b.op("Mul", input.name, b.const(math.log(2), input.dtype)))


def _round(b: GraphBuilder, input: Any) -> Result:
    return b.op("Round", input.name)


def _pow(b: GraphBuilder, input: Any, exponent: Any) -> Result:
    dtype = b.made.dtype
    if isinstance(exponent, int | float) and exponent == 1:
        return b.name(input, dtype)
    if isinstance(exponent, int | float) and exponent == 2:
        return b.op("Mul", b.name(input, dtype), b.name(input, dtype))
    return b.op("Pow", b.name(input, dtype), b.name(exponent, dtype))


def clamp(b: GraphBuilder, input: Any, min: Any = None, max: Any = None) -> Result:
    """Limit values from below, above, or both."""
    name = input.name
    for kind, bound in (("Max", min), ("Min", max)):
        if bound is not None:
            name = b.op(kind, name, b.name(bound, input.dtype))
    return name


def _clamp_max(b: GraphBuilder, input: Any, max: Any) -> Result:
    return clamp(b, input, max=max)


def _leaky_relu(b: GraphBuilder, input: Any, negative_slope: float = 0.01, **_: Any) -> Result:
    return b.op("LeakyRelu", input.name, alpha=float(negative_slope))


def _elu(b: GraphBuilder, input: Any, alpha: float = 1.0, **_: Any) -> Result:
    return b.op("Elu", input.name, alpha=float(alpha))


def _relu(b: GraphBuilder, input: Any, **_: Any) -> Result:
    return b.op("Relu", input.name)


def silu(b: GraphBuilder, input: Any, **_: Any) -> Result:
    """SiLU, x sigmoid(x)."""
    return b.op("Mul", input.name, b.op("Sigmoid", input.name))


def gelu(b: GraphBuilder, input: Any, approximate: str = "none") -> Result:
    """GELU by the error function, in the form that runtimes recognise and fuse."""
    if approximate != "none":
        raise NotImplementedError(f"with approximate={approximate!r}")
    if input.dtype != torch.float32:  # few runtimes have another Erf
        return b.cast(
            gelu(b, GraphTensor(b.cast(input.name, torch.float32), torch.float32, ())), input.dtype
        )
    scaled = b.op("Div", input.name, b.const(math.sqrt(2.0), input.dtype))
    share = b.op("Add", b.op("Erf", scaled), b.const(1.0, input.dtype))
    return b.op("Mul", b.op("Mul", input.name, share), b.const(0.5, input.dtype))


def _softmax(b: GraphBuilder, input: Any, dim: int, **_: Any) -> Result:
    return b.op("Softmax", input.name, axis=dim)


def _where(b: GraphBuilder, condition: Any, input: Any, other: Any) -> Result:
    dtype = b.made.dtype
    return b.op("Where", b.name(condition), b.name(input, dtype), b.name(other, dtype))


def _method_where(b: GraphBuilder, input: Any, condition: Any, other: Any) -> Result:
    return _where(b, condition, input, other)


def _complex(b: GraphBuilder, real: Any, imag: Any) -> Result:
    return b.name(real), b.name(imag)


def _polar(b: GraphBuilder, abs: Any, angle: Any) -> Result:
    return tuple(b.op("Mul", b.name(abs), b.op(kind, angle.name)) for kind in ("Cos", "Sin"))


def _atan2(b: GraphBuilder, input: Any, other: Any) -> Result:
    """Angle of (other, input), from the arc tangent of a ratio between 0 and 1."""
    dtype = b.made.dtype
    y, x = b.name(input, dtype), b.name(other, dtype)
    zero = b.const(0.0, dtype)
    height, width = b.op("Abs", y), b.op("Abs", x)
    larger = b.op("Max", height, width)
    safe = b.op("Where", b.op("Greater", larger, zero), larger, b.const(1.0, dtype))
    angle = b.op("Atan", b.op("Div", b.op("Min", height, width), safe))
    rest = b.op("Sub", b.const(math.pi / 2, dtype), angle)
    angle = b.op("Where", b.op("Greater", height, width), rest, angle)
    rest = b.op("Sub", b.const(math.pi, dtype), angle)
    angle = b.op("Where", b.op("Less", x, zero), rest, angle)
    return b.op("Where", b.op("Less", y, zero), b.op("Neg", angle), angle)


def _like(value: float) -> Converter:
    def convert(b: GraphBuilder, input: Any, dtype: torch.dtype | None = None, **_: Any) -> Result:
        from onnx import helper

        part = parts(input)[0]
        shape = b.op("Shape", b.name(part))
        made = []
        for level in (value, 0.0):
            filler = helper.make_tensor("value", onnx_type(real_dtype(b.made.dtype)), [1], [level])
            made.append(b.op("ConstantOfShape", shape, value=filler))
        return tuple(made) if b.made.is_complex() else made[0]

    return convert


def _new_tensor(b: GraphBuilder, input: Any, data: Any, **_: Any) -> Result:
    return b.const(data, b.made.dtype)


def _same(b: GraphBuilder, input: Any, *_: Any, **__: Any) -> Result:
    return to(b, input)


POINTWISE: dict[str, Converter] = {
    **{name: _unary(name.capitalize()) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh")},
    **{name: _unary(name.capitalize()) for name in ("sigmoid", "floor", "neg", "ceil", "sign")},
    "add": _binary("Add", operator.add),
    "sub": _binary("Sub", operator.sub),
    "mul": _binary("Mul", operator.mul),
    "truediv": _binary("Div", operator.truediv),
    "div": _binary("Div", operator.truediv),
    "mod": _binary("Mod", operator.mod),
    "remainder": _binary("Mod", operator.mod),
    "floordiv": _binary("Div", operator.floordiv),
    "minimum": _binary("Min", min),
    "maximum": _binary("Max", max),
    "pow": _pow,
    "gt": _compare("Greater"),
    "lt": _compare("Less"),
    "ge": _compare("GreaterOrEqual"),
    "le": _compare("LessOrEqual"),
    "eq": _compare("Equal"),
    "double": _cast(torch.float64),
    "float": _cast(torch.float32),
    "long": _cast(torch.int64),
    "to": to,
    "abs": _abs,
    "square": _square,
    "rsqrt": _rsqrt,
    "log2": _log2,
    "exp2": _exp2,
    "round": _round,
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": _clamp_max,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "silu": silu,
    "gelu": gelu,
    "softmax": _softmax,
    "where": _where,
    "complex": _complex,
    "polar": _polar,
    "atan2": _atan2,
    "ones_like": _like(1.0),
    "zeros_like": _like(0.0),
    "new_tensor": _new_tensor,
    "clone": _same,
    "contiguous": _same,
    "detach": _same,
}
"""Converters by the name of the function or method."""
METHODS: dict[str, Converter] = {"where": _method_where}
"""Those of methods whose arguments differ from those of the function of the same name."""
