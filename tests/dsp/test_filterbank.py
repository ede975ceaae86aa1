"""Mel filterbanks against librosa, and the properties of scales and norms."""

from typing import Literal

import librosa
import numpy as np
import pytest
import torch

from vocoder.dsp.filterbank import MelScale, hz_to_mel, mel_filterbank, mel_to_hz, spreading_matrix

SCALES: tuple[MelScale, ...] = ("slaney", "htk")
# sample_rate, n_fft, n_mels, f_min, f_max: the presets', a full band, and an odd size.
BANKS = [
    (22050, 1024, 80, 0.0, 8000.0),
    (24000, 1024, 100, 0.0, 12000.0),
    (44100, 2048, 128, 0.0, 22050.0),
    (22050, 1024, 80, 80.0, 7600.0),
    (48000, 1201, 40, 50.0, 20000.0),
    (8000, 256, 20, 0.0, 4000.0),
]


@pytest.mark.parametrize(("sample_rate", "n_fft", "n_mels", "f_min", "f_max"), BANKS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("norm", ["slaney", "none"])
def test_filterbank_is_that_of_librosa(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    f_min: float,
    f_max: float,
    scale: MelScale,
    norm: Literal["slaney", "none"],
) -> None:
    ours = mel_filterbank(
        sample_rate=sample_rate,
        n_fft=n_fft,
        n_mels=n_mels,
        f_min=f_min,
        f_max=f_max,
        scale=scale,
        norm=norm,
    )
    theirs = librosa.filters.mel(
        sr=sample_rate,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=f_min,
        fmax=f_max,
        htk=scale == "htk",
        norm="slaney" if norm == "slaney" else None,
    )
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_mel_and_hz_are_inverse(scale: MelScale) -> None:
    hz = torch.linspace(0.0, 24000.0, 4801, dtype=torch.float64)
    mel = hz_to_mel(hz, scale)
    assert (mel.diff() > 0).all()
    torch.testing.assert_close(mel_to_hz(mel, scale), hz)


@pytest.mark.parametrize("scale", SCALES)
def test_slaney_norm_gives_unit_area(scale: MelScale) -> None:
    """Summed over bins that are much finer than the filters."""
    bank = mel_filterbank(
        sample_rate=16000, n_fft=16384, n_mels=20, f_min=0.0, f_max=8000.0, scale=scale
    )
    torch.testing.assert_close(bank.sum(1) * 16000 / 16384, torch.ones(20), rtol=2e-3, atol=0.0)


@pytest.mark.parametrize("scale", SCALES)
def test_filters_without_norm_add_up_to_one(scale: MelScale) -> None:
    """Between the centers of the first and the last: neighbours cross-fade linearly."""
    bank = mel_filterbank(
        sample_rate=16000, n_fft=4096, n_mels=30, f_min=0.0, f_max=8000.0, scale=scale, norm="none"
    )
    first, last = bank[0].argmax() + 1, bank[-1].argmax()
    torch.testing.assert_close(bank.sum(0)[first:last], torch.ones(int(last - first)))


def test_spreading_keeps_a_constant_and_leaves_uncovered_bins_empty() -> None:
    filters = mel_filterbank(sample_rate=22050, n_fft=1024, n_mels=80, f_min=100.0, f_max=8000.0)
    covered = filters.sum(dim=0) > 0
    spread = spreading_matrix(filters) @ torch.full((80, 1), 3.0)
    assert torch.allclose(spread[covered], torch.tensor(3.0))
    assert not spread[~covered].any()
    assert 0 < covered.sum() < len(covered)
