"""Depthwise convolution and layer norm on rows."""

from vocoder.kernels.jit.code import Code

_ROWS = 4  # of a tile: what they share is loaded once


def write_depthwise(code: Code) -> None:
    """Write a convolution of each channel by itself.

    Arguments: addresses of x (the row of the first tap of the first output), y, weights [K, width],
    bias; rows; taps; floats from row to row, and from tap to tap of x; vectors in a row.
    """
    x, y, weights, bias = (code.pointer(i) for i in range(4))
    rows, taps, step, tap, vectors = (code.integer(i) for i in range(4, 9))
    width = vectors * code.lanes
    with code.range(0, width, code.lanes) as column, code.range(0, rows, _ROWS) as row:
        start = code.load(bias, column)
        sums = [code.variable(start) for _ in range(_ROWS)]
        with code.range(0, taps) as k:
            weight = code.load(weights, k * width + column)
            for r, total in enumerate(sums):
                value = code.load(x, (row + r) * step + k * tap + column)
                total.set(code.fma(value, weight, total.get()))
        for r, total in enumerate(sums):
            code.store(y, (row + r) * width + column, total.get())


def write_norm(code: Code) -> None:
    """Write layer norm over the channels, whose number is a multiple of `lanes`.

    Arguments: addresses of x, y, weight, bias; rows; vectors in a row; 1 / channels, and epsilon.
    x may be y.
    """
    x, y, weights, bias = (code.pointer(i) for i in range(4))
    width = code.integer(5) * code.lanes
    share, epsilon = code.scalar(6), code.scalar(7)
    with code.range(0, code.integer(4)) as row:
        place = row * width
        total = code.variable(code.constant(0.0))
        with code.range(0, width, code.lanes) as column:
            total.set(total.get() + code.load(x, place + column))
        mean = code.total(total.get()) * share
        square = code.variable(code.constant(0.0))
        with code.range(0, width, code.lanes) as column:
            centered = code.load(x, place + column) - mean
            square.set(code.fma(centered, centered, square.get()))
        spread = code.sqrt(code.total(square.get()) * share + epsilon)
        factor = code.constant(1.0) / spread
        with code.range(0, width, code.lanes) as column:
            centered = (code.load(x, place + column) - mean) * factor
            value = code.fma(centered, code.load(weights, column), code.load(bias, column))
            code.store(y, place + column, value)
