"""How operations run on a signal that arrives in pieces.

Every rule emits exactly the steps of its output that are final, starting at step 0, so what is
emitted after n steps of input does not depend on how they were cut. Rules hold no state of their
own: `step` takes a state and returns the next, None being that of a stream which has not begun.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vocoder.streaming.chunks import Chunk, Span, State, floor, head, join, rest, zeros


class Rule(ABC):
    """One operation of a streamed graph.

    `held_until_flush` is the number of steps that its output emits only when the input ends, given
    that number for the input.
    """

    held_until_flush: int

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
        held_until_flush: int = 0,
        blank: bool = False,
    ) -> None:
        self.call, self.axes, self.rate, self.blank = call, tuple(axes), rate, blank
        self.held_until_flush = held_until_flush * rate

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        if len(inputs) > 1:
            inputs, state = self._together(state, inputs)
        return (None if inputs[0] is None else self.call(*inputs)), state

    def needs(self, span: Span) -> Span:
        if self.blank:
            return math.inf, -1
        return floor(span[0] / self.rate), span[1] // self.rate

    def then(self, other: "Local") -> "Local":
        """Both as one operation, `other` having no input but this one's output."""
        first, second = self.call, other.call
        both = Local(lambda *signals: second(first(*signals)), axes=self.axes)
        both.rate, both.held_until_flush = self.rate * other.rate, other.held_until_flush
        return both

    def _together(self, waiting: State, inputs: Sequence[Chunk]) -> tuple[list[Chunk], State]:
        """The steps that all inputs have, and those that have to wait."""
        waiting = waiting or (None,) * len(inputs)
        axes = self.axes
        have = [join(w, x, a) for w, x, a in zip(waiting, inputs, axes, strict=True)]
        sizes = [0 if x is None else x.shape[a] for x, a in zip(have, axes, strict=True)]
        ready = min(sizes)
        if ready == max(sizes):
            return have, None
        heads = [head(x, ready, axis) for x, axis in zip(have, axes, strict=True)]
        return heads, tuple(rest(x, ready, axis) for x, axis in zip(have, axes, strict=True))


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
        held_until_flush: int = 0,
    ) -> None:
        self.call, self.axis = call, axis
        self.span, self.stride, self.padding = span, stride, padding
        self.held_until_flush = (held_until_flush + padding) // stride

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        (x,) = inputs
        if state is None and x is not None:
            state = zeros(x, self.padding, self.axis)
        have = join(state, x, self.axis)
        if have is None:
            return None, None
        if last:
            have = join(have, zeros(have, self.padding, self.axis), self.axis)
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


_NOT_BEGUN: tuple[bool, Any] = (False, None)


class Pad(Rule):
    """Steps added at both ends by `pad(signal, left, right)`.

    n steps at an end are made of the n + 1 nearest ones if `reflect`, otherwise of the nearest.
    """

    def __init__(
        self,
        pad: Callable[[Tensor, int, int], Tensor],
        *,
        axis: int,
        left: int,
        right: int,
        reflect: bool = False,
        held_until_flush: int = 0,
    ) -> None:
        self.pad, self.axis, self.left, self.right = pad, axis, left, right
        self.before = left + 1 if reflect and left else 1
        self.behind = right + 1 if reflect and right else 1
        self.held_until_flush = held_until_flush + right

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        (x,) = inputs
        begun, kept = state or _NOT_BEGUN
        if begun and not (last and self.right):
            return x, (True, rest(join(kept, x, self.axis), -self.behind, self.axis))
        have = join(kept, x, self.axis)
        if have is None:
            return None, None
        if begun:
            closed = self.pad(have, 0, self.right)
            return rest(closed, kept.shape[self.axis], self.axis, copy=False), None
        if have.shape[self.axis] < self.before and not last:
            return None, (False, have)
        ready = self.pad(have, self.left, self.right if last else 0)
        return ready, (True, rest(have, -self.behind, self.axis))

    def needs(self, span: Span) -> Span:
        return span[0] - self.left, span[1] - self.left


class Crop(Rule):
    """The signal without its first `left` and last `right` steps."""

    def __init__(self, *, axis: int, left: int, right: int, held_until_flush: int = 0) -> None:
        self.axis, self.left, self.right = axis, left, right
        self.hold = max(right - held_until_flush, 0)
        self.held_until_flush = held_until_flush + self.hold - right

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        skip, kept = state or (self.left, None)
        have = join(kept, inputs[0], self.axis)
        if have is None:
            return None, None
        end = max(have.shape[self.axis] - (self.right if last else self.hold), 0)
        skipped = min(skip, end)
        ready = rest(head(have, end, self.axis), skipped, self.axis, copy=False)
        return ready, (skip - skipped, rest(have, end, self.axis))

    def needs(self, span: Span) -> Span:
        return span[0] + self.left, span[1] + self.left + self.hold


class Stretch(Rule):
    """Linear interpolation between steps to `factor` times as many, the last axis being time."""

    def __init__(self, factor: int, *, held_until_flush: int = 0) -> None:
        self.factor = factor
        # Up to here, or half a step before it, lie the outputs which n steps determine.
        self.late = factor // 2
        self.held_until_flush = held_until_flush * factor + self.late

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        have = join(state, inputs[0], -1)
        if have is None:
            return None, None
        made = F.interpolate(have, scale_factor=float(self.factor), mode="linear")
        begin = 0 if state is None else self.factor - self.late
        end = made.shape[-1] - (0 if last else self.late)
        return made[..., begin:end] if end > begin else None, have[..., -1:].clone()

    def needs(self, span: Span) -> Span:
        def center(step: float) -> float:
            return (step + 0.5) / self.factor - 0.5

        return floor(center(span[0])), math.ceil(center(span[1]))


class Cumsum(Rule):
    """The sum of all steps so far."""

    def __init__(
        self, call: Callable[[Tensor], Tensor], *, axis: int, held_until_flush: int = 0
    ) -> None:
        self.call, self.axis, self.held_until_flush = call, axis, held_until_flush

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        (x,) = inputs
        if x is None:
            return None, state
        total = self.call(x) if state is None else self.call(x) + state
        return total, rest(total, -1, self.axis)

    def needs(self, span: Span) -> Span:
        return -math.inf, span[1]
