"""Kernels of grouped convolution: products of a tile of channels with vectors of time.

Signals with a stride are read as phases: row r of a channel holds every sample whose place, divided
by the stride, leaves r. So every tap reads contiguous vectors, whatever the stride.
"""

from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.values import Pointer, Value, Variable


def write_products(code: Code, rows: int, vectors: int) -> None:
    """Write the sums of inputs times taps, for a tile of `rows` outputs by `vectors` of time.

    Arguments: addresses of x [items, I, phases, L], weights, bias [groups * O] (0 for none) and
    y [items, O, …]; first item and the one behind the last; groups, I, O, phases, taps, floats of a
    row L, samples of the output (at least a tile); floats from output to output of y and from item
    to item of y; of weights from output to output, from input to input, and from tap to tap of a
    phase; of x from tap to tap; taps of all phases together.
    """
    x, weights, bias, y = (code.pointer(i) for i in range(4))
    groups, inputs, outputs, phases, _, length, samples = (code.integer(6 + i) for i in range(7))
    width = vectors * code.lanes
    with code.range(code.integer(4), code.integer(5)) as item:
        group = code.binary("urem", item, groups)
        source = x + item * inputs * phases * length
        to = y + item * code.integer(14)
        with (
            code.range(0, samples, width) as begin,
            code.range(0, outputs, rows) as output,
        ):
            time = code.minimum(begin, samples - width)  # the last tile ends with the signal
            channel = group * outputs + output
            sums = [
                [code.variable(code.constant(0.0)) for _ in range(vectors)] for _ in range(rows)
            ]
            with code.present(bias):
                for row, line in enumerate(sums):
                    for total in line:
                        total.set(code.broadcast(bias, channel + row))
            own = weights + (
                group * outputs * inputs * code.integer(19) + output * code.integer(15)
            )
            _add_products(code, sums, source + time, own)
            for row, line in enumerate(sums):
                for vector, total in enumerate(line):
                    place = (output + row) * code.integer(13) + time + vector * code.lanes
                    code.store(to, place, total.get())


def _add_products(code: Code, sums: list[list[Variable]], x: Pointer, weights: Pointer) -> None:
    """Add the products of all inputs and taps to the sums of a tile."""
    inputs, phases, taps, length = (code.integer(i) for i in (7, 9, 10, 11))
    by_output, by_input, by_tap, step = (code.integer(15 + i) for i in range(4))
    with code.range(0, inputs) as i, code.range(0, phases) as phase:
        row = x + (i * phases + phase) * length
        first = weights + (i * by_input + phase)
        count = (taps - phase + phases - 1) // phases
        with code.range(0, count) as tap:
            place = row + tap * step
            values = [code.load(place, v * code.lanes) for v in range(len(sums[0]))]
            own = first + tap * by_tap
            for number, line in enumerate(sums):
                weight = code.broadcast(own, by_output * number)
                for total, value in zip(line, values, strict=True):
                    total.set(code.fma(value, weight, total.get()))


def write_weight_gradient(code: Code, rows: int, columns: int) -> None:
    """Write the gradient of the weights, in tiles of `rows` outputs by `columns` taps.

    Arguments: addresses of x [B, groups * I, phases, L], of the gradient of the output
    [B, groups * O, M], zero behind its end, and of the result [groups * O, I, taps], to which is
    added; first item and the one behind the last (tiles of outputs, over all groups); groups, I, O,
    phases, taps, L, M; B; samples of the output, in whole vectors, and of a block of them.
    """
    outputs = code.integer(7)
    samples, size = code.integer(13), code.integer(14)
    tiles = outputs // rows
    with (
        code.range(code.integer(3), code.integer(4)) as item,
        code.range(0, samples, size) as begin,
    ):
        group, channel = item // tiles, item * rows
        _add_gradients(
            code,
            (rows, columns),
            code.pointer(0) + group * code.integer(6) * code.integer(8) * code.integer(10),
            code.pointer(1) + channel * code.integer(11),
            code.pointer(2) + channel * code.integer(6) * code.integer(9),
            (begin, code.minimum(begin + size, samples)),
        )


def _add_gradients(
    code: Code,
    tile: tuple[int, int],
    x: Pointer,
    grad: Pointer,
    result: Pointer,
    block: tuple[Value, Value],
) -> None:
    """Add the gradients of a tile of outputs, for all inputs and taps, from a block of time."""
    groups, inputs, outputs, phases, taps = (code.integer(5 + i) for i in range(5))
    length, distance, batch = (code.integer(10 + i) for i in range(3))
    rows, columns = tile
    with code.range(0, inputs) as i, code.range(0, phases) as phase:
        row = x + (i * phases + phase) * length
        count = (taps - phase + phases - 1) // phases
        with code.range(0, count, columns) as tap:
            sums = [
                [code.variable(code.constant(0.0)) for _ in range(columns)] for _ in range(rows)
            ]
            with code.range(0, batch) as signal, code.range(*block, code.lanes) as time:
                source = row + (signal * groups * inputs * phases * length + tap + time)
                values = [code.load(source, column) for column in range(columns)]
                above = grad + (signal * groups * outputs * distance + time)
                for number, line in enumerate(sums):
                    factor = code.load(above, distance * number)
                    for total, value in zip(line, values, strict=True):
                        total.set(code.fma(factor, value, total.get()))
            for number, line in enumerate(sums):
                to = result + inputs * taps * number
                for column, total in enumerate(line):
                    inside = code.builder.icmp_signed("<", (tap + column).ir, count.ir)
                    with code.builder.if_then(inside):
                        place = i * taps + (tap + column) * phases + phase
                        new = code.total(total.get()) + code.broadcast(to, place)
                        code.store_first(to, place, new)
