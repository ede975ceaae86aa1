"""Fundamental frequency and voicing, by the tracker in `vocoder.dsp.pitch`."""

import torch
from torch import Tensor

from vocoder.dsp.pitch import Pitch, track_pitch
from vocoder.errors import AudioError

_F_MIN, _F_MAX = 60.0, 600.0


def f0_rmse(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Root mean square F0 difference in cents over frames voiced in both; lower is better.

    A frame every 10 ms, 60 to 600 Hz, Boersma's (1993) autocorrelation tracker. Dominated by octave
    errors, where there are any (1200 cents each); `f0_median` is robust to them.

    Shape: [T], [T].   AudioError if no frame is voiced in both.
    """
    return _cents(reference, estimate, sample_rate).square().mean().sqrt().item()


def f0_median(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Median absolute F0 difference in cents over frames voiced in both; lower is better.

    A frame every 10 ms, 60 to 600 Hz, Boersma's (1993) autocorrelation tracker.

    Shape: [T], [T].   AudioError if no frame is voiced in both.
    """
    return _cents(reference, estimate, sample_rate).abs().median().item()


def voicing_f1(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Harmonic mean of precision and recall of the voiced frames, 0 to 1; higher is better.

    A frame every 10 ms, 60 to 600 Hz, Boersma's (1993) autocorrelation tracker.

    Shape: [T], [T].   AudioError if no frame is voiced in either.
    """
    truth, claim = _track(reference, estimate, sample_rate).voiced
    voiced = (truth.sum() + claim.sum()).item()
    if not voiced:
        raise AudioError("no frame is voiced in either file")
    return float(2.0 * (truth & claim).sum().item() / voiced)


def _track(reference: Tensor, estimate: Tensor, sample_rate: int) -> Pitch:
    """Pitch of both. Shape: [2, F]."""
    return track_pitch(
        torch.stack([reference, estimate]),
        sample_rate=sample_rate,
        hop_length=round(0.01 * sample_rate),
        f_min=_F_MIN,
        f_max=_F_MAX,
    )


def _cents(reference: Tensor, estimate: Tensor, sample_rate: int) -> Tensor:
    """Cents from the reference's F0 to the estimate's where both are voiced. Shape: [n]."""
    pitch = _track(reference, estimate, sample_rate)
    both = pitch.voiced.all(dim=0)
    if not both.any():
        raise AudioError("no frame is voiced in both files")
    return 1200.0 * torch.log2(pitch.f0[1, both] / pitch.f0[0, both])
