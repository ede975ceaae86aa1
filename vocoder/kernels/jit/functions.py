"""Elementary functions and activations on float32 vectors, for kernels.

Polynomials are minimax fits by the reweighted least squares of Lawson. "Exact" is the value in
float64 of the same float32 argument.
"""

import math
from collections.abc import Sequence
from typing import Any

from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.values import Value

# Adding 1.5 * 2^23 to a float rounds it to a whole number, ties to even.
_ROUNDING = 12582912.0
_PI = (3.1415927410125732, -8.742277657347586e-08)  # in two floats
_HALF_PI = (1.5707963705062866, -4.371138828673793e-08)
_LN_2 = (0.693145751953125, 1.4286068203094172e-06)  # the first is exact times any exponent
_SINE = (2.60002297e-06, -0.00019806601, 0.0083330171, -0.166666571)  # up to 1.58
_SHORT_SINE = (-0.000194827731, 0.00833187567, -0.166666488)  # up to 0.8, as the cosine
_SHORT_COSINE = (2.43751588e-05, -0.00138866023, 0.0416666183, -0.499999997)
_EXP = (0.00138144684, 0.00836878084, 0.0416683942, 0.166665201, 0.499999934)
_TANH = (-0.00662908378, 0.0212878321, -0.0538972805, 0.133329503, -0.333333266)
# The error function up to 1 over x, in x²; beyond, the logarithm of its complement.
_ERF = (-0.00056313521, 0.00491753559, -0.0267112989, 0.112801797, -0.376123261, 1.12837912)
_LOG_ERFC = (-0.00115044288, 0.0147782912, -0.088634725, -0.654488081, -1.11743915, -0.0026715022)
_SMALL = 0.5  # up to here tanh is a polynomial
_EXP_RANGE = (-87.3, 88.3)  # of which the exponential is a normal float


def sine_squared(code: Code, x: Value) -> Value:
    """Square of the sine: error 1.2e-7 for |x| <= 1e5, and between 0 and 1 for any x."""
    r, turns = _reduced(code, x, _HALF_PI, 0.8)
    return _square(code, _sine(code, r, r * r, _SHORT_SINE), turns)


def sine_squared_and_double(code: Code, x: Value) -> tuple[Value, Value]:
    """Square of the sine, and sin 2x, its derivative: errors 1.2e-7 and 2e-7 for |x| <= 1e5."""
    r, turns = _reduced(code, x, _HALF_PI, 0.8)
    square = r * r
    s = _sine(code, r, square, _SHORT_SINE)
    c = code.fma(square, _polynomial(code, _SHORT_COSINE, square), code.like(1.0, square))
    return _square(code, s, turns), _negated_if_odd(code, s * c * 2.0, turns)


def sine(code: Code, x: Value) -> Value:
    """Sine: error 1.1e-7 for |x| <= 1e5, and between -1 and 1 for any x."""
    r, turns = _reduced(code, x, _PI, 1.58)
    return _negated_if_odd(code, _sine(code, r, r * r, _SINE), turns)


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


def _reduced(code: Code, x: Value, step: tuple[float, float], reach: float) -> tuple[Value, Value]:
    """What x is beyond the nearest multiple of a step, and that multiple plus `_ROUNDING`.

    The first is at most `reach`, also where nothing is left of the precision of x.
    """
    turns = code.fma(x, code.like(1.0 / sum(step), x), code.like(_ROUNDING, x))
    r = _less(code, x, turns - _ROUNDING, step)
    return code.minimum(code.maximum(r, -reach), reach), turns


def _less(code: Code, x: Value, count: Value, step: tuple[float, float]) -> Value:
    """Compute x - count * step, with the step in two parts."""
    for part in step:
        x = code.fma(count, code.like(-part, x), x)
    return x


def _sine(code: Code, r: Value, square: Value, coefficients: Sequence[float]) -> Value:
    """Sine of r, where the polynomial holds."""
    return code.fma(r * square, _polynomial(code, coefficients, square), r)


def _square(code: Code, s: Value, turns: Value) -> Value:
    """The square of the sine of r plus some quarter turns, from the sine s of r."""
    square = s * s
    return _where_odd(code, turns, 1.0 - square, square)


def _polynomial(code: Code, coefficients: Sequence[float], x: Value) -> Value:
    """A polynomial by Horner's rule, highest coefficient first."""
    total = code.like(coefficients[0], x)
    for coefficient in coefficients[1:]:
        total = code.fma(total, x, code.like(coefficient, x))
    return total


def _negated_if_odd(code: Code, value: Value, turns: Value) -> Value:
    """`value`, negated where `turns`, a whole number plus `_ROUNDING`, is odd."""
    bits, ints, kind = code.builder.bitcast, _integers(value), value.ir.type
    sign = code.builder.shl(bits(turns.ir, ints), ints([31] * kind.count))
    return type(value)(code, bits(code.builder.xor(bits(value.ir, ints), sign), kind))


def _where_odd(code: Code, turns: Value, yes: Value, no: Value) -> Value:
    """`yes` where `turns`, a whole number plus `_ROUNDING`, is odd, else `no`."""
    ints, count = _integers(yes), yes.ir.type.count
    last = code.builder.and_(code.builder.bitcast(turns.ir, ints), ints([1] * count))
    odd = code.builder.icmp_unsigned("!=", last, ints([0] * count))
    return type(yes)(code, code.builder.select(odd, yes.ir, no.ir))


def _integers(value: Value) -> Any:
    """The type of a vector of as many integers of 32 bits."""
    from llvmlite import ir

    return ir.VectorType(ir.IntType(32), value.ir.type.count)
