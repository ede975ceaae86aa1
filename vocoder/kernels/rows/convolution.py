"""Convolution on rows: a matrix product for each tap, summed in registers."""

from typing import Any, NamedTuple

import numpy as np

from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.compiler import Cpu, Kernel, compiled
from vocoder.kernels.jit.functions import gelu, leaky_relu
from vocoder.kernels.jit.values import Value, Variable

Array = np.ndarray[Any, np.dtype[np.float32]]


class Tile(NamedTuple):
    """Outputs that one pass of the inner loop sums: rows of time, vectors of channels."""

    rows: int
    vectors: int


def tile(channels: int, cpu: Cpu) -> Tile:
    """The tile for a number of output channels: as many sums as the CPU has registers for."""
    count = -(-channels // cpu.lanes)
    rows = {1: 24, 2: 12, 3: 8, 4: 6} if cpu.registers == 32 else {1: 12, 2: 6, 3: 4}
    return next(Tile(rows[n], n) for n in sorted(rows, reverse=True) if count % n == 0)


def padded(channels: int, cpu: Cpu) -> int:
    """Floats in a row of so many channels: whole vectors, and whole tiles where they are many."""
    count = -(-channels // cpu.lanes)
    widest = 4 if cpu.registers == 32 else 3
    if count > widest:
        count = min(-(-count // n) * n for n in (widest, widest - 1))
    return count * cpu.lanes


def pack(weight: Array, shape: Tile, lanes: int) -> Array:
    """Weights in the order in which the kernel reads them.

    Shape: [O, I, K] → [O / width, K, I, width], width the channels of a tile, O filled up by zeros.
    """
    width = shape.vectors * lanes
    out, inside, taps = weight.shape
    blocks = -(-out // width)
    filled = np.zeros((blocks * width, inside, taps), np.float32)
    filled[:out] = weight
    ordered = filled.reshape(blocks, width, inside, taps).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(ordered)


LEAKY_RELU, GELU = range(2)


def kernel(channels: int, cpu: Cpu, in_channels: int, activation: int = LEAKY_RELU) -> Kernel:
    """Make the kernel for these numbers of channels.

    Its arguments are addresses: of x (the row of the first tap of the first output), weights, bias,
    the raw and the activated output, and two signals that are added (0 where there is none);
    integers: rows, input channels, taps, floats from row to row of x, from tap to tap, from row to
    row of the outputs and of the added signals, blocks of channels; floats: the factor of the sum,
    and the slope of the leaky ReLU of the activated output.
    """
    shape = tile(channels, cpu)
    # With many rows LLVM would load their values in vectors, and take these apart.
    unroll = 4 if shape.vectors > 2 and in_channels % 4 == 0 else 1
    return compiled(write, shape.rows, shape.vectors, unroll, activation)


def write(code: Code, rows: int, vectors: int, unroll: int, activation: int) -> None:
    """Write the kernel for one shape of tile."""
    x, weights, bias = (code.pointer(i) for i in range(3))
    count, width = code.integer(7), vectors * code.lanes
    size = code.integer(8) * code.integer(9) * width
    with code.range(0, code.integer(16)) as block, code.range(0, count, rows) as row:
        sums = _products(
            code,
            (x, weights + block * size, bias + block * width),
            row,
            Tile(rows, vectors),
            unroll,
        )
        _finish(code, sums, row, block * width, activation)


def _products(
    code: Code, places: tuple[Any, Any, Any], row: Value, shape: Tile, unroll: int
) -> list[list[Variable]]:
    """Sums of a tile: bias plus products over taps and input channels."""
    x, weights, bias = places
    inside, step, tap = code.integer(8), code.integer(10), code.integer(11)
    width = shape.vectors * code.lanes
    start = [code.load(bias, v * code.lanes) for v in range(shape.vectors)]
    sums = [[code.variable(s) for s in start] for _ in range(shape.rows)]
    with code.range(0, code.integer(9)) as k:
        sources = [x + ((row + r) * step + k * tap) for r in range(shape.rows)]
        taps = weights + k * inside * width
        with code.range(0, inside, unroll) as first:
            for u in range(unroll):
                c = first + u
                w = [code.load(taps, c * width + v * code.lanes) for v in range(shape.vectors)]
                for source, line in zip(sources, sums, strict=True):
                    value = code.broadcast(source, c)
                    for total, weight in zip(line, w, strict=True):
                        total.set(code.fma(value, weight, total.get()))
    return sums


def _finish(
    code: Code, sums: list[list[Variable]], row: Value, channel: Value, activation: int
) -> None:
    """Add the other signals, multiply by the factor, and write the results of a tile."""
    places = [
        (r, v * code.lanes, total) for r, line in enumerate(sums) for v, total in enumerate(line)
    ]
    for pointer, step in ((5, 14), (6, 15)):
        added, distance = code.pointer(pointer), code.integer(step)
        with code.present(added):
            for r, v, total in places:
                other = code.load(added, (row + r) * distance + channel + v)
                total.set(total.get() + other)
    factor, slope = code.scalar(17), code.scalar(18)
    raw, distance = code.pointer(3), code.integer(12)
    for _, _, total in places:
        total.set(total.get() * factor)
    with code.present(raw):
        for r, v, total in places:
            code.store(raw, (row + r) * distance + channel + v, total.get())
    activated, distance = code.pointer(4), code.integer(13)
    with code.present(activated):
        for r, v, total in places:
            value = total.get()
            value = gelu(code, value) if activation == GELU else leaky_relu(code, value, slope)
            code.store(activated, (row + r) * distance + channel + v, value)
