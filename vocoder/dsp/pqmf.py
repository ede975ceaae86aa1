"""Pseudo-quadrature mirror filters: a signal as a few bands at a fraction of its rate, and back.

Critically sampled and nearly perfect: not one sample more, and what comes back of white noise is
64 dB above its error with the default filters, away from the ends. Nguyen 1994; Lin and
Vaidyanathan 1998 (the Kaiser-windowed prototype).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError


def pqmf_filters(
    bands: int = 4, *, taps: int = 62, cutoff: float = 0.142, beta: float = 9.0
) -> Tensor:
    """Filters of `bands` equally wide bands: one low-pass, modulated to the middle of each.

    The low-pass is a sinc with its `cutoff` as a fraction of Nyquist, under a Kaiser window of
    shape `beta`. The bands add up to the signal only for a well-chosen cutoff, a little more than
    1 / (2 * bands); the default is the one for the other defaults.

    Shape: [bands, 1, taps + 1].
    """
    if bands < 1 or taps < 2 or taps % 2 or not 0.0 < cutoff < 1.0:
        raise ConfigError(
            f"PQMF has {bands} bands, {taps} taps and cutoff {cutoff}; choose at least one band, "
            "an even number of taps and a cutoff between 0 and 1"
        )
    time = torch.arange(taps + 1, dtype=torch.float64) - taps / 2
    window = torch.kaiser_window(taps + 1, periodic=False, beta=beta, dtype=torch.float64)
    lowpass = cutoff * torch.sinc(cutoff * time) * window
    band = torch.arange(bands, dtype=torch.float64)[:, None]
    # Neighbours overlap; phases of +-45 degrees in turn make their aliases cancel.
    phase = (1.0 - 2.0 * (band % 2)) * (math.pi / 4)
    carrier = torch.cos((2 * band + 1) * (math.pi / (2 * bands)) * time + phase)
    return (2.0 * lowpass * carrier).float()[:, None]


def pqmf_analysis(audio: Tensor, filters: Tensor) -> Tensor:
    """Split a signal into bands, the lowest first. Every second has its frequencies reversed.

    Shape: [B, 1, T] → [B, bands, ceil(T / bands)].
    """
    bands, _, size = filters.shape
    return F.conv1d(audio, filters, stride=bands, padding=size // 2)


def pqmf_synthesis(subbands: Tensor, filters: Tensor) -> Tensor:
    """Put bands together again, by the transpose of `pqmf_analysis`.

    Shape: [B, bands, T] → [B, 1, T * bands].
    """
    bands, _, size = filters.shape
    return F.conv_transpose1d(
        bands * subbands, filters, stride=bands, padding=size // 2, output_padding=bands - 1
    )
