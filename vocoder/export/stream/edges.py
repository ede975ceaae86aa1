"""Steps before the start and behind the end of a signal, made from those that exist."""

import torch
from torch import Tensor


def hold_edges(x: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Repeat step `first` before it, and step `last` - 1 behind it.

    Without such steps in `x`, the result has no meaning.   Shape: [..., T], [1], [1] → [..., T].
    """
    size = x.shape[-1]
    first = first.clamp(0, size - 1)
    last = torch.minimum(last, first.new_tensor([size])).maximum(first + 1)
    steps = torch.arange(size, device=x.device)
    return x[..., torch.minimum(torch.maximum(steps, first), last - 1)]


def reflect_edges(x: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Reflect a signal at step `first` and step `last` - 1, as `vocoder.dsp.stft.pad_reflect`.

    Without such steps in `x`, the result has no meaning.   Shape: [..., T], [1], [1] → [..., T].
    """
    size = x.shape[-1]
    period = (2 * (last - first - 1)).clamp_min(1)
    steps = (torch.arange(size, device=x.device) - first) % period
    return x[..., (torch.minimum(steps, period - steps) + first).clamp(0, size - 1)]
