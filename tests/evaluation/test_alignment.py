"""Delays that are planted are found and removed; where signals do not tell, there is none."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import vocoder
from vocoder.errors import AudioError
from vocoder.evaluation.alignment import Alignment, find_delay, load_pair, without_delay
from vocoder.io.audio import read_audio, resample_soxr, write_audio

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
RATE = 24000


def speech(seconds: float = 3.0) -> Tensor:
    return read_audio(CLIPS / "nathalie" / "nl_rhasspy_863.flac")[0][:, : round(seconds * RATE)]


def late(audio: Tensor, delay: float) -> Tensor:
    """The signal `delay` samples later, of the same length; what comes in is silence."""
    padded = torch.nn.functional.pad(audio, (3000, 3000)).double()
    spectrum = torch.fft.rfft(padded)
    hertz = torch.arange(spectrum.shape[-1], dtype=torch.float64) / padded.shape[-1]
    turned = spectrum * torch.polar(torch.ones_like(hertz), -2.0 * torch.pi * hertz * delay)
    return torch.fft.irfft(turned, padded.shape[-1])[:, 3000:-3000].float()


def noise(like: Tensor, decibels: float) -> Tensor:
    """White noise `decibels` below a signal."""
    generator = torch.Generator().manual_seed(0)
    return 10 ** (-decibels / 20) * like.std() * torch.randn(like.shape, generator=generator)


def low_passed(audio: Tensor) -> Tensor:
    return resample_soxr(resample_soxr(audio, RATE, 8000), 8000, RATE)[:, : audio.shape[-1]]


DELAYS = [-2000.0, -137.4, -1.0, -0.3, 0.1, 0.5, 12.0, 333.25, 2000.0]


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("kind", ["clean", "gain", "inverted", "20 dB", "5 dB", "low-pass"])
def test_a_planted_delay_is_found(delay: float, kind: str) -> None:
    reference = speech()
    estimate = late(reference, delay)
    if kind.endswith("dB"):
        estimate = estimate + noise(estimate, float(kind.removesuffix(" dB")))
    estimate = low_passed(estimate) if kind == "low-pass" else estimate
    estimate = {"gain": 0.2, "inverted": -1.0}.get(kind, 1.0) * estimate
    found = find_delay(reference, estimate, RATE)
    assert found.source == "waveform"
    assert found.delay == pytest.approx(delay, abs=0.2 if kind == "5 dB" else 0.1)


def test_a_made_up_upper_band_says_nothing_about_the_delay() -> None:
    """As after bandwidth extension: the low band is that of the recording, the rest is not."""
    reference = speech()
    low = low_passed(reference)
    other = reference.roll(RATE // 2, -1)
    estimate = low + 3.0 * (other - low_passed(other))
    assert find_delay(reference, estimate, RATE).delay == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("delay", DELAYS)
def test_what_was_found_can_be_removed(delay: float) -> None:
    reference, estimate = speech(), late(speech(), delay)
    real, fake = without_delay(reference, estimate, delay)
    samples = min(real.shape[-1], fake.shape[-1])
    inner = slice(3000, samples - 3000)
    torch.testing.assert_close(fake[:, inner], real[:, inner], atol=2e-3, rtol=0.0)
    assert samples >= reference.shape[-1] - abs(delay) - 1.0


def test_identical_files_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, speech(), RATE)
    pair = load_pair(path, path)
    assert pair.alignment == Alignment(0.0, "none", removed=False)
    assert torch.equal(pair.reference, pair.estimate)


def test_a_whole_delay_is_removed_by_cutting_alone(tmp_path: Path) -> None:
    reference, estimate = tmp_path / "a.wav", tmp_path / "b.wav"
    write_audio(reference, speech(), RATE)
    write_audio(estimate, torch.nn.functional.pad(speech(), (480, 0)), RATE)
    pair = load_pair(reference, estimate)
    assert pair.alignment.delay == pytest.approx(480.0, abs=0.05)
    assert pair.extra_samples == 480
    assert torch.allclose(pair.reference, pair.estimate, atol=2e-3)
    kept = load_pair(reference, estimate, align=False)
    assert kept.alignment.delay == pair.alignment.delay
    assert not kept.alignment.removed
    assert kept.estimate[:, :480].abs().max() == 0.0


@pytest.mark.parametrize("model", ["griffin-lim", "default"])
@pytest.mark.parametrize("delay", [0, 1500])
def test_vocoders_without_phases_are_aligned_by_envelopes(model: str, delay: int) -> None:
    reference = speech(2.0)
    v = vocoder.load(model)
    copy = v.resynth(reference[0], sample_rate=RATE)[None]
    real = resample_soxr(reference, RATE, v.sample_rate)
    found = find_delay(real, torch.nn.functional.pad(copy, (delay, 0)), v.sample_rate)
    if delay:
        assert found.source == "envelope"
        assert found.delay == pytest.approx(delay, abs=0.004 * v.sample_rate)
    else:
        assert found == Alignment()


def tone(hertz: float, partials: int) -> Tensor:
    turns = torch.arange(2 * RATE) * hertz / RATE
    number = torch.arange(1, partials + 1)[:, None]
    return 0.1 * (torch.sin(2 * torch.pi * number * turns) / number).sum(0, keepdim=True)


@pytest.mark.parametrize("hertz", [82.0, 110.0, 440.0])
@pytest.mark.parametrize("partials", [1, 20])
def test_a_held_tone_is_not_shifted_by_its_period(hertz: float, partials: int) -> None:
    audio = tone(hertz, partials)
    reference, estimate = audio[:, 500:], audio[:, :-500]
    assert abs(find_delay(reference, estimate, RATE).delay) <= RATE / hertz
    noisy = audio + noise(audio, 30.0)
    assert find_delay(audio, noisy, RATE).delay == pytest.approx(0.0, abs=0.1)


def test_noise_and_silence_have_no_delay() -> None:
    one, other = noise(torch.ones(1, RATE).cumsum(-1), 20.0), torch.zeros(1, RATE)
    independent = torch.randn(1, RATE, generator=torch.Generator().manual_seed(1))
    for estimate in (independent, other):
        assert find_delay(one, estimate, RATE) == Alignment()


def test_what_has_too_little_in_common_is_an_error(tmp_path: Path) -> None:
    reference, estimate = tmp_path / "a.wav", tmp_path / "b.wav"
    write_audio(reference, speech(), RATE)
    write_audio(estimate, speech()[:, :1000], RATE)
    with pytest.raises(AudioError, match=r"b\.wav: under 0\.1 s in common"):
        load_pair(reference, estimate)
