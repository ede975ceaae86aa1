"""Convolution with half the products: short pieces are convolved as polynomials are multiplied.

Four outputs of a filter of r taps (r is 3 or 4) follow from r + 3 products, not 4 r, of a few sums
of inputs and of taps (Toom and Cook's algorithm; Winograd 1980; Lavin and Gray 2016). Longer
filters are sums of several such pieces. The products are matrices over the channels, as in an
ordinary convolution; the sums cost little where there are many channels. The points below were
chosen for small rounding errors: about 2e-6 of the largest output, where a plain sum has 5e-7.
"""

import functools
from fractions import Fraction
from typing import Any

import numpy as np

from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.values import Pointer, Value

OUTPUTS = 4  # of a piece
_POINTS = {3: ("0", "1", "-1", "1/2", "-2"), 4: ("0", "1", "-1", "2", "-2", "1/2")}
Matrix = list[list[Fraction]]


def piece_size(taps: int) -> int:
    """Taps of a piece, 3 or 4; of several pieces 4, as the outputs, so that they share sums."""
    return 3 if taps <= 3 else 4


def products(size: int) -> int:
    """Number of products for the four outputs of a piece of `size` taps."""
    return size + OUTPUTS - 1


@functools.cache
def matrices(size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Sums of inputs [n, n], of taps [n, size], and of products [4, n], for n products.

    By transposition of polynomial multiplication: evaluation at n points, of which the last one is
    infinity, and interpolation.
    """
    count = products(size)
    points = [Fraction(point) for point in _POINTS[size]]

    def evaluation(terms: int) -> Matrix:
        rows = [[point**power for power in range(terms)] for point in points]
        return [*rows, [Fraction(power == terms - 1) for power in range(terms)]]

    inverse = _inverse(evaluation(count))
    return _transposed(inverse), evaluation(size), _transposed(evaluation(OUTPUTS))


def transformed(weight: np.ndarray[Any, Any]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Weights for each product. Shape: [O, I, K] → n times [O, I, pieces]."""
    size = piece_size(weight.shape[2])
    pieces = -(-weight.shape[2] // size)
    filled = np.zeros((*weight.shape[:2], pieces * size))
    filled[..., : weight.shape[2]] = weight
    cut = filled.reshape(*weight.shape[:2], pieces, size)
    sums = np.array(matrices(size)[1], dtype=np.float64)
    return [(cut @ line).astype(np.float32) for line in sums]


def write_inputs(code: Code, size: int) -> None:
    """Write the sums of inputs.

    Arguments: addresses of x and of the sums; blocks of 4 * dilation rows; dilation; floats from
    row to row of x; vectors in a row; floats from the sums of one product to those of the next.
    Shape: rows of x → [n, blocks * dilation, width].
    """
    sums, count = matrices(size)[0], products(size)
    x, out = code.pointer(0), code.pointer(1)
    blocks, dilation, step = (code.integer(i) for i in range(2, 5))
    vectors, distance = code.integer(5), code.integer(6)
    width = vectors * code.lanes
    with code.range(0, blocks) as block, code.range(0, dilation) as phase:
        source = x + (block * OUTPUTS * dilation + phase) * step
        target = out + (block * dilation + phase) * width
        with code.range(0, width, code.lanes) as column:
            read = [code.load(source, column + dilation * step * i) for i in range(count)]
            for number, line in enumerate(sums):
                code.store(target, column + distance * number, _sum(code, line, read))


def write_outputs(code: Code, size: int) -> None:
    """Write the sums of products, and what follows a convolution.

    Arguments: addresses of the products, bias; of the raw and the activated output, of two signals
    that are added (0 where there is none); blocks of 4 * dilation rows; dilation; vectors in a row;
    floats from one product to the next; from row to row of the outputs and of the added signals;
    factor, slope of the leaky ReLU.
    """
    sums, count = matrices(size)[2], products(size)
    source, bias, raw, activated, first, second = (code.pointer(i) for i in range(6))
    blocks, dilation, vectors, distance = (code.integer(i) for i in range(6, 10))
    steps = [code.integer(i) for i in range(10, 14)]
    factor, slope = code.scalar(14), code.scalar(15)
    width = vectors * code.lanes
    with code.range(0, blocks) as block, code.range(0, dilation) as phase:
        row, tile = block * OUTPUTS * dilation + phase, block * dilation + phase
        with code.range(0, width, code.lanes) as column:
            read = [code.load(source, tile * width + column + distance * i) for i in range(count)]
            start = code.load(bias, column)
            results = [code.variable(_sum(code, line, read) + start) for line in sums]
            rows = [row + dilation * i for i in range(OUTPUTS)]

            def places(step: Value) -> list[Value]:
                return [r * step + column for r in rows]

            for added, step in ((first, steps[2]), (second, steps[3])):
                with code.present(added):
                    for result, place in zip(results, places(step), strict=True):
                        result.set(result.get() + code.load(added, place))
            values = [result.get() * factor for result in results]
            _write(code, raw, places(steps[0]), values)
            _write(
                code,
                activated,
                places(steps[1]),
                [code.maximum(value, value * slope) for value in values],
            )


def _write(code: Code, target: Pointer, places: list[Value], values: list[Value]) -> None:
    with code.present(target):
        for place, value in zip(places, values, strict=True):
            code.store(target, place, value)


def _sum(code: Code, factors: list[Fraction], values: list[Value]) -> Value:
    """Sum of products with constants; those with 0 are left out."""
    total: Value | None = None
    for factor, value in zip(factors, values, strict=True):
        if factor == 0:
            continue
        if total is None:
            total = value if factor == 1 else value * float(factor)
        elif factor == 1:
            total = total + value
        elif factor == -1:
            total = total - value
        else:
            total = code.fma(value, code.constant(float(factor)), total)
    assert total is not None
    return total


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _inverse(matrix: Matrix) -> Matrix:
    """Exact inverse, by elimination."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(r for r in range(column, size) if rows[r][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for r in range(size):
            if r != column and rows[r][column] != 0:
                factor = rows[r][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[column], strict=True)]
    return [row[size:] for row in rows]
