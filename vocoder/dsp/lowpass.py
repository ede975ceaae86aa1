"""Windowed-sinc low-pass filters, and doubling and halving of the rate with them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError


def kaiser_sinc(kernel_size: int, *, cutoff: float, half_width: float) -> Tensor:
    """Windowed-sinc low-pass filter with unit gain at 0 Hz.

    `cutoff` and `half_width` (of the transition band) are fractions of the sample rate; the
    attenuation of the Kaiser window follows from them and the length. Raises ConfigError unless
    0 < cutoff <= 0.5 and the half width is positive.

    Shape: [kernel_size].   Kaiser 1974; the settings' use as in Karras et al. 2021 (StyleGAN3).
    """
    if not 0.0 < cutoff <= 0.5 or half_width <= 0.0:
        raise ConfigError(
            f"cutoff {cutoff} must lie in (0, 0.5] and half_width {half_width} above 0"
        )
    attenuation = 2.285 * (kernel_size // 2 - 1) * math.pi * 4.0 * half_width + 7.95
    window = torch.kaiser_window(
        kernel_size, periodic=False, beta=_kaiser_beta(attenuation), dtype=torch.float64
    )
    time = torch.arange(kernel_size, dtype=torch.float64) - (kernel_size - 1) / 2.0
    taps = 2.0 * cutoff * window * torch.sinc(2.0 * cutoff * time)
    return (taps / taps.sum()).float()


def anti_aliasing_taps() -> Tensor:
    """Low-pass filter of anti-aliased activations, for a quarter of the doubled rate.

    Shape: [12].   Lee et al. 2023 (BigVGAN), sec. 3.3.
    """
    return kaiser_sinc(12, cutoff=0.25, half_width=0.3)


def _kaiser_beta(attenuation: float) -> float:
    """Shape of the Kaiser window for a stop-band attenuation in dB (Kaiser's fit)."""
    if attenuation > 50.0:
        return 0.1102 * (attenuation - 8.7)
    if attenuation >= 21.0:
        excess = attenuation - 21.0
        return float(0.5842 * excess**0.4 + 0.07886 * excess)
    return 0.0


def band_limit(audio: Tensor, cutoffs: Tensor, *, sample_rate: int) -> Tensor:
    """Low-pass each signal at its own cutoff in Hz, with unit gain up to 0.97 of the cutoff.

    Zero phase and circular.   Shape: [B, C, T], cutoffs [B] → [B, C, T].
    """
    spectrum = torch.fft.rfft(audio.float())
    hz = torch.linspace(0.0, sample_rate / 2, spectrum.shape[-1], device=audio.device)
    flank = (cutoffs.to(hz)[:, None, None] - hz) / (0.03 * cutoffs.to(hz)[:, None, None])
    limited: Tensor = torch.fft.irfft(spectrum * flank.clamp(0.0, 1.0), n=audio.shape[-1])
    return limited


def upsample2(x: Tensor, taps: Tensor, *, causal: bool = False) -> Tensor:
    """Double the rate of each channel with an even number of `taps`; edges are held.

    Shape: [B, C, T] → [B, C, 2 T].
    """
    size, channels = taps.shape[0], x.shape[1]
    reach = size // 2 - 1
    x = F.pad(x, (reach, 0 if causal else reach), mode="replicate")
    weight = (2.0 * taps).expand((channels, 1, size))
    # Samples made by the padding, less those that a filter centered on its output needs.
    trimmed = 2 * reach if causal else 2 * reach + size // 2 - 1
    return F.conv_transpose1d(x, weight, stride=2, padding=trimmed, groups=channels)


def downsample2(x: Tensor, taps: Tensor, *, causal: bool = False) -> Tensor:
    """Halve the rate of each channel with an even number of `taps`; edges are held.

    Shape: [B, C, 2 T] → [B, C, T].
    """
    size, channels = taps.shape[0], x.shape[1]
    left = size - 2 if causal else size // 2 - 1
    x = F.pad(x, (left, size - 2 - left + (0 if causal else 1)), mode="replicate")
    return F.conv1d(x, taps.expand((channels, 1, size)), stride=2, groups=channels)
