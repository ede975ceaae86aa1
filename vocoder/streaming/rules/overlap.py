"""The streaming rule of overlap-add, for transposed convolutions and the inverse STFT."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.streaming.chunks import Chunk, Span, State, floor, zeros
from vocoder.streaming.rules.base import Rule


class OverlapAdd(Rule):
    """Rule of overlap-add: step n of the input adds `span` steps to the output.

    They begin at n * stride - left. Then `bias` is added to the sum, which is divided by the
    envelope. Time is the last axis of input and output.

    Args:
        spread: Overlap-add of a chunk in a new tensor, on top of the tail of earlier steps or None.
        stride: Output steps from one input step to the next.
        span: Output steps that an input step adds to.
        left: Steps cut off the beginning of the sum.
        right: Steps cut off its end; if negative, as many zeros are added.
        held_until_flush: Steps of the input that come only when it ends.
        bias: One value for each channel.
        envelope: Level of the sum from step 0 on of an input of `before` + `count` steps; `count`
            is the size of a chunk, `before` the number of earlier steps that overlap it.
    """

    def __init__(
        self,
        spread: Callable[[Tensor, Chunk], Tensor],
        *,
        stride: int,
        span: int,
        left: int,
        right: int,
        held_until_flush: int = 0,
        bias: Tensor | None = None,
        envelope: Callable[[int, int], Tensor] | None = None,
    ) -> None:
        self.spread, self.bias = spread, None if bias is None else bias[:, None]
        self.stride, self.left = stride, left
        overlap, self.gap = max(span - stride, 0), max(stride - span, 0)
        self.right = right = right + self.gap  # no gap follows the last step
        # Steps that are complete but may be among those cut off the end.
        self.hold = max(right - overlap - held_until_flush * stride, 0)
        self.carried = overlap + self.hold
        self.held_until_flush = held_until_flush * stride + self.carried - right
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
        overlap = self.carried - self.hold
        first = floor((span[0] + self.left - overlap) / self.stride)
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
        held = zeros(total, self.hold, -1) if tail is None else tail[..., : self.hold]
        assert held is not None
        return torch.cat([held, total], dim=-1)
