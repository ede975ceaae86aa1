"""Elementary functions and activations on float32 vectors, for kernels.

Polynomials are minimax fits by the reweighted least squares of Lawson. "Exact" is the value in
float64 of the same float32 argument.
"""

import math
from collections.abc import Sequence

from vocoder.kernels.jit.code import Code, Value

# Adding 1.5 * 2^23 to a float rounds it to a whole number, ties to even.
_ROUNDING = 12582912.0
_PI = (3.1415927410125732, -8.742277657347586e-08)  # in two floats
_LN_2 = (0.693145751953125, 1.4286068203094172e-06)  # the first is exact times any exponent
_SINE = (2.60002297e-06, -0.00019806601, 0.0083330171, -0.166666571)
_COSINE = (-2.6076805e-07, 2.47618701e-05, -0.00138884032, 0.0416666407, -0.499999995)
_EXP = (0.00138144684, 0.00836878084, 0.0416683942, 0.166665201, 0.499999934)
_TANH = (-0.00662908378, 0.0212878321, -0.0538972805, 0.133329503, -0.333333266)
# The error function up to 1 over x, in x²; beyond, the logarithm of its complement.
_ERF = (-0.00056313521, 0.00491753559, -0.0267112989, 0.112801797, -0.376123261, 1.12837912)
_LOG_ERFC = (-0.00115044288, 0.0147782912, -0.088634725, -0.654488081, -1.11743915, -0.0026715022)
_SMALL = 0.5  # up to here tanh is a polynomial
_EXP_RANGE = (-87.3, 88.3)  # of which the exponential is a normal float


def sine_squared(code: Code, x: Value) -> Value:
    """Square of the sine: error 1e-7 for |x| <= 1e5, and between 0 and 1 for any x."""
    r, _ = _reduced(code, x)
    s = _sine(code, r, r * r)
    return s * s


def sine_squared_and_double(code: Code, x: Value) -> tuple[Value, Value]:
    """Square of the sine, and sin 2x, its derivative: errors 1e-7 and 2e-7 for |x| <= 1e5."""
    r, _ = _reduced(code, x)
    square = r * r
    s = _sine(code, r, square)
    return s * s, s * _cosine(code, square) * 2.0


def sine(code: Code, x: Value) -> Value:
    """Sine: error 1e-7 for |x| <= 1e5, and between -1 and 1 for any x."""
    r, turns = _reduced(code, x)
    return _negated_if_odd(code, _sine(code, r, r * r), turns)


def exponential(code: Code, x: Value) -> Value:
    """Exponential: relative error 2e-7 for -87.3 <= x <= 88.3, beyond which x is held."""
    low, high = _EXP_RANGE
    x = code.minimum(code.maximum(x, low), high)
    turns = code.fma(x, code.like(1.0 / math.log(2.0), x), code.like(_ROUNDING, x))
    whole = turns - _ROUNDING
    r = _less(code, x, whole, _LN_2)
    power = code.fma(r * r, _polynomial(code, _EXP, r), r) + 1.0
    return power * code.power_of_two(whole)


def tanh(code: Code, x: Value) -> Value:
    """Hyperbolic tangent: relative error 3e-7."""
    size = code.absolute(x)
    large = 1.0 - code.like(2.0, x) / (exponential(code, size + size) + 1.0)
    square = x * x
    small = code.fma(square * x, _polynomial(code, _TANH, square), x)
    return where_above(code, size, _SMALL, code.copysign(large, x), small)


def erf(code: Code, x: Value) -> Value:
    """Error function: error 1e-7."""
    size = code.absolute(x)
    power = _polynomial(code, _LOG_ERFC, code.minimum(size, 4.0))
    large = code.copysign(1.0 - exponential(code, power), x)
    return where_above(code, size, 1.0, large, x * _polynomial(code, _ERF, x * x))


def gelu(code: Code, x: Value) -> Value:
    """GELU, x times the normal distribution function at x: error 1e-7 times |x|."""
    half = x * 0.5
    return code.fma(half, erf(code, x * math.sqrt(0.5)), half)


def snake(code: Code, x: Value, alpha: Value, scale: Value) -> Value:
    """The activation x + sin²(alpha * x) * scale."""
    return code.fma(sine_squared(code, alpha * x), scale, x)


def leaky_relu(code: Code, x: Value, slope: Value) -> Value:
    """Leaky ReLU: x where it is positive, else `slope` times x."""
    return where_above(code, x, 0.0, x, x * slope)


def weighted(code: Code, values: Sequence[Value], weights: Sequence[float]) -> Value:
    """Sum of the first values, each times its weight."""
    total = values[0] * weights[0]
    for value, weight in zip(values[1:], weights[1:], strict=False):
        total = code.fma(value, code.like(weight, value), total)
    return total


def where_above(code: Code, x: Value, limit: float, yes: Value, no: Value) -> Value:
    """`yes` in lanes where x > limit, else `no`."""
    above = code.builder.fcmp_ordered(">", x.ir, code.like(limit, x).ir)
    return Value(code, code.builder.select(above, yes.ir, no.ir))


def _reduced(code: Code, x: Value) -> tuple[Value, Value]:
    """What x is beyond the nearest multiple of π, and that multiple as a float plus `_ROUNDING`."""
    turns = code.fma(x, code.like(1.0 / math.pi, x), code.like(_ROUNDING, x))
    r = _less(code, x, turns - _ROUNDING, _PI)
    # Holds in range what is left of an x beyond all precision.
    return code.minimum(code.maximum(r, -0.5 * math.pi), 0.5 * math.pi), turns


def _less(code: Code, x: Value, count: Value, step: tuple[float, float]) -> Value:
    """Compute x - count * step, with the step in two parts."""
    for part in step:
        x = code.fma(count, code.like(-part, x), x)
    return x


def _sine(code: Code, r: Value, square: Value) -> Value:
    """Sine of r for |r| <= π / 2."""
    return code.fma(r * square, _polynomial(code, _SINE, square), r)


def _cosine(code: Code, square: Value) -> Value:
    """Cosine of r for |r| <= π / 2, from r²."""
    return code.fma(square, _polynomial(code, _COSINE, square), code.like(1.0, square))


def _polynomial(code: Code, coefficients: Sequence[float], x: Value) -> Value:
    """A polynomial by Horner's rule, highest coefficient first."""
    total = code.like(coefficients[0], x)
    for coefficient in coefficients[1:]:
        total = code.fma(total, x, code.like(coefficient, x))
    return total


def _negated_if_odd(code: Code, value: Value, turns: Value) -> Value:
    """`value`, negated where `turns`, a whole number plus `_ROUNDING`, is odd."""
    from llvmlite import ir

    ints = ir.VectorType(ir.IntType(32), value.ir.type.count)
    last_bit = ir.Constant(ints, [31] * value.ir.type.count)
    build = code.builder
    sign = build.shl(build.bitcast(turns.ir, ints), last_bit)
    return Value(code, build.bitcast(build.xor(build.bitcast(value.ir, ints), sign), value.ir.type))
