"""Mel filterbanks, computed in double precision."""

import math
from typing import Literal

import torch
from torch import Tensor

MelScale = Literal["slaney", "htk"]

# Slaney's Auditory Toolbox: linear below 1 kHz (200/3 Hz a mel), 27 logarithmic steps to 6.4 kHz.
_LINEAR_HZ = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = math.log(6.4) / 27.0


def hz_to_mel(hz: Tensor, scale: MelScale) -> Tensor:
    """Frequency in Hz to mels on the given scale; any shape.

    >>> hz_to_mel(torch.tensor([0.0, 1000.0]), "slaney").tolist()
    [0.0, 15.0]
    """
    if scale == "htk":
        return 2595.0 * torch.log10(1.0 + hz / 700.0)
    logarithmic = _BREAK_MEL + torch.log(hz.clamp_min(1e-10) / _BREAK_HZ) / _LOG_STEP
    return torch.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, logarithmic)


def mel_to_hz(mel: Tensor, scale: MelScale) -> Tensor:
    """Inverse of `hz_to_mel`; any shape."""
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    logarithmic = _BREAK_HZ * torch.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return torch.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, logarithmic)


def mel_filterbank(
    *,
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    f_min: float,
    f_max: float,
    scale: MelScale = "slaney",
    norm: Literal["slaney", "none"] = "slaney",
) -> Tensor:
    """Triangular filters from bins to mel bands, evenly spaced in mel.

    Shape: [n_mels, n_fft // 2 + 1].   Slaney 1998 (Auditory Toolbox) / Young et al. (HTK book).

    Args:
        sample_rate: Sample rate in Hz.
        n_fft: Size of the transform in samples.
        n_mels: Number of bands.
        f_min: Lower end of the lowest band in Hz.
        f_max: Upper end of the highest band in Hz.
        scale: Mel scale.
        norm: "slaney" gives each filter unit area in Hz, "none" a peak of one.
    """
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * (sample_rate / n_fft)
    limits = hz_to_mel(torch.tensor([f_min, f_max], dtype=torch.float64), scale)
    steps = torch.linspace(0.0, 1.0, n_mels + 2, dtype=torch.float64)
    corners = mel_to_hz(limits[0] + (limits[1] - limits[0]) * steps, scale)
    lower, center, upper = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (bins - lower) / (center - lower)
    falling = (upper - bins) / (upper - center)
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    if norm == "slaney":
        filters = filters * (2.0 / (upper - lower))
    return filters.float()


def spreading_matrix(filterbank: Tensor) -> Tensor:
    """Matrix from bands to bins: each bin is the mean of the bands that cover it, 0 without any.

    Shape: [n_mels, n_fft // 2 + 1] → [n_fft // 2 + 1, n_mels].
    """
    return filterbank.T / filterbank.sum(dim=0)[:, None].clamp_min(1e-8)
