"""Pieces of a signal, and how they are put together and taken apart."""

import math
from typing import Any

import torch
from torch import Tensor

Chunk = Tensor | None
"""Consecutive steps of a signal, at least one; None if there is none yet."""
State = Any
"""What a rule remembers: None, a tensor with the batch first, a number, or a tuple of these."""
Span = tuple[float, int]
"""First and last step of a signal: from -inf on where there is no limit, (inf, -1) for none."""


def floor(step: float) -> float:
    """To the step at or before; infinity stays what it is."""
    return math.floor(step) if math.isfinite(step) else step


def zeros(like: Tensor, steps: int, axis: int) -> Chunk:
    """So many steps of silence, shaped and laid out in memory like a chunk."""
    if not steps:
        return None
    shape = list(like.shape)
    shape[axis] = steps
    if steps_first(like) and axis == 2:
        return like.new_zeros([shape[0], steps, shape[1]]).mT
    return like.new_zeros(shape)


def join(before: Chunk, behind: Chunk, axis: int) -> Chunk:
    """One chunk of two, in the memory layout of the second."""
    if before is None or behind is None:
        return behind if before is None else before
    if steps_first(behind) and axis == 2:  # as it comes from layers over channels: kept so
        return torch.cat([before.mT, behind.mT], 1).mT
    return torch.cat([before, behind], axis)


def steps_first(x: Tensor) -> bool:
    """Whether the channels of a signal [B, C, T] lie beside each other in memory, not its steps."""
    return x.ndim == 3 and x.shape[1] > 1 and x.stride(1) == 1


def head(x: Chunk, steps: int, axis: int) -> Chunk:
    """The first steps, as a view."""
    return x.narrow(axis, 0, steps) if x is not None and steps else None


def rest(x: Chunk, begin: int, axis: int, *, copy: bool = True) -> Chunk:
    """What lies from step `begin` on, counted from the end if negative; None if that is nothing.

    A copy, unless told otherwise: a view would keep all of `x` in memory.
    """
    if x is None or begin >= x.shape[axis]:
        return None
    size = x.shape[axis]
    begin = max(begin + size, 0) if begin < 0 else begin
    part = x.narrow(axis, begin, size - begin)
    return part.clone() if copy else part
