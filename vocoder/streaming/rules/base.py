"""Streaming rules: how operations run on a signal that arrives in chunks.

Every rule emits exactly the steps of its output that are final, starting at step 0, so the output
after n steps of input does not depend on how they were cut. Rules hold no state of their own:
`step` takes a state and returns the next one; the state before the first step is None.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vocoder.streaming.chunks import Chunk, Span, State, floor, head, join, rest, zeros


class Rule(ABC):
    """Base class of the rules by which one operation of a graph is streamed.

    `held_until_flush` is the number of steps that the output emits only when the input ends. The
    constructors take the same number for the input.
    """

    held_until_flush: int

    @abstractmethod
    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        """Output that is final with the next chunks of the inputs, and the next state.

        With `last` the inputs end, and all remaining output is returned. At least one chunk is not
        None unless they are last.
        """

    @abstractmethod
    def needs(self, span: Span) -> Span:
        """Steps of the inputs on which this span of the output depends, away from the ends."""


class Local(Rule):
    """Rule of an operation that maps each input step to `rate` output steps, regardless of others.

    Of several inputs, the faster ones wait for the slowest.

    Args:
        call: The operation on chunks of all inputs.
        axes: Time axis of each input.
        rate: Output steps for each input step.
        held_until_flush: Steps of the input that come only when it ends.
        blank: Whether the output depends on the size of its input alone, as that of `zeros_like`.
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
            inputs, state = self._align(state, inputs)
        return (None if inputs[0] is None else self.call(*inputs)), state

    def needs(self, span: Span) -> Span:
        if self.blank:
            return math.inf, -1
        return floor(span[0] / self.rate), span[1] // self.rate

    def then(self, other: "Local") -> "Local":
        """One rule for this operation followed by `other`, whose only input is its output."""
        first, second = self.call, other.call
        both = Local(lambda *signals: second(first(*signals)), axes=self.axes)
        both.rate, both.held_until_flush = self.rate * other.rate, other.held_until_flush
        return both

    def _align(self, waiting: State, inputs: Sequence[Chunk]) -> tuple[list[Chunk], State]:
        """Steps that have arrived of all inputs, and the steps that wait for other inputs."""
        waiting = waiting or (None,) * len(inputs)
        axes = self.axes
        joined = [join(w, x, a) for w, x, a in zip(waiting, inputs, axes, strict=True)]
        sizes = [0 if x is None else x.shape[a] for x, a in zip(joined, axes, strict=True)]
        ready = min(sizes)
        if ready == max(sizes):
            return joined, None
        heads = [head(x, ready, axis) for x, axis in zip(joined, axes, strict=True)]
        return heads, tuple(rest(x, ready, axis) for x, axis in zip(joined, axes, strict=True))


class Windowed(Rule):
    """Rule of an operation whose output step n depends on a window of the input.

    The window has `span` steps from n * stride - padding on. The input is padded with `padding`
    zeros at both ends.

    Args:
        call: The operation on a chunk, without padding.
        axis: Time axis of the input.
        span: Length of the window.
        stride: Input steps from one window to the next.
        padding: Zeros before and after the input.
        held_until_flush: Steps of the input that come only when it ends.
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
        signal = join(state, x, self.axis)
        if signal is None:
            return None, None
        if last:
            signal = join(signal, zeros(signal, self.padding, self.axis), self.axis)
        assert signal is not None
        # A stride beyond the span would skip steps that have not arrived yet.
        span = self.span if last else max(self.span, self.stride)
        size = signal.shape[self.axis]
        count = (size - span) // self.stride + 1
        if count < 1:
            return None, signal
        skipped = min(count * self.stride, size)
        windows = signal.narrow(self.axis, 0, (count - 1) * self.stride + self.span)
        # The next state may have no step, but is not None, which would start a new stream.
        return self.call(windows), signal.narrow(self.axis, skipped, size - skipped).clone()

    def needs(self, span: Span) -> Span:
        first = span[0] * self.stride - self.padding
        return first, span[1] * self.stride - self.padding + max(self.span, self.stride) - 1


_NOT_BEGUN: tuple[bool, Any] = (False, None)


class Pad(Rule):
    """Rule of padding at both ends.

    n steps at an end are made from the n + 1 nearest ones if `reflect`, otherwise from the nearest.

    Args:
        pad: The operation: signal, left and right to the padded signal.
        axis: Time axis of the input.
        left: Steps added before the signal.
        right: Steps added after it.
        reflect: Whether the padding is made from more than the nearest step.
        held_until_flush: Steps of the input that come only when it ends.
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
        begun, stored = state or _NOT_BEGUN
        if begun and not (last and self.right):
            return x, (True, rest(join(stored, x, self.axis), -self.behind, self.axis))
        signal = join(stored, x, self.axis)
        if signal is None:
            return None, None
        if begun:
            padded = self.pad(signal, 0, self.right)
            return rest(padded, stored.shape[self.axis], self.axis, copy=False), None
        if signal.shape[self.axis] < self.before and not last:
            return None, (False, signal)
        padded = self.pad(signal, self.left, self.right if last else 0)
        return padded, (True, rest(signal, -self.behind, self.axis))

    def needs(self, span: Span) -> Span:
        return span[0] - self.left, span[1] - self.left


class Crop(Rule):
    """Rule of cutting `left` steps off the beginning of a signal and `right` steps off its end."""

    def __init__(self, *, axis: int, left: int, right: int, held_until_flush: int = 0) -> None:
        self.axis, self.left, self.right = axis, left, right
        self.hold = max(right - held_until_flush, 0)
        self.held_until_flush = held_until_flush + self.hold - right

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        skip, held = state or (self.left, None)
        signal = join(held, inputs[0], self.axis)
        if signal is None:
            return None, None
        end = max(signal.shape[self.axis] - (self.right if last else self.hold), 0)
        skipped = min(skip, end)
        ready = rest(head(signal, end, self.axis), skipped, self.axis, copy=False)
        return ready, (skip - skipped, rest(signal, end, self.axis))

    def needs(self, span: Span) -> Span:
        return span[0] + self.left, span[1] + self.left + self.hold


class Stretch(Rule):
    """Rule of linear interpolation to `factor` times as many steps along the last axis."""

    def __init__(self, factor: int, *, held_until_flush: int = 0) -> None:
        self.factor = factor
        # Of the factor * n outputs of n steps, so many depend on the step after them.
        self.late = factor // 2
        self.held_until_flush = held_until_flush * factor + self.late

    def step(self, state: State, inputs: Sequence[Chunk], *, last: bool) -> tuple[Chunk, State]:
        signal = join(state, inputs[0], -1)
        if signal is None:
            return None, None
        made = F.interpolate(signal, scale_factor=float(self.factor), mode="linear")
        begin = 0 if state is None else self.factor - self.late
        end = made.shape[-1] - (0 if last else self.late)
        return made[..., begin:end] if end > begin else None, signal[..., -1:].clone()

    def needs(self, span: Span) -> Span:
        def center(step: float) -> float:
            return (step + 0.5) / self.factor - 0.5

        return floor(center(span[0])), math.ceil(center(span[1]))


class Cumsum(Rule):
    """Rule of a cumulative sum over steps."""

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
