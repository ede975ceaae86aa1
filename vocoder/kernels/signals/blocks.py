"""The blocks of signals that a kernel goes through, and what is done at their edges."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.functions import leaky_relu, sine_squared_and_double, snake, where_above
from vocoder.kernels.jit.values import Pointer, Value, Variable
from vocoder.kernels.polyphase import Polyphase

SNAKE, LEAKY_RELU = range(2)
SEGMENT = 1 << 14
"""Samples of an item."""
_BLOCK = 512
_MARGIN = 32  # places on both sides of a block: what its filters read, in whole vectors

Pair = tuple[Pointer, Pointer]
"""Even and odd samples."""


class SignalBlocks:
    """The blocks of a kernel's items, and what is done at their edges.

    Places are relative to the first sample of a block, and may be negative. Arguments: addresses of
    x [B, C, T], of alpha and scale [C] (that of sin², 1 / beta); T, C, first item, the one behind
    the last; slope of the leaky ReLU.
    """

    def __init__(self, code: Code, kind: int) -> None:
        self.code, self.kind = code, kind
        self.steps = code.integer(3)

    def scratch(self) -> Pointer:
        """Memory for a block and its margins, at the place 0."""
        return self.code.scratch(_BLOCK + 2 * _MARGIN + self.code.lanes) + _MARGIN

    @contextmanager
    def each_item(self) -> Iterator[Value]:
        """Code for every item; yields its number."""
        code = self.code
        segments = (self.steps + (SEGMENT - 1)) // SEGMENT
        with code.range(code.integer(5), code.integer(6)) as item:
            signal = code.binary("udiv", item, segments)
            channel = code.binary("urem", signal, code.integer(4))
            if self.kind == SNAKE:
                self.alpha = code.broadcast(code.pointer(1), channel)
                self.scale = code.broadcast(code.pointer(2), channel)
            self._row = signal * self.steps
            self._begin = (item - signal * segments) * SEGMENT
            yield item

    @contextmanager
    def each_block(self) -> Iterator[None]:
        """Code for every block of an item."""
        end = self.code.minimum(self._begin + SEGMENT, self.steps)
        with self.code.range(self._begin, end, _BLOCK) as start:
            self.start, self.rest = start, self.steps - start
            self.count = self.code.minimum(self.rest, _BLOCK)
            yield

    @contextmanager
    def vectors(self, before: int = 0, after: int = 0) -> Iterator[Value]:
        """Code for every vector of the block, and of at least these places around it."""
        lanes = self.code.lanes
        with self.code.range(-before // lanes * lanes, self.count + after, lanes) as i:
            yield i

    def signal(self, x: Pointer, copy: Pointer, *, hold: bool) -> Pointer:
        """The block of a signal and its margins; beyond the ends the signal is held, or zero.

        `copy` is where it is put together at the ends of the signal.
        """
        code, build = self.code, self.code.builder
        inside = x + (self._row + self.start)
        room = code.minimum(self.start - _MARGIN, self.rest - (_BLOCK + _MARGIN + code.lanes))
        at_an_end = build.icmp_signed("<", room.ir, code.like_int(0).ir)
        with build.if_then(at_an_end):
            begin = code.maximum(0 - self.start, -_MARGIN)
            end = code.minimum(self.rest, _BLOCK + _MARGIN)
            outside = code.constant(0.0)
            with code.range(-_MARGIN, begin, code.lanes) as i:
                code.store(copy, i, code.broadcast(inside, begin) if hold else outside)
            self._copy(copy, inside, begin, end)
            with code.range(end, self.count + _MARGIN, code.lanes) as i:
                code.store(copy, i, code.broadcast(inside, end - 1) if hold else outside)
        return type(copy)(code, build.select(at_an_end, copy.ir, inside.ir))

    def write(self, y: Pointer, block: Pointer) -> None:
        """Write a block to its place in a signal."""
        self._copy(y + (self._row + self.start), block, self.code.like_int(0), self.count)

    def _copy(self, to: Pointer, source: Pointer, begin: Value, end: Value) -> None:
        """Copy the samples from place `begin` up to `end`, and no others."""
        code, lanes = self.code, self.code.lanes
        final = end - lanes
        enough = code.builder.icmp_signed(">=", final.ir, begin.ir)
        with code.builder.if_else(enough) as (vectors, floats):
            with vectors:
                with code.range(begin, final, lanes) as i:
                    code.store(to, i, code.load(source, i))
                code.store(to, final, code.load(source, final))  # over part of the one before
            with floats, code.range(begin, end) as i:
                code.store_first(to, i, code.broadcast(source, i))

    def hold(self, doubled: Pair, filters: Polyphase) -> None:
        """Hold the first and the last sample of the doubled signal around it."""
        code = self.code
        for at, edge, begin, end in self._around(doubled, filters, code.lanes):
            with code.range(begin, end, code.lanes) as i:
                for part in doubled:
                    code.store(part, i, code.broadcast(edge, at))

    def fold(self, parts: Sequence[Pointer], edges: Pair, filters: Polyphase) -> None:
        """Add the gradients of held samples to those of the first and the last, and zero them."""
        code = self.code
        for at, edge, begin, end in self._around(edges, filters, 1):
            with code.range(begin, end) as i:
                for part in parts:
                    total = code.broadcast(edge, at) + code.broadcast(part, i)
                    code.store_first(edge, at, total)
                    code.store_first(part, i, code.constant(0.0))

    def _around(
        self, edges: Pair, filters: Polyphase, step: int
    ) -> list[tuple[Value, Pointer, Value, Value]]:
        """Of either end: place and memory of the sample to hold, first place where, and their end.

        Those before the signal are a multiple of `step`.
        """
        code, first, rest = self.code, 0 - self.start, self.rest
        end = code.minimum(rest + filters.after, self.count + _MARGIN // 2)
        begin = code.like_int(-filters.before // step * step)
        return [(first, edges[0], begin, first), (rest - 1, edges[1], rest, end)]

    def activation(self, u: Value) -> Value:
        """The activation of doubled samples."""
        if self.kind == SNAKE:
            return snake(self.code, u, self.alpha, self.scale)
        return leaky_relu(self.code, u, self.code.scalar(7))

    def gradient(self, u: Value, gradient: Value, place: Value, sums: Sequence[Variable]) -> Value:
        """The gradient of doubled samples; adds to the sums if `place` lies in the block."""
        code = self.code
        if self.kind == LEAKY_RELU:
            return where_above(code, u, 0.0, gradient, gradient * code.scalar(7))
        square, double = sine_squared_and_double(code, self.alpha * u)
        double = gradient * double
        inside = code.builder.icmp_unsigned("<", place.ir, self.count.ir)
        for total, term in zip(sums, (double * u, gradient * square), strict=True):
            new = total.get() + term
            total.set(type(new)(code, code.builder.select(inside, new.ir, total.get().ir)))
        return code.fma(double, self.alpha * self.scale, gradient)
