"""Energy of the high band, and the spectrum of fricatives there."""

import torch
from torch import Tensor

from vocoder.dsp.stft import hann_window, stft
from vocoder.errors import AudioError

_HIGH = 8000.0
_SIBILANTS = (8000.0, 16000.0)
_NARROWEST = 1000.0  # Hz of band that a file must have there
_FLOOR = 1e-10  # mean square of the high band: -100 dBFS
_BIN_FLOOR = 1e-12  # power of a bin: -120 dBFS, about what 16 bits have
_BRIGHT, _DARK = 4000.0, 3000.0
_LOUD = 10.0 ** (-15.0 / 10.0)  # power, relative to the loudest fricatives
_QUANTILE = 0.97
_LEAST = 10.0 ** (-80.0 / 10.0)  # power of a fricative: -80 dBFS
_FEWEST = 4  # frames of 5 ms


def high_band_error(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Absolute difference in energy of the band from 8 kHz to Nyquist, in dB; lower is better.

    By the Fourier transform of the whole signal: the level of the high band alone counts, not what
    is in it. Bands quieter than -100 dBFS count as that.

    Shape: [T], [T].   AudioError if the files have less than 1 kHz above 8 kHz, or the reference
    has nothing there.
    """
    first = _first_bin(_HIGH, sample_rate, len(reference))
    spectra = torch.fft.rfft(torch.stack([reference, estimate]).double())[:, first:]
    power = 2.0 * spectra.abs().square().sum(1) / len(reference) ** 2
    if power[0] < _FLOOR:
        raise AudioError("the reference is quieter than -100 dBFS above 8 kHz")
    real, fake = 10.0 * power.clamp_min(_FLOOR).log10()
    return abs(float(fake - real))


def sibilant_error(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Log-spectral error of the reference's fricatives from 8 to 16 kHz, in dB; lower is better.

    The root mean square over bins and frames of the difference of power spectra in dB, after each
    was smoothed over 500 Hz, so that noise that is as strong everywhere scores little. Frames are
    Hann windows of 20 ms every 5 ms; a fricative has more energy above 4 kHz than below 3, is above
    -80 dBFS and within 15 dB of the loudest fricatives (the 97 % quantile) from 8 to 16 kHz. The
    band ends at Nyquist, if that is lower.

    Shape: [T], [T].   AudioError if the files have less than 1 kHz above 8 kHz, or the reference
    has no fricative of 20 ms in all.
    """
    size = round(0.02 * sample_rate)
    n_fft = 1 << (size - 1).bit_length()
    low = _first_bin(_SIBILANTS[0], sample_rate, n_fft)
    high = _bin(min(_SIBILANTS[1], sample_rate / 2), sample_rate, n_fft)
    window = hann_window(size, n_fft).to(reference.device)
    signals = torch.stack([reference, estimate])
    bins = stft(signals, window, hop_length=round(0.005 * sample_rate), padding="center")
    # A tone of amplitude 1 has a power of 1/2.
    power = bins.abs().square() * (2.0 / window.sum() ** 2)  # [2, K, F]
    found = _fricatives(power[0], low, high, sample_rate, n_fft)
    if found.sum() < _FEWEST:
        raise AudioError("the reference has no fricatives")
    width = max(1, round(500.0 / sample_rate * n_fft))
    band = power[:, low : high + 1, found].transpose(1, 2)  # [2, F, K]
    smooth = torch.nn.functional.avg_pool1d(band, width, 1, width // 2, count_include_pad=False)
    real, fake = 10.0 * smooth.clamp_min(_BIN_FLOOR).log10()
    return float((real - fake).square().mean().sqrt())


def _fricatives(power: Tensor, low: int, high: int, sample_rate: int, n_fft: int) -> Tensor:
    """Frames of fricatives, from the power spectra of the reference.   Shape: [K, F] → [F]."""
    bright = power[_bin(_BRIGHT, sample_rate, n_fft) :].sum(0)
    dark = power[: _bin(_DARK, sample_rate, n_fft)].sum(0)
    level = power[low : high + 1].sum(0)
    candidates = (bright > dark) & (level > _LEAST)
    if not candidates.any():
        return candidates
    loudest = torch.quantile(level[candidates], _QUANTILE)
    return candidates & (level > _LOUD * loudest)


def _bin(hertz: float, sample_rate: int, n_fft: int) -> int:
    return round(hertz / sample_rate * n_fft)


def _first_bin(hertz: float, sample_rate: int, n_fft: int) -> int:
    """The bin from which on the band lies."""
    if sample_rate / 2 < hertz + _NARROWEST:
        raise AudioError(f"a file at {sample_rate} Hz has too little above {hertz:g} Hz")
    return _bin(hertz, sample_rate, n_fft)
