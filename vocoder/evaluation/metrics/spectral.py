"""Metrics of bandwidth extension: spectral distances, and the error in the low band."""

import math

import torch
from torch import Tensor

from vocoder.dsp.stft import hann_window, stft
from vocoder.errors import AudioError

# Fixed here: a loss may be tuned, a reported metric may not.
_N_FFT, _HOP_LENGTH = 2048, 512
_FLOOR = 1e-8
_MOST_DECIBELS = 100.0


def lsd(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Log-spectral distance in powers of ten of the power (1 is 10 dB); lower is better.

    The mean over frames of the root mean square over bins of log10|X|² - log10|Y|²; Hann window of
    2048 samples every 512 at the file's own rate, whatever that is, and power clamped at 1e-8:
    compare only between files of one rate. The constants of Lu et al. 2024 (AP-BWE).

    Shape: [T], [T].
    """
    return _distance(_spectra(reference, estimate))


def lsd_high(reference: Tensor, estimate: Tensor, sample_rate: int, *, cutoff: float) -> float:
    """Log-spectral distance above the cutoff of the narrow band; lower is better.

    `lsd` over the bins above the cutoff alone, the band that a bandwidth extension generates.

    Shape: [T], [T].   AudioError if the files have nothing above `cutoff` Hz.
    """
    first = math.floor(_below_nyquist(cutoff, sample_rate) / sample_rate * _N_FFT) + 1
    return _distance(_spectra(reference, estimate)[:, first:])


def spectral_convergence(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Norm of the difference of magnitudes relative to the reference's, no unit; lower is better.

    ‖|X| - |Y|‖ / ‖|X|‖ over all bins and frames; Hann window of 2048 samples every 512 at the
    file's own rate. Loud bins dominate, in speech those of the low band.

    Shape: [T], [T].   AudioError for a silent reference.
    """
    if not reference.any():
        raise AudioError("the reference is silent, spectral convergence is undefined")
    real, fake = _spectra(reference, estimate).abs()
    return float((real - fake).norm() / real.norm())


def snr_low(reference: Tensor, estimate: Tensor, sample_rate: int, *, cutoff: float) -> float:
    """Ratio of signal to error below the cutoff of the narrow band, in dB; higher is better.

    Both are low-passed at the cutoff by zeroing bins of the Fourier transform of the whole signal;
    the error is their difference, so level, delay and phase count. At most 100 dB, about the range
    of 16-bit files.

    Shape: [T], [T].   AudioError if the reference is silent below `cutoff` Hz, or the files have
    nothing above.
    """
    bins = math.ceil(_below_nyquist(cutoff, sample_rate) / sample_rate * reference.shape[-1])
    real, fake = torch.fft.rfft(torch.stack([reference, estimate]).double())[:, :bins]
    signal, error = real.abs().square().sum(), (real - fake).abs().square().sum()
    if not signal:
        raise AudioError(f"the reference is silent below {cutoff:g} Hz")
    least = signal * 10.0 ** (-_MOST_DECIBELS / 10.0)
    return float(10.0 * torch.log10(signal / error.clamp_min(least)))


def _spectra(reference: Tensor, estimate: Tensor) -> Tensor:
    """Complex spectrograms of both. Shape: [2, K, F]."""
    signals = torch.stack([reference, estimate])
    window = hann_window(_N_FFT, _N_FFT).to(signals.device)
    return stft(signals, window, hop_length=_HOP_LENGTH, padding="center")


def _distance(spectra: Tensor) -> float:
    """Log-spectral distance over the given bins. Shape: [2, K, F]."""
    real, fake = spectra.abs().square().clamp_min(_FLOOR).log10()
    return float((real - fake).square().mean(0).sqrt().mean())


def _below_nyquist(cutoff: float, sample_rate: int) -> float:
    if cutoff >= sample_rate / 2:
        raise AudioError(
            f"nothing of a file at {sample_rate} Hz lies above the cutoff {cutoff:g} Hz"
        )
    return cutoff
