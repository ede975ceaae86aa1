"""Spectral band replication without side information, a baseline for bandwidth extension."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.stft import hann_window, istft, stft
from vocoder.errors import ConfigError

_FRAME = 0.04  # seconds, to the nearest power of two in samples
_OVERLAP = 4
_SOURCE = (0.5, 0.92)  # of the cutoff; beyond lies the slope of the filter that made it
_SMALLEST = 4 * _OVERLAP  # bins of the source
_DETAIL = 150.0  # Hz over which a copy is flattened
_STEEPEST = -10.0  # dB per octave
_SILENCE = 1e-12


def replicate_band(audio: Tensor, *, sample_rate: int, cutoff: float) -> Tensor:
    """Fill the band above `cutoff` Hz of a signal that has no content there.

    The upper half of the low band is flattened and copied upwards, patch by patch. The envelope of
    each frame extrapolates a line, in dB per octave, fitted to the log-spectrum of that half; it
    never rises, and falls by 10 dB per octave at most. The band below the cutoff does not change,
    silence stays silence.

    Raises ConfigError if there is no band above the cutoff, or too little below it to copy.

    Shape: [..., T] → same, in float32.   After Dietz et al. 2002 (SBR), whose envelope is sent.
    """
    n_fft = 2 ** round(math.log2(_FRAME * sample_rate))
    width = sample_rate / n_fft  # of a bin in Hz
    low, top = (int(part * cutoff / width) for part in _SOURCE)
    if top - low < _SMALLEST or cutoff >= sample_rate / 2:
        least = (_SMALLEST + 1) * width / (_SOURCE[1] - _SOURCE[0])
        raise ConfigError(
            f"cutoff is {cutoff} Hz at {sample_rate} Hz; it must lie between {least:.0f} Hz and "
            "half the sample rate"
        )
    audio = audio.float()
    samples, hop_length = audio.shape[-1], n_fft // _OVERLAP
    rows = F.pad(audio.reshape(-1, samples), (0, -samples % hop_length))
    window = hann_window(n_fft, n_fft).to(audio.device)
    spectrum = stft(rows, window, hop_length=hop_length, padding="center")
    filled = _patches(spectrum, low, top, math.ceil(cutoff / width), round(_DETAIL / width))
    high = istft(filled, window, hop_length=hop_length, padding="center")[:, :samples]
    # Frames with different gains leak a little into the low band, which must not change.
    whole = torch.fft.rfft(high)
    whole[:, : math.ceil(cutoff / sample_rate * samples)] = 0.0
    added: Tensor = torch.fft.irfft(whole, n=samples)
    return audio + added.reshape(audio.shape)


def _patches(spectrum: Tensor, low: int, top: int, begin: int, detail: int) -> Tensor:
    """Copies of bins `low` to `top` from bin `begin` on, under the extrapolated envelope.

    Shape: [B, K, F] → same, zero below `begin`.
    """
    bins = spectrum.shape[1]
    source = spectrum[:, low:top]
    level = 10.0 * source.abs().square().clamp_min(_SILENCE).log10()
    smooth = F.avg_pool1d(
        level.transpose(1, 2), 2 * (detail // 2) + 1, 1, detail // 2, count_include_pad=False
    ).transpose(1, 2)
    flat = source * 10.0 ** (-smooth / 20.0)
    octaves = torch.log2(torch.arange(1, bins + 1, device=spectrum.device) / top)[:, None]
    octaves = octaves - octaves[low:top].mean()
    mean, run = level.mean(1, keepdim=True), octaves[low:top]
    slope = (level * run).sum(1, keepdim=True) / run.square().sum()  # dB per octave, [B, 1, F]
    envelope = 10.0 ** ((mean + slope.clamp(_STEEPEST, 0.0) * octaves) / 20.0)
    filled = torch.zeros_like(spectrum)
    while begin < bins:
        # Shifted by a multiple of the overlap, a frame keeps its phase relative to the next.
        shift = (begin - low) // _OVERLAP * _OVERLAP
        end = min(bins, top + shift)
        filled[:, begin:end] = flat[:, begin - shift - low : end - shift - low]
        begin = end
    return filled * envelope
