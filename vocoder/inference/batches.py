"""Batches of mels: checks of what they come with, and groups of similar lengths."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError, MelMismatchError

_SIMILAR = 0.8  # of the longest of a group


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


def paired(mels: Iterable[Any], f0: Iterable[Any] | None) -> Iterator[tuple[Any, Any]]:
    """Each mel with its F0, or with None; raises ConfigError unless there is one for each."""
    missing = object()
    contours = repeat(None) if f0 is None else chain(f0, repeat(missing))
    for mel, contour in zip(mels, contours, strict=False):
        if contour is missing:
            raise ConfigError("there are fewer f0 than mels; give one for each")
        yield mel, contour
    if f0 is not None and next(contours) is not missing:
        raise ConfigError("there are more f0 than mels; give one for each")


def padded(items: Sequence[Tensor]) -> Tensor:
    """A batch of items, with zeros behind the shorter ones. Shape: [..., F] each → [B, ..., F]."""
    longest = max(item.shape[-1] for item in items)
    return torch.stack([F.pad(item, (0, longest - item.shape[-1])) for item in items])


def similar(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Groups of items of similar lengths, which padded are at most `most` long together.

    An item alone may be longer.
    """
    groups: list[list[int]] = []
    for item in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        longest = lengths[groups[-1][0]] if groups else 0
        if lengths[item] >= _SIMILAR * longest > 0 and (len(groups[-1]) + 1) * longest <= most:
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups
