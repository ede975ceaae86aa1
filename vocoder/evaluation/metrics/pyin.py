"""Fundamental frequency, voicing and periodicity as BigVGAN's are defined, by pYIN."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.metrics.pitch import PitchPair, cents, f1
from vocoder.io.audio import resample_soxr

_RATE, _HOP = 16000, 185  # 256 samples at 22.05 kHz, as in the evaluation of BigVGAN
_F_MIN, _F_MAX = 50.0, 550.0
_WINDOW = 1024
_SILENT = 1e-3  # root mean square of a frame: -60 dBFS


def track_both_by_pyin(reference: Tensor, estimate: Tensor, sample_rate: int) -> PitchPair:
    """Track both signals by pYIN, at 16 kHz.

    Shape: [T], [T].   AudioError for less than 64 ms, ConfigError without librosa.
    """
    signals = resample_soxr(torch.stack([reference, estimate]), sample_rate, _RATE).cpu().numpy()
    if signals.shape[-1] < _WINDOW:
        raise AudioError(f"under {1e3 * _WINDOW / _RATE:.0f} ms, too short for pYIN")
    f0, voiced, probability, level = map(np.stack, zip(*map(_track, signals), strict=True))
    heard = level > _SILENT
    voiced = voiced & heard
    probability = np.where(heard, probability, 0.0)
    arrays = (f0, voiced, probability, level)
    return PitchPair(*(torch.from_numpy(array) for array in arrays))


def f0_rmse_pyin(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: PitchPair | None = None
) -> float:
    """Root mean square F0 difference in cents by pYIN, over frames voiced in both; lower is better.

    As in the evaluation of BigVGAN (Lee et al. 2023, after Morrison et al. 2022) but by pYIN (Mauch
    and Dixon 2014; librosa's) in the place of CREPE: at 16 kHz, every 185 samples, 50 to 550 Hz,
    windows of 1024 samples; frames below -60 dBFS are unvoiced. Scores are not those by CREPE.

    Shape: [T], [T].   AudioError if no frame is voiced in both.
    """
    pitch = analysis or track_both_by_pyin(reference, estimate, sample_rate)
    return cents(pitch.f0, pitch.voiced).square().mean().sqrt().item()


def voicing_f1_pyin(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: PitchPair | None = None
) -> float:
    """Harmonic mean of precision and recall of voiced frames by pYIN, 0 to 1; higher is better.

    With the settings of `f0_rmse_pyin`.

    Shape: [T], [T].   AudioError if no frame is voiced in either.
    """
    return f1((analysis or track_both_by_pyin(reference, estimate, sample_rate)).voiced)


def periodicity_pyin(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: PitchPair | None = None
) -> float:
    """Root mean square difference of periodicity by pYIN, 0 to 1; lower is better.

    Periodicity is pYIN's probability that a frame is voiced, 0 below -60 dBFS, over all frames,
    with the settings of `f0_rmse_pyin`.

    Shape: [T], [T].   AudioError for a silent reference.
    """
    pitch = analysis or track_both_by_pyin(reference, estimate, sample_rate)
    if not (pitch.level[0] > _SILENT).any():
        raise AudioError("the reference is silent, its periodicity is undefined")
    truth, claim = pitch.periodicity
    return float((claim - truth).square().mean().sqrt())


def _track(audio: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """F0, voicing, its probability, and the root mean square of frames. Shape: [T] → 4 × [F]."""
    try:
        import librosa
    except ImportError as error:
        raise ConfigError(
            "pYIN is librosa's; pip install 'vocoder[eval]' or leave out f0_rmse_pyin, "
            "voicing_f1_pyin and periodicity_pyin"
        ) from error
    f0, voiced, probability = librosa.pyin(
        audio.astype(np.float64),
        fmin=_F_MIN,
        fmax=_F_MAX,
        sr=_RATE,
        frame_length=_WINDOW,
        hop_length=_HOP,
        fill_na=None,
    )
    level = librosa.feature.rms(y=audio, frame_length=_WINDOW, hop_length=_HOP)[0]
    return f0, voiced, probability, level[: len(f0)].astype(np.float64)
