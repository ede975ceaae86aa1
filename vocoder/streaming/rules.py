"""How operations run on a signal that arrives in pieces.

Every rule emits exactly the steps of its output that are final, starting at step 0, so what is
emitted after n steps of input does not depend on how they were cut. Rules hold no state of their
own: `step` takes a state and returns the next, None being that of a stream which has not begun.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Chunk = Tensor | None
"""Consecutive steps of a signal, at least one; None if there is none yet."""
State = Any
"""What a rule remembers: None, a tensor with the batch first, a number, or a tuple of these."""
Span = tuple[float, int]
"""First and last step of a signal: from -inf on where there is no limit, (inf, -1) for none."""


class Rule(ABC):
    """One operation of a streamed graph.

    `closing` is the number of steps that its output is sure to emit only when the input ends,
    given that number for the input.
    """

    closing: int

    @abstractmethod
    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        """What the new steps of the inputs make final; everything that is left if they are `last`.

        At least one input is new unless they are last.
        """

    @abstractmethod
    def needs(self, span: Span) -> Span:
        """Steps of the inputs that this span of the output needs, away from the ends."""


class Local(Rule):
    """An operation that makes `rate` steps of each step and looks at no other.

    Several inputs wait for the slowest of them. A `blank` output only has the size of its input.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        *,
        axes: Sequence[int],
        rate: int = 1,
        closing: int = 0,
        blank: bool = False,
    ) -> None:
        self.call, self.axes, self.rate, self.blank = call, tuple(axes), rate, blank
        self.closing = closing * rate

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        if len(inputs) > 1:
            inputs, state = self._together(state, inputs)
        return (None if inputs[0] is None else self.call(*inputs)), state

    def needs(self, span: Span) -> Span:
        if self.blank:
            return math.inf, -1
        return _floor(span[0] / self.rate), span[1] // self.rate

    def then(self, other: "Local") -> "Local":
        """Both as one operation, `other` having no input but this one's output."""
        first, second = self.call, other.call
        both = Local(lambda *signals: second(first(*signals)), axes=self.axes)
        both.rate, both.closing = self.rate * other.rate, other.closing
        return both

    def _together(self, waiting: State, inputs: Sequence[Chunk]) -> tuple[list[Chunk], State]:
        """The steps that all inputs have, and those that have to wait."""
        waiting = waiting or (None,) * len(inputs)
        axes = self.axes
        have = [_join(w, x, a) for w, x, a in zip(waiting, inputs, axes, strict=True)]
        sizes = [0 if x is None else x.shape[a] for x, a in zip(have, axes, strict=True)]
        ready = min(sizes)
        if ready == max(sizes):
            return have, None
        heads = [_head(x, ready, axis) for x, axis in zip(have, axes, strict=True)]
        return heads, tuple(_rest(x, ready, axis) for x, axis in zip(have, axes, strict=True))


class Windowed(Rule):
    """Output step n looks at `span` steps of input, from n * stride - padding on.

    `call` does that without padding. Behind the ends the input is zero for `padding` steps.
    """

    def __init__(
        self,
        call: Callable[[Tensor], Tensor],
        *,
        axis: int,
        span: int,
        stride: int = 1,
        padding: int = 0,
        closing: int = 0,
    ) -> None:
        self.call, self.axis = call, axis
        self.span, self.stride, self.padding = span, stride, padding
        self.closing = (closing + padding) // stride

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        (x,) = inputs
        if state is None and x is not None:
            state = _zeros(x, self.padding, self.axis)
        have = _join(state, x, self.axis)
        if have is None:
            return None, None
        if last:
            have = _join(have, _zeros(have, self.padding, self.axis), self.axis)
        assert have is not None
        # A stride beyond the span would take steps that are not there yet.
        span = self.span if last else max(self.span, self.stride)
        size = have.shape[self.axis]
        count = (size - span) // self.stride + 1
        if count < 1:
            return None, have
        taken = min(count * self.stride, size)
        seen = have.narrow(self.axis, 0, (count - 1) * self.stride + self.span)
        # Maybe none, but not None, which would begin anew.
        return self.call(seen), have.narrow(self.axis, taken, size - taken).clone()

    def needs(self, span: Span) -> Span:
        first = span[0] * self.stride - self.padding
        return first, span[1] * self.stride - self.padding + max(self.span, self.stride) - 1


class OverlapAdd(Rule):
    """Step n of the input adds `span` steps to the output, from n * stride - left on.

    `spread` makes that sum for some steps in a new tensor, time being last in both, on top of what
    earlier steps left there (maybe None). `left` and `right` steps are cut off the ends of the sum;
    a negative `right` adds as many zeros. Then `bias` is added, one for each channel, and the sum
    divided by `envelope(before, count)`: the level of the sum from step 0 on if the input has so
    many steps. It is asked for `count` new ones, and for as many before them as still matter.
    """

    def __init__(
        self,
        spread: Callable[[Tensor, Chunk], Tensor],
        *,
        stride: int,
        span: int,
        left: int,
        right: int,
        closing: int = 0,
        bias: Tensor | None = None,
        envelope: Callable[[int, int], Tensor] | None = None,
    ) -> None:
        self.spread, self.bias = spread, None if bias is None else bias[:, None]
        self.stride, self.left = stride, left
        overlap, self.gap = max(span - stride, 0), max(stride - span, 0)
        self.right = right = right + self.gap  # no gap follows the last step
        # Steps that are complete but may turn out to lie in what is cut off the end.
        self.hold = max(right - overlap - closing * stride, 0)
        self.carried = overlap + self.hold
        self.closing = closing * stride + self.carried - right
        self.overlapping = -(-self.carried // stride)  # steps of input
        self._envelope = envelope and lru_cache(maxsize=8)(partial(self._levels, envelope))

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        (x,) = inputs
        tail, skip, before = state or (None, self.left + self.hold, 0)
        total = tail if x is None else self._sum(tail, x)
        if total is None:
            return None, None
        end = total.shape[-1] - (self.right if last else self.carried)
        if end > total.shape[-1]:
            total = F.pad(total, (0, end - total.shape[-1]))
        tail = None if last else total[..., end:].clone()
        skipped = min(skip, max(end, 0))
        count = 0 if x is None else x.shape[-1]
        ready = None if skipped >= end else self._finished(total, skipped, end, before, count)
        return ready, (tail, skip - skipped, min(before + count, self.overlapping))

    def needs(self, span: Span) -> Span:
        reach = self.carried - self.hold + self.stride - 1
        first = _floor((span[0] + self.left - reach + self.stride - 1) / self.stride)
        return first, (span[1] + self.left + self.hold) // self.stride

    def _finished(self, total: Tensor, begin: int, end: int, before: int, count: int) -> Tensor:
        ready = total[..., begin:end]
        if self.bias is not None:
            ready = ready + self.bias
        if self._envelope:
            ready = ready / self._envelope(before, count)[begin:end]
        return ready

    def _levels(self, envelope: Callable[[int, int], Tensor], before: int, count: int) -> Tensor:
        """The envelope from the first held step on."""
        return F.pad(envelope(before, count), (self.hold, 0))[before * self.stride :]

    def _sum(self, tail: Chunk, x: Tensor) -> Tensor:
        total = self.spread(x, None if tail is None else tail[..., self.hold :])
        if self.gap:
            total = F.pad(total, (0, self.gap))
        if not self.hold:
            return total
        held = _zeros(total, self.hold, -1) if tail is None else tail[..., : self.hold]
        assert held is not None
        return torch.cat([held, total], dim=-1)


_NOT_BEGUN: tuple[bool, Any] = (False, None)


class Pad(Rule):
    """Steps added at both ends by `pad(signal, left, right)`, each made of the `reach` nearest.

    An end of n added steps is made of n + `reach` - 1 steps of the signal if `mirrored`, and of
    `reach` otherwise.
    """

    def __init__(
        self,
        pad: Callable[[Tensor, int, int], Tensor],
        *,
        axis: int,
        left: int,
        right: int,
        mirrored: bool = False,
        closing: int = 0,
    ) -> None:
        self.pad, self.axis, self.left, self.right = pad, axis, left, right
        self.before = left + 1 if mirrored and left else 1
        self.behind = right + 1 if mirrored and right else 1
        self.closing = closing + right

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        (x,) = inputs
        begun, kept = state or _NOT_BEGUN
        if begun and not (last and self.right):
            return x, (True, _rest(_join(kept, x, self.axis), -self.behind, self.axis))
        have = _join(kept, x, self.axis)
        if have is None:
            return None, None
        if begun:
            closed = self.pad(have, 0, self.right)
            return _rest(closed, kept.shape[self.axis], self.axis, copy=False), None
        if have.shape[self.axis] < self.before and not last:
            return None, (False, have)
        ready = self.pad(have, self.left, self.right if last else 0)
        return ready, (True, _rest(have, -self.behind, self.axis))

    def needs(self, span: Span) -> Span:
        return span[0] - self.left, span[1] - self.left


class Crop(Rule):
    """The signal without its first `left` and last `right` steps."""

    def __init__(self, *, axis: int, left: int, right: int, closing: int = 0) -> None:
        self.axis, self.left, self.right = axis, left, right
        self.hold = max(right - closing, 0)
        self.closing = closing + self.hold - right

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        skip, kept = state or (self.left, None)
        have = _join(kept, inputs[0], self.axis)
        if have is None:
            return None, None
        end = max(have.shape[self.axis] - (self.right if last else self.hold), 0)
        skipped = min(skip, end)
        ready = _rest(_head(have, end, self.axis), skipped, self.axis, copy=False)
        return ready, (skip - skipped, _rest(have, end, self.axis))

    def needs(self, span: Span) -> Span:
        return span[0] + self.left, span[1] + self.left + self.hold


class Stretch(Rule):
    """Linear interpolation between steps to `factor` times as many, the last axis being time."""

    def __init__(self, factor: int, *, closing: int = 0) -> None:
        self.factor = factor
        # Up to here, or half a step before it, lie the outputs which n steps determine.
        self.late = factor // 2
        self.closing = closing * factor + self.late

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        have = _join(state, inputs[0], -1)
        if have is None:
            return None, None
        made = F.interpolate(have, scale_factor=float(self.factor), mode="linear")
        begin = 0 if state is None else self.factor - self.late
        end = made.shape[-1] - (0 if last else self.late)
        return made[..., begin:end] if end > begin else None, have[..., -1:].clone()

    def needs(self, span: Span) -> Span:
        def center(step: float) -> float:
            return (step + 0.5) / self.factor - 0.5

        return _floor(center(span[0])), math.ceil(center(span[1]))


class Cumsum(Rule):
    """The sum of all steps so far."""

    def __init__(self, call: Callable[[Tensor], Tensor], *, axis: int, closing: int = 0) -> None:
        self.call, self.axis, self.closing = call, axis, closing

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        (x,) = inputs
        if x is None:
            return None, state
        total = self.call(x) if state is None else self.call(x) + state
        return total, _rest(total, -1, self.axis)

    def needs(self, span: Span) -> Span:
        return -math.inf, span[1]


def _floor(step: float) -> float:
    return math.floor(step) if math.isfinite(step) else step


def _zeros(like: Tensor, steps: int, axis: int) -> Chunk:
    if not steps:
        return None
    shape = list(like.shape)
    shape[axis] = steps
    return like.new_zeros(shape)


def _join(before: Chunk, behind: Chunk, axis: int) -> Chunk:
    if before is None or behind is None:
        return behind if before is None else before
    if steps_first(behind) and axis == 2:  # as it comes from layers over channels: kept so
        return torch.cat([before.mT, behind.mT], 1).mT
    return torch.cat([before, behind], axis)


def steps_first(x: Tensor) -> bool:
    """Whether the channels of a signal [B, C, T] lie beside each other in memory, not its steps."""
    return x.ndim == 3 and x.shape[1] > 1 and x.stride(1) == 1


def _head(x: Chunk, steps: int, axis: int) -> Chunk:
    return x.narrow(axis, 0, steps) if x is not None and steps else None


def _rest(x: Chunk, begin: int, axis: int, *, copy: bool = True) -> Chunk:
    """What lies from step `begin` on, counted from the end if negative; None if that is nothing.

    A copy, unless told otherwise: a view would keep all of `x` in memory.
    """
    if x is None or begin >= x.shape[axis]:
        return None
    size = x.shape[axis]
    begin = max(begin + size, 0) if begin < 0 else begin
    rest = x.narrow(axis, begin, size - begin)
    return rest.clone() if copy else rest
