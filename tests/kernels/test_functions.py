"""Elementary functions of kernels against double precision."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")
from vocoder.kernels.jit import functions
from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.compiler import compiled

Floats = np.ndarray[Any, np.dtype[np.float32]]
NAMES = ("sine", "sine_squared", "exponential", "tanh")
DOUBLE_ANGLE = len(NAMES)


def write(code: Code, number: int) -> None:
    """Apply one function to as many floats as the third argument says."""
    x, y = code.pointer(0), code.pointer(1)
    with code.range(0, code.integer(2), code.lanes) as i:
        value = code.load(x, i)
        if number == DOUBLE_ANGLE:
            value = functions.sine_squared_and_double(code, value)[1]
        else:
            value = getattr(functions, NAMES[number])(code, value)
        code.store(y, i, value)


def apply(number: int, x: Floats) -> Floats:
    y = np.empty_like(x)
    compiled(write, number)(x.ctypes.data, y.ctypes.data, len(x))
    return y


def both_signs(largest: float) -> Floats:
    x = np.geomspace(1e-6, largest, 1 << 16)
    return np.concatenate([-x, x]).astype(np.float32)


@pytest.mark.parametrize("largest", [10.0, 1e5])
def test_sine(largest: float) -> None:
    x = both_signs(largest)
    exact = x.astype(np.float64)
    assert np.abs(apply(0, x) - np.sin(exact)).max() < 1.1e-7
    assert np.abs(apply(1, x) - np.sin(exact) ** 2).max() < 1.2e-7
    assert np.abs(apply(DOUBLE_ANGLE, x) - np.sin(2.0 * exact)).max() < 2e-7


def test_the_square_of_a_small_sine_is_exact_relative_to_itself() -> None:
    x = both_signs(1e-2)
    np.testing.assert_allclose(apply(1, x), np.sin(x.astype(np.float64)) ** 2, rtol=3e-7)


def test_sine_is_bounded_for_any_argument() -> None:
    x = np.array([1e6, -1e9, 3e20, 3e38, -3e38, np.inf, -np.inf, np.nan] * 2, np.float32)
    for number, low in ((0, -1.0), (1, 0.0), (DOUBLE_ANGLE, -1.0)):
        y = apply(number, x)
        assert ((y >= low) & (y <= 1.0)).all()


def test_exponential_and_tanh() -> None:
    x = both_signs(87.0)
    np.testing.assert_allclose(apply(2, x), np.exp(x.astype(np.float64)), rtol=2e-7)
    np.testing.assert_allclose(apply(3, x), np.tanh(x.astype(np.float64)), rtol=3e-7)
    beyond = np.array([-1e30, -100.0, 100.0, 1e30] * 4, np.float32)
    np.testing.assert_array_equal(apply(3, beyond), np.sign(beyond))
    assert np.isfinite(apply(2, beyond)).all()
