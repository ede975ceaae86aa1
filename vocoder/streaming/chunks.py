"""Chunks of a signal, and functions that join and split them."""

import math
from typing import Any

import torch
from torch import Tensor

Chunk = Tensor | None
"""Consecutive steps of a signal, at least one; None if there is none yet."""
State = Any
"""State of a rule: None, a tensor with the batch first, a number, or a tuple of these."""
Span = tuple[float, int]
"""First and last step of a part of a signal: first is -inf without a limit; (inf, -1) is empty."""


def floor(step: float) -> float:
    """Round down to a whole step; infinities are returned unchanged."""
    return math.floor(step) if math.isfinite(step) else step


def zeros(like: Tensor, steps: int, axis: int) -> Chunk:
    """Zeros for `steps` steps, in the shape and memory layout of `like`; None for no step."""
    if not steps:
        return None
    shape = list(like.shape)
    shape[axis] = steps
    if steps_first(like) and axis == 2:
        return like.new_zeros([shape[0], steps, shape[1]]).mT
    return like.new_zeros(shape)


def join(before: Chunk, behind: Chunk, axis: int) -> Chunk:
    """Concatenate two chunks, in the memory layout of the second; either may be None."""
    if before is None or behind is None:
        return behind if before is None else before
    if steps_first(behind) and axis == 2:  # the layout of layers over channels is preserved
        return torch.cat([before.mT, behind.mT], 1).mT
    return torch.cat([before, behind], axis)


def steps_first(x: Tensor) -> bool:
    """Whether a signal [B, C, T] is stored with its channels contiguous instead of its steps."""
    return x.ndim == 3 and x.shape[1] > 1 and x.stride(1) == 1


def head(x: Chunk, steps: int, axis: int) -> Chunk:
    """The first `steps` steps, as a view; None for no step."""
    return x.narrow(axis, 0, steps) if x is not None and steps else None


def rest(x: Chunk, begin: int, axis: int, *, copy: bool = True) -> Chunk:
    """The steps from `begin` on, counted from the end if negative; None if there are none.

    A copy by default: a view would keep all of `x` in memory.
    """
    if x is None or begin >= x.shape[axis]:
        return None
    size = x.shape[axis]
    begin = max(begin + size, 0) if begin < 0 else begin
    part = x.narrow(axis, begin, size - begin)
    return part.clone() if copy else part
