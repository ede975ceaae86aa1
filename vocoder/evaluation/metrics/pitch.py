"""Fundamental frequency, voicing and periodicity, by the tracker in `vocoder.dsp.pitch`."""

from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.dsp.pitch import autocorrelation, best_pitch, lags_per_sample
from vocoder.errors import AudioError

F_MIN, F_MAX = 60.0, 1100.0
# With these, voicing differs from Praat's in 6 % of the frames of speech of 83 speakers.
_VOICING_THRESHOLD, _SILENCE_THRESHOLD = 0.5, 0.03
_VALLEY = 0.25
_AUDIBLE = 1e-3  # -60 dB: the periodicity of quieter frames is that of their noise


class PitchPair(NamedTuple):
    """F0 in Hz, voicing, periodicity (0 to 1) and peak level of a reference and its estimate.

    Shape: of each [2, F].
    """

    f0: Tensor
    voiced: Tensor
    periodicity: Tensor
    level: Tensor


def track_both(reference: Tensor, estimate: Tensor, sample_rate: int) -> PitchPair:
    """Track both signals: a frame every 10 ms, 60 to 1100 Hz.

    Shape: [T], [T].
    """
    hop_length = round(0.01 * sample_rate)
    correlation, level = autocorrelation(
        torch.stack([reference, estimate]),
        sample_rate=sample_rate,
        hop_length=hop_length,
        f_min=F_MIN,
        f_max=F_MAX,
        lowpass=False,
    )
    # A period shows behind a valley. Before it, rumble has high values, and noise ripples on it.
    correlation = correlation * ((correlation < _VALLEY).cumsum(-1) > 0)
    lag_rate = sample_rate * lags_per_sample(sample_rate, F_MAX)
    pitch = best_pitch(
        correlation,
        level,
        lag_rate=lag_rate,
        hop_seconds=hop_length / sample_rate,
        f_min=F_MIN,
        f_max=F_MAX,
        voicing_threshold=_VOICING_THRESHOLD,
        silence_threshold=_SILENCE_THRESHOLD,
    )
    lags = slice(round(lag_rate / F_MAX), round(lag_rate / F_MIN) + 1)
    return PitchPair(*pitch, correlation[..., lags].amax(-1).clamp(0.0, 1.0), level)


def f0_rmse(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: PitchPair | None = None
) -> float:
    """Root mean square F0 difference in cents over frames voiced in both; lower is better.

    A frame every 10 ms, 60 to 1100 Hz, Boersma's (1993) autocorrelation tracker. Dominated by
    octave errors, where there are any (1200 cents each); `f0_median` is robust to them.

    Shape: [T], [T].   AudioError if no frame is voiced in both.
    """
    pitch = analysis or track_both(reference, estimate, sample_rate)
    return cents(pitch.f0, pitch.voiced).square().mean().sqrt().item()


def f0_median(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: PitchPair | None = None
) -> float:
    """Median absolute F0 difference in cents over frames voiced in both; lower is better.

    A frame every 10 ms, 60 to 1100 Hz, Boersma's (1993) autocorrelation tracker.

    Shape: [T], [T].   AudioError if no frame is voiced in both.
    """
    pitch = analysis or track_both(reference, estimate, sample_rate)
    return cents(pitch.f0, pitch.voiced).abs().median().item()


def voicing_f1(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: PitchPair | None = None
) -> float:
    """Harmonic mean of precision and recall of the voiced frames, 0 to 1; higher is better.

    A frame every 10 ms, 60 to 1100 Hz, Boersma's (1993) autocorrelation tracker.

    Shape: [T], [T].   AudioError if no frame is voiced in either.
    """
    pitch = analysis or track_both(reference, estimate, sample_rate)
    return f1(pitch.voiced)


def periodicity_rmse(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: PitchPair | None = None
) -> float:
    """Root mean square difference of periodicity, 0 to 1; lower is better.

    Periodicity is the highest normalised autocorrelation (Boersma 1993) of a frame between 60 and
    1100 Hz, every 10 ms, over frames less than 60 dB below the reference's loudest. The idea is
    Morrison et al.'s (2022, CARGAN); theirs is a neural tracker's, so scores are not comparable.

    Shape: [T], [T].   AudioError for a silent reference.
    """
    pitch = analysis or track_both(reference, estimate, sample_rate)
    level = pitch.level[0]
    if not level.any():
        raise AudioError("the reference is silent, its periodicity is undefined")
    truth, claim = pitch.periodicity[:, level > _AUDIBLE * level.max()]
    return float((claim - truth).square().mean().sqrt())


def cents(f0: Tensor, voiced: Tensor) -> Tensor:
    """Cents from the reference's F0 to the estimate's where both are voiced.

    Shape: [2, F], [2, F] → [n].   AudioError if no frame is voiced in both.
    """
    both = voiced.all(dim=0)
    if not both.any():
        raise AudioError("no frame is voiced in both files")
    return 1200.0 * torch.log2(f0[1, both] / f0[0, both])


def f1(voiced: Tensor) -> float:
    """Harmonic mean of precision and recall of the estimate's voiced frames.

    Shape: [2, F].   AudioError if no frame is voiced in either.
    """
    count = voiced.sum().item()
    if not count:
        raise AudioError("no frame is voiced in either file")
    return float(2.0 * voiced.all(dim=0).sum().item() / count)
