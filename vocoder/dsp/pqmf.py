"""Pseudo-quadrature mirror filters: split a signal in bands at a fraction of its rate, and back.

Critically sampled, with nearly perfect reconstruction: the error for white noise is 64 dB below the
signal with the default filters, away from the ends. Nguyen 1994; Lin and Vaidyanathan 1998 (the
Kaiser-windowed prototype).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError


def pqmf_filters(
    bands: int = 4, *, taps: int = 62, cutoff: float = 0.142, beta: float = 9.0
) -> Tensor:
    """Filters of `bands` equally wide bands: a low-pass modulated to the center of each.

    The low-pass is a sinc with its `cutoff` as a fraction of Nyquist, under a Kaiser window of
    shape `beta`. The bands add up to the signal only for a well-chosen cutoff, a little more than
    1 / (2 * bands); the default is the one for the other defaults. Raises ConfigError for less than
    one band, an odd number of taps, and a cutoff outside 0 … 1.

    Shape: [bands, 1, taps + 1].
    """
    if not 1 <= bands <= 256 or not 2 <= taps <= 4096 or taps % 2 or not 0.0 < cutoff < 1.0:
        raise ConfigError(
            f"PQMF has {bands} bands, {taps} taps and cutoff {cutoff}; choose 1 to 256 bands, "
            "an even number of taps up to 4096 and a cutoff between 0 and 1"
        )
    return _modulated(bands, taps + 1, cutoff=cutoff, beta=beta)


def pqmf_analysis(audio: Tensor, filters: Tensor) -> Tensor:
    """Split a signal into bands, the lowest first; every second has its frequencies reversed.

    Shape: [B, 1, T] → [B, bands, ceil(T / bands)].
    """
    bands, _, size = filters.shape
    return F.conv1d(audio, filters, stride=bands, padding=size // 2)


def pqmf_synthesis(subbands: Tensor, filters: Tensor) -> Tensor:
    """Synthesise a signal from its bands, by the transpose of `pqmf_analysis`.

    Shape: [B, bands, T] → [B, 1, T * bands].
    """
    bands, _, size = filters.shape
    return F.conv_transpose1d(
        bands * subbands, filters, stride=bands, padding=size // 2, output_padding=bands - 1
    )


def even_pqmf_filters(bands: int = 4, *, size: int = 32, cutoff: float = 0.158867) -> Tensor:
    """Filters of `bands` equally wide bands with an even number of coefficients, as in EBEN.

    With a `size` of 8 * bands and its best cutoff, 0.32 for two bands, 0.158867 for four and 0.0792
    for eight, the reconstruction error for white noise is 48 dB below the signal. Raises
    ConfigError for less than two bands, a size that is no multiple of twice their number, and a
    cutoff outside 0 … 1.

    Shape: [bands, 1, size].
    """
    if bands < 2 or not 1 <= size <= 4096 or size % (2 * bands) or not 0.0 < cutoff < 1.0:
        raise ConfigError(
            f"PQMF has {bands} bands, filter_size {size} and cutoff {cutoff}; choose at least two "
            "bands, a multiple of twice their number up to 4096 and a cutoff between 0 and 1"
        )
    return _modulated(bands, size, cutoff=cutoff, beta=9.0)


def even_pqmf_analysis(audio: Tensor, filters: Tensor, *, stride: int) -> Tensor:
    """Split a signal into bands by some of the even filters, including the tails at both ends.

    `stride` is the number of bands that the filters are for.

    Shape: [B, 1, T] → [B, bands, (T + size - 2) // stride + 1].
    """
    # Convolution, not correlation: the published filters are reversed in time.
    return F.conv1d(audio, filters.flip(-1), stride=stride, padding=filters.shape[-1] - 1)


def even_pqmf_synthesis(subbands: Tensor, filters: Tensor) -> Tensor:
    """Synthesise a signal from all bands, by the transpose of `even_pqmf_analysis`, without delay.

    Shape: [B, bands, N] → [B, 1, N * bands - size].
    """
    bands, _, size = filters.shape
    return F.conv_transpose1d(
        bands * subbands,
        filters.flip(-1),
        stride=bands,
        padding=size - 1,
        output_padding=bands - 2,
    )


def _modulated(bands: int, size: int, *, cutoff: float, beta: float) -> Tensor:
    """Kaiser-windowed low-pass of `size` coefficients, modulated to the center of each band.

    Shape: [bands, 1, size].
    """
    time = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    window = torch.kaiser_window(size, periodic=False, beta=beta, dtype=torch.float64)
    lowpass = cutoff * torch.sinc(cutoff * time) * window
    band = torch.arange(bands, dtype=torch.float64)[:, None]
    # Neighbours overlap; phases of +-45 degrees in turn make their aliases cancel.
    phase = (1.0 - 2.0 * (band % 2)) * (math.pi / 4)
    carrier = torch.cos((2 * band + 1) * (math.pi / (2 * bands)) * time + phase)
    return (2.0 * lowpass * carrier).float()[:, None]
