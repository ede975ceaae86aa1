"""The pitch tracker against tones, glides, silence, noise, and pYIN on speech."""

import math
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from vocoder.dsp.pitch import autocorrelation, pitch_bins, track_pitch
from vocoder.dsp.stft import Padding
from vocoder.io.audio import read_audio

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
HOP = 256
PADDINGS: tuple[Padding, ...] = ("same", "center")


def voice(hz: Tensor, *, rate: int, harmonics: int = 8) -> Tensor:
    """Harmonics that fall by 6 dB per octave, with this f0 at every sample. Shape: [T] → [1, T]."""
    cycles = (hz.double() / rate).cumsum(-1)
    numbers = torch.arange(1, min(harmonics, int(0.49 * rate / hz.max())) + 1)[:, None]
    return 0.1 * (torch.cos(2 * math.pi * numbers * cycles) / numbers).sum(0, keepdim=True).float()


def inside(values: Tensor, *, rate: int) -> Tensor:
    """Frames whose window, three periods of 60 Hz, lies within the signal."""
    margin = math.ceil(0.025 * rate / HOP) + 1
    return values[:, margin:-margin]


def cents(hz: Tensor, reference: Tensor | float) -> Tensor:
    return 1200.0 * torch.log2(hz / reference)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("harmonics", [1, 2, 8, 30])
def test_f0_of_a_tone_is_its_frequency(rate: int, harmonics: int) -> None:
    """Within 0.1 %, and never an octave away: not at 8 kHz either, where lags are coarse."""
    for hz in (80.0, 117.0, 155.0, 220.0, 311.0, 370.0, 440.0, 550.0):
        audio = voice(torch.full((rate // 3,), hz), rate=rate, harmonics=harmonics)
        for padding in PADDINGS:
            pitch = track_pitch(audio, sample_rate=rate, hop_length=HOP, padding=padding)
            assert inside(pitch.voiced, rate=rate).all(), hz
            assert inside((pitch.f0 / hz - 1).abs(), rate=rate).max() < 1e-3, hz


@pytest.mark.parametrize("hz", [100.0, 150.0, 220.0])
def test_the_fundamental_may_be_missing(hz: float) -> None:
    cycles = hz * torch.arange(24000, dtype=torch.float64) / 24000
    numbers = torch.arange(3, 7)[:, None]
    audio = 0.1 * torch.cos(2 * math.pi * numbers * cycles).sum(0, keepdim=True).float()
    f0 = track_pitch(audio, sample_rate=24000, hop_length=HOP).f0
    assert inside((f0 / hz - 1).abs(), rate=24000).max() < 1e-3


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("start", "end"), [(100.0, 200.0), (300.0, 120.0)])
def test_a_glide_is_followed_on_the_frame_grid(padding: Padding, start: float, end: float) -> None:
    """An octave in two seconds is 6 cents per frame: half a frame of lag would show."""
    rate, samples = 24000, 48000
    hz = start * (end / start) ** (torch.arange(samples) / samples)
    pitch = track_pitch(voice(hz, rate=rate), sample_rate=rate, hop_length=HOP, padding=padding)
    centers = torch.arange(pitch.f0.shape[1]) * HOP + (HOP // 2 if padding == "same" else 0)
    error = inside(cents(pitch.f0, hz[centers.clamp_max(samples - 1)]).abs(), rate=rate)
    assert inside(pitch.voiced, rate=rate).all()
    assert error.median() < 0.1
    assert error.max() < 3.0


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_noise_is_unvoiced(rate: int) -> None:
    noise = 0.1 * torch.randn(4, rate, generator=torch.Generator().manual_seed(0))
    voiced = track_pitch(noise, sample_rate=rate, hop_length=rate // 100).voiced
    assert voiced.float().mean() < 0.02


def test_silence_is_unvoiced_and_its_f0_usable() -> None:
    pitch = track_pitch(torch.zeros(1, 24000), sample_rate=24000, hop_length=HOP)
    assert not pitch.voiced.any()
    assert pitch.f0.isfinite().all()
    assert (pitch.f0 > 0).all()


def test_unvoiced_frames_hold_the_last_voiced_f0() -> None:
    audio = voice(torch.full((24000,), 200.0), rate=24000)
    audio = torch.cat([audio, torch.zeros(1, 24000)], dim=1)
    pitch = track_pitch(audio, sample_rate=24000, hop_length=HOP)
    silent = ~pitch.voiced
    silent[:, :60] = False
    assert silent.sum() > 80
    assert (pitch.f0[silent] == pitch.f0[silent][0]).all()
    assert cents(pitch.f0[silent], 200.0).abs().max() < 50.0  # the tone's end is in the last window


@pytest.mark.parametrize("gain", [1e-3, 0.1, 10.0])
def test_pitch_does_not_depend_on_the_level(gain: float) -> None:
    audio, rate = read_audio(CLIPS / "gd" / "taiwan.flac")
    plain = track_pitch(audio, sample_rate=rate, hop_length=HOP)
    scaled = track_pitch(gain * audio, sample_rate=rate, hop_length=HOP)
    assert torch.equal(plain.voiced, scaled.voiced)
    torch.testing.assert_close(scaled.f0, plain.f0, rtol=1e-3, atol=0.0)


def test_a_batch_is_tracked_as_its_rows_are() -> None:
    audio = read_audio(CLIPS / "gd" / "taiwan.flac")[0][:, :16000]
    batch = torch.cat([audio, 0.3 * audio.flip(-1)])
    together = track_pitch(batch, sample_rate=24000, hop_length=HOP)
    for row, pitch in zip(batch, zip(*together, strict=True), strict=True):
        alone = track_pitch(row[None], sample_rate=24000, hop_length=HOP)
        torch.testing.assert_close(pitch[0], alone.f0[0], rtol=1e-5, atol=0.0)
        assert torch.equal(pitch[1], alone.voiced[0])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 900), st.integers(0, 4000), st.sampled_from(PADDINGS))
def test_frame_law(hop: int, more: int, padding: Padding) -> None:
    """Any hop, shorter or longer than the window of 400 samples, any length from one hop up."""
    samples = hop + more
    pitch = track_pitch(
        torch.ones(1, samples), sample_rate=8000, hop_length=hop, padding=padding, f_max=100.0
    )
    assert pitch.f0.shape == (1, samples // hop + (padding == "center"))


def test_bins_span_the_range_an_eighth_of_a_tone_apart() -> None:
    bins = pitch_bins(60.0, 600.0)
    assert bins[0] == pytest.approx(60.0)
    assert bins[-1] == pytest.approx(600.0)
    steps = cents(bins[1:], bins[:-1])
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-3, atol=0.0)
    assert steps.mean() <= 25.0


@pytest.mark.parametrize("rate", [8000, 24000])
def test_autocorrelation_of_a_tone_is_one_at_its_period(rate: int) -> None:
    audio = voice(torch.full((rate,), rate / 80), rate=rate)
    correlation, level = autocorrelation(audio, sample_rate=rate, hop_length=HOP)
    period = 80 * (16000 // rate or 1)
    peaks = inside(correlation, rate=rate)[..., period]
    torch.testing.assert_close(peaks, torch.ones_like(peaks), rtol=0.0, atol=0.01)
    assert inside(level, rate=rate).amin() == pytest.approx(audio.abs().max().item(), rel=0.05)


@pytest.mark.parametrize(
    "clip",
    [
        "flemishguy/nl_rhasspy_950_1601818680",
        "gd/taiwan",
        "kathleen/arctic_b0511",
        "lj/LJ001-0013",
        "nathalie/nl_rhasspy_863",
    ],
)
def test_speech_has_the_pitch_that_pyin_finds(clip: str) -> None:
    """pYIN's grid is 10 cents. Its window starts at the frame: a short one keeps it aligned."""
    audio, rate = read_audio(CLIPS / f"{clip}.flac")
    hop = rate // 100
    theirs, their_voiced, _ = librosa.pyin(
        audio[0].numpy(),
        fmin=60.0,
        fmax=600.0,
        sr=rate,
        hop_length=hop,
        frame_length=2048 if rate > 30000 else 1024,
    )
    ours = track_pitch(audio, sample_rate=rate, hop_length=hop, padding="center")
    f0, voiced = ours.f0[0].numpy(), ours.voiced[0].numpy()
    both = voiced & their_voiced
    difference = np.abs(1200 * np.log2(f0[both] / theirs[both]))
    assert np.median(difference) < 12.0
    assert (difference > 600.0).mean() < 0.01
    assert 2 * both.sum() / (voiced.sum() + their_voiced.sum()) > 0.9
