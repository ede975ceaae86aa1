"""Mel-cepstral distortion, frame by frame and after dynamic time warping."""

import math

import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.metrics.log_mel import log_mels

_ORDER = 24
_DECIBELS = 10.0 / math.log(10.0) * math.sqrt(2.0)
_LONGEST_SECONDS = 30.0  # the matrix of all pairs of frames takes 130 MB


def mcd(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: Tensor | None = None
) -> float:
    """Mel-cepstral distortion in dB, frame against frame; lower is better.

    Mean over frames of 10 √2 / ln 10 · √(Σ (c_k - c'_k)²), k = 1 … 24: c_0, the level, is left out.
    The cepstra are those of the log-mel of `log_mel` (hifigan_22k_80), ln x_j = c_0 + Σ c_k cos(π k
    (j + ½) / 80), so c_k = 2/80 Σ_j ln x_j cos(π k (j + ½) / 80): the distortion of a frame is the
    root mean square over bands of the difference of its smooth spectra in dB. After Kubichek 1993;
    with cepstra by SPTK's mgcep, as BigVGAN's, values are others.

    Shape: [T], [T].   AudioError for a silent reference.
    """
    mels = log_mels(reference, estimate, sample_rate) if analysis is None else analysis
    real, fake = _cepstra(reference, mels)
    return _DECIBELS * float((real - fake).square().sum(0).sqrt().mean())


def mcd_dtw(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: Tensor | None = None
) -> float:
    """Mel-cepstral distortion in dB along the best alignment of frames; lower is better.

    As `mcd`, but the mean over the pairs of frames of the path that dynamic time warping finds
    (librosa's, by the Euclidean distance of c_1 … c_24, steps of one frame in one or both signals):
    for estimates with a timing of their own.

    Shape: [T], [T].   AudioError for a silent reference, and for more than 30 s; ConfigError
    without librosa.
    """
    try:
        import librosa
    except ImportError as error:
        raise ConfigError(
            "DTW is librosa's; pip install 'vocoder[eval]' or leave mcd_dtw out"
        ) from error
    if len(reference) > _LONGEST_SECONDS * sample_rate:
        raise AudioError(
            f"longer than {_LONGEST_SECONDS:.0f} s, too much for time warping; cut it in pieces"
        )
    mels = log_mels(reference, estimate, sample_rate) if analysis is None else analysis
    real, fake = _cepstra(reference, mels)
    costs = torch.cdist(real.T, fake.T, compute_mode="donot_use_mm_for_euclid_dist")
    total, path = librosa.sequence.dtw(C=costs.cpu().double().numpy())
    return _DECIBELS * float(total[-1, -1]) / len(path)


def mel_cepstra(mel: Tensor, order: int) -> Tensor:
    """Coefficients c_1 to c_order of the cosines that a log-mel is the sum of.

    Shape: [..., M, F] → [..., order, F].
    """
    bands = mel.shape[-2]
    angles = math.pi / bands * (torch.arange(bands, dtype=torch.float64) + 0.5)
    cosines = torch.cos(torch.arange(1, order + 1)[:, None] * angles) * (2.0 / bands)
    return cosines.to(mel) @ mel


def _cepstra(reference: Tensor, mels: Tensor) -> Tensor:
    """Mel cepstra of both, from their log-mels. Shape: [T], [2, M, F] → [2, 24, F]."""
    if not reference.any():
        raise AudioError("the reference is silent, its cepstra mean nothing")
    return mel_cepstra(mels, _ORDER)
