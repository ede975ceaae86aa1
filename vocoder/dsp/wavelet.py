"""Haar wavelet: a signal as its low and its high half, each at half the rate, nothing lost."""

import torch
from torch import Tensor

from vocoder.dsp.stft import pad_reflect

_HALF_POWER = 0.5**0.5


def haar(audio: Tensor) -> Tensor:
    """One level of the orthonormal Haar transform, an odd last sample completed by reflection.

    Sums of neighbours come first, one for each channel, then their differences. Applied again it
    splits both halves (a wavelet packet).

    Shape: [B, C, T] → [B, 2 * C, ceil(T / 2)].
    """
    padded = pad_reflect(audio, 0, audio.shape[-1] % 2)
    even, odd = padded[..., ::2], padded[..., 1::2]
    return _HALF_POWER * torch.cat([even + odd, even - odd], dim=1)
