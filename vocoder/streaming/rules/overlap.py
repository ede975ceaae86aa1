"""The rule of operations whose steps spread over the output and add up there."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.streaming.chunks import Chunk, Span, State, floor, zeros
from vocoder.streaming.rules.base import Rule


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
        held_until_flush: int = 0,
        bias: Tensor | None = None,
        envelope: Callable[[int, int], Tensor] | None = None,
    ) -> None:
        self.spread, self.bias = spread, None if bias is None else bias[:, None]
        self.stride, self.left = stride, left
        overlap, self.gap = max(span - stride, 0), max(stride - span, 0)
        self.right = right = right + self.gap  # no gap follows the last step
        # Steps that are complete but may turn out to lie in what is cut off the end.
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
