"""Checks of batches of mels, and of what comes with them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vocoder.errors import ConfigError, MelMismatchError


def silenced(mel: Tensor, lengths: Sequence[int], silence: Sequence[float]) -> Tensor:
    """`mel` with `silence`, a value per band, from frame `lengths[b]` on. Shape: [B, M, F] → same.

    Raises MelMismatchError unless there is one possible length for each item.
    """
    if len(lengths) != len(mel) or not all(1 <= n <= mel.shape[-1] for n in lengths):
        raise MelMismatchError(
            f"lengths are {list(lengths)}; give {len(mel)} of them, from 1 to {mel.shape[-1]} "
            "frames"
        )
    ends = torch.tensor(list(lengths), device=mel.device)
    inside = torch.arange(mel.shape[-1], device=mel.device) < ends[:, None, None]
    return torch.where(inside, mel, mel.new_tensor(silence)[:, None])


def matching_f0(f0: Tensor, mel: Tensor) -> Tensor:
    """An F0 contour as a batch on the device of the mel; raises ConfigError unless it fits.

    Shape: [F] or [B, F], [B, M, F] → [B, F].
    """
    values = f0.to(mel.device)
    values = values[None] if values.ndim == 1 else values
    batch, frames = mel.shape[0], mel.shape[-1]
    if tuple(values.shape) != (batch, frames):
        raise ConfigError(
            f"f0 has the shape {list(values.shape)}, but the mel has "
            f"{frames} frames (batch of {batch}): one value in Hz for each frame"
        )
    return values
