"""What the samples of a recording tell: silence, bit depth, channels, cuts."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

_FRAME = 0.02  # seconds
_SOUND = 10.0**-2.75  # of the loudest frame: below -55 dB lies silence
_GAP = 0.01  # seconds of digital silence between sounds
_FEW_LEVELS = 256
_ALIKE = 1e-3  # difference of channels that are one, relative to their level


class Edges(NamedTuple):
    """Seconds of silence before and after the sound, and gaps of digital silence in it."""

    before: float
    after: float
    gaps: tuple[float, ...]
    """Where digital silence between sounds begins, in seconds."""


def edges(audio: Tensor, sample_rate: int) -> Edges:
    """Silence around and inside of a recording. Shape: [C, T]."""
    size = max(1, round(_FRAME * sample_rate))
    frames = audio.shape[-1] // size
    if not frames:
        return Edges(0.0, 0.0, ())
    level = audio[:, : frames * size].square().mean(0).reshape(frames, size).mean(1).sqrt()
    sound = torch.nonzero(level > _SOUND * level.max())[:, 0]
    if not len(sound):
        return Edges(0.0, 0.0, ())
    first, last = int(sound[0]), int(sound[-1]) + 1
    silence = audio[:, first * size : last * size].abs().amax(0) == 0.0
    change = torch.nn.functional.pad(silence, (1, 1)).int().diff()
    begins, ends = torch.nonzero(change == 1)[:, 0], torch.nonzero(change == -1)[:, 0]
    long = begins[(ends - begins >= _GAP * sample_rate) & (begins > size)]
    gaps = tuple((first * size + int(place)) / sample_rate for place in long)
    return Edges(first * size / sample_rate, (frames - last) * size / sample_rate, gaps)


class Depth(NamedTuple):
    """Bits that samples have in the file, that they use, and how many values occur."""

    stored: int
    used: int
    levels: int

    @property
    def few(self) -> bool:
        """Whether the values are so few that the audio was once stored with 8 bits."""
        return self.levels <= _FEW_LEVELS


def depth(path: Path, stored: int, frames: int) -> Depth | None:
    """Bits that the samples of an integer file use; None if they cannot be read so.

    `stored` are the bits of the format, `frames` how many samples are looked at.
    """
    try:
        samples: NDArray[np.int32] = soundfile.read(path, frames=frames, dtype="int32")[0]
    except (soundfile.LibsndfileError, OSError):
        return None
    flat = samples.reshape(-1)
    together = int(np.bitwise_or.reduce(flat)) & 0xFFFFFFFF
    if not together:
        return None
    zeros = (together & -together).bit_length() - 1
    return Depth(stored, 32 - zeros, len(np.unique(flat)))


def relation(audio: Tensor) -> tuple[str, str] | None:
    """What two channels are that are not stereo, and what to do; None if they are. [2, T]."""
    left, right = audio.double()
    levels = [float(x.square().mean().sqrt()) for x in (left, right)]
    if min(levels) < _ALIKE * max(levels):
        dead = ("left", "right")[levels.index(min(levels))]
        return f"the {dead} channel is silent", "keep the other one"
    difference = float((left - right).square().mean().sqrt())
    total = float((left + right).square().mean().sqrt())
    if difference == 0.0:
        return "both channels are equal: mono", "keep one of them"
    if difference < _ALIKE * max(levels):
        decibels = 20.0 * math.log10(difference / max(levels))
        return f"both channels are equal but for {decibels:.0f} dB: mono", "keep one of them"
    if total < 0.1 * max(levels):
        return (
            "one channel is the other inverted: their mean, which is what mono models get, is "
            "silent or hollow",
            "invert one of them, or keep one",
        )
    return None
