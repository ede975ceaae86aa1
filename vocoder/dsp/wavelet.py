"""Haar wavelet transform: a signal as a low and a high band at half the rate, invertible."""

import torch
from torch import Tensor

from vocoder.dsp.stft import pad_reflect

_HALF_POWER = 0.5**0.5


def haar(audio: Tensor) -> Tensor:
    """One level of the orthonormal Haar transform; an odd length is padded by reflection.

    The output channels are the sums of neighbours for all channels, then their differences. Applied
    again it splits both bands (a wavelet packet).

    Shape: [B, C, T] → [B, 2 * C, ceil(T / 2)].
    """
    padded = pad_reflect(audio, 0, audio.shape[-1] % 2)
    even, odd = padded[..., ::2], padded[..., 1::2]
    return _HALF_POWER * torch.cat([even + odd, even - odd], dim=1)
