"""Activations on rows: Snake and leaky ReLU, plain and anti-aliased, and tanh."""

from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.functions import gelu, leaky_relu, snake, tanh, weighted
from vocoder.kernels.jit.values import Pointer, Value
from vocoder.kernels.polyphase import Polyphase

SNAKE, LEAKY_RELU, TANH, GELU = range(4)
_BLOCK = 64  # rows whose doubled signal is kept: 8 KiB of the innermost cache
_UNROLLED = 4


def write_plain(code: Code, kind: int) -> None:
    """Write `y = act(x)` on rows.

    Arguments: addresses of x, y, alpha and scale (that of sin², 1 / beta), one float for each
    channel; rows; floats from row to row of x and of y; vectors of channels; slope of the leaky
    ReLU. What the activation does not have may be 0. x may be y.
    """
    x, y = code.pointer(0), code.pointer(1)
    rows, from_x, from_y = (code.integer(i) for i in range(4, 7))
    with code.range(0, code.integer(7)) as vector:
        channel = vector * code.lanes
        act = _Activation(code, kind, channel)
        with code.range(0, rows) as t:
            code.store(y, t * from_y + channel, act(code.load(x, t * from_x + channel)))


def write_anti_aliased(code: Code, kind: int, causal: int) -> None:
    """Write the activation at twice the rate, between two filters.

    Arguments: those of `write_plain`; the first and the last row of the signal, relative to x.

    Row t of y follows from rows t - 5 to t + 5 of x (t - 10 to t if causal). Of these, rows before
    the first are that one, rows after the last are the last, and likewise in the doubled signal.
    Rows of y outside of the signal are not written. x must not be y.
    """
    y, rows, from_y = code.pointer(1), code.integer(4), code.integer(6)
    first, last = code.integer(9), code.integer(10)
    begin, end = code.maximum(first, 0), code.minimum(rows, last + 1)
    filters = Polyphase.of(bool(causal))
    doubled = code.scratch(2 * (_BLOCK + filters.halo + _UNROLLED) * code.lanes)
    with code.range(0, code.integer(7)) as vector:
        channel = vector * code.lanes
        act = _Activation(code, kind, channel)
        with code.range(begin, end, _BLOCK) as block:
            stop = code.minimum(block + _BLOCK, end)
            start = block - filters.before
            _double(act, filters, doubled, start, stop + filters.after)
            _hold(code, doubled, start, stop + filters.after)
            with code.range(block, stop) as t:
                value = _halved(code, filters, doubled + (t - start) * (2 * code.lanes))
                code.store(y, t * from_y + channel, value)


class _Activation:
    """The activation of one vector of channels."""

    def __init__(self, code: Code, kind: int, channel: Value) -> None:
        self.code, self.kind, self.channel = code, kind, channel
        if kind == SNAKE:
            self.alpha = code.load(code.pointer(2), channel)
            self.scale = code.load(code.pointer(3), channel)
        elif kind == LEAKY_RELU:
            self.slope = code.scalar(8)

    def __call__(self, x: Value) -> Value:
        if self.kind == SNAKE:
            return snake(self.code, x, self.alpha, self.scale)
        if self.kind == LEAKY_RELU:
            return leaky_relu(self.code, x, self.slope)
        return tanh(self.code, x) if self.kind == TANH else gelu(self.code, x)


def _double(
    act: _Activation, filters: Polyphase, doubled: Pointer, start: Value, stop: Value
) -> None:
    """Write the activated doubled signal of some rows: an even and an odd sample for each."""
    code = act.code
    x, distance = code.pointer(0), code.integer(5)
    first, last = code.integer(9), code.integer(10)
    with code.range(start, stop, _UNROLLED) as row:
        window = []
        for step in range(-filters.before, _UNROLLED + filters.after):
            source = code.minimum(code.maximum(row + step, first), last)
            window.append(code.load(x, source * distance + act.channel))
        place = doubled + (row - start) * (2 * code.lanes)
        for step in range(_UNROLLED):
            for phase, (begin, weights) in enumerate(filters.doubling):
                inputs = window[step + filters.before + begin :]
                value = act(weighted(code, inputs, weights))
                code.store(place, (2 * step + phase) * code.lanes, value)


def _hold(code: Code, doubled: Pointer, start: Value, stop: Value) -> None:
    """Hold the first and the last sample of the doubled signal in rows outside of it."""
    first, last = code.integer(9), code.integer(10)
    for begin, end, row, phase in ((start, first, first, 0), (last + 1, stop, last, 1)):
        with code.range(code.maximum(begin, start), end) as outside:
            held = code.load(doubled, ((row - start) * 2 + phase) * code.lanes)
            for each in (0, 1):
                code.store(doubled, ((outside - start) * 2 + each) * code.lanes, held)


def _halved(code: Code, filters: Polyphase, doubled: Pointer) -> Value:
    """The output at a row of the doubled signal."""
    sums = []
    for phase, (begin, weights) in enumerate(filters.halving):
        places = [(2 * (begin + i) + phase) * code.lanes for i in range(len(weights))]
        sums.append(weighted(code, [code.load(doubled, place) for place in places], weights))
    return sums[0] + sums[1]
