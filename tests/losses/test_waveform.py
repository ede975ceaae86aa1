"""Waveform losses: numbers by hand, and what envelopes depend on."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.losses.waveform import Envelope, WaveformL1

ENVELOPE = Envelope()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_waveform_is_the_mean_absolute_difference() -> None:
    assert WaveformL1()(torch.tensor([[[1.0, -2.0]]]), torch.tensor([[[0.5, 0.0]]])).item() == 1.25


@pytest.mark.parametrize("samples", [100, 101, 149, 150, 151, 1000, 1033])
def test_envelope_of_an_independent_computation(samples: int) -> None:
    fake, real = noise(2, 1, 1, samples)
    total = 0.0
    starts = range(0, max(samples - 50, 1), 50)  # every window that has a sample of its own
    for extreme in (np.max, np.min):
        x, y = (
            np.array([extreme(audio[0, 0, at : at + 100].numpy()) for at in starts])
            for audio in (fake, real)
        )
        total += np.abs(x - y).mean()
    assert ENVELOPE(fake, real).item() == pytest.approx(total, rel=1e-5)


def test_envelope_depends_on_loudness_and_asymmetry_but_not_phase() -> None:
    time = torch.arange(2000.0)[None, None]
    sine, cosine = (torch.sin(2 * math.pi * time / 50 + phase) for phase in (0.0, math.pi / 2))
    assert WaveformL1()(cosine, sine) > 0.7
    assert ENVELOPE(cosine, sine) < 0.01
    assert ENVELOPE(0.5 * sine, sine).item() == pytest.approx(2 * 0.5, rel=0.01)
    assert ENVELOPE(sine.abs(), sine).item() == pytest.approx(1.0, rel=0.01)  # the lower one is 0


def test_envelope_depends_on_the_last_sample() -> None:
    real = torch.zeros(1, 1, 1033)
    fake = real.clone()
    fake[..., -1] = 1.0
    assert ENVELOPE(fake, real) > 0.0


@pytest.mark.parametrize("samples", [1, 2, 49, 99])
def test_a_signal_shorter_than_the_window_is_one_window(samples: int) -> None:
    fake, real = torch.full((1, 1, samples), 0.5), torch.zeros(1, 1, samples)
    assert ENVELOPE(fake, real).item() == 1.0


@pytest.mark.parametrize(("window", "hop"), [(100, 101), (100, 0), (0, 0)])
def test_windows_that_leave_samples_out_are_named(window: int, hop: int) -> None:
    with pytest.raises(ConfigError, match=f"hop_length {hop} and window {window}"):
        Envelope(window=window, hop_length=hop)
