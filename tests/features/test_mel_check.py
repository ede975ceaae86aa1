"""What a mel probably is: named where its values are wrong, and silent where they are right."""

import dataclasses
import functools
import time
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.features.test_mel import CLIPS
from vocoder.features.mel import PRESETS, MelSpec, MelSpectrogram
from vocoder.features.mel_check import check_mel, compare_mels
from vocoder.io.audio import read_audio, resample_soxr

BASE = MelSpec.preset("hifigan_22k_80")
RECORDINGS = (
    "lj/LJ001-0013",
    "kathleen/arctic_b0511",
    "nathalie/nl_rhasspy_578",
    "flemishguy/nl_rhasspy_334_1602256326",
    "kathleen/arctic_a0290",
)
WRONG = ("log10", "db", "db_ref20", "linear", "powers", "keithito", "rayhane", "matcha_lj", "stats")
UNNAMED = {
    "powers": "powers without a logarithm",
    "stats": "normalised by statistics of a training",
}
CEILINGS = {"keithito": 1.0, "rayhane": 4.0, "db_ref20": 0.0}


@functools.cache
def recording(name: str, rate: int) -> Tensor:
    """Mono audio at a rate, at most three seconds. Shape: [T]."""
    audio, own_rate = read_audio(CLIPS / f"{name}.flac")
    return resample_soxr(audio[0], own_rate, rate)[: 3 * rate]


@functools.cache
def transform(spec: MelSpec) -> MelSpectrogram:
    return MelSpectrogram(spec)


def mel_of(audio: Tensor, spec: MelSpec = BASE) -> Tensor:
    return transform(spec)(audio[None, None])[0]


def magnitudes(audio: Tensor, spec: MelSpec = BASE, power: int = 1) -> Tensor:
    """The mel of audio without a logarithm. Shape: [T] → [M, F]."""
    plain = {"log": "linear", "log_floor": 1e-30, "power_floor": 0.0, "mean": (), "scale": ()}
    return mel_of(audio, dataclasses.replace(spec, power=power, **plain))


def wrong(kind: str, audio: Tensor, spec: MelSpec = BASE) -> Tensor:
    """The mel of audio with another normalisation than that of `spec`."""
    if kind == "powers":
        return magnitudes(audio, spec, power=2)
    if kind == "stats":
        clips = [recording(name, spec.sample_rate) for name in RECORDINGS]
        corpus = torch.cat([magnitudes(clip, spec).log() for clip in clips], dim=1)
        mean, deviation = corpus.mean(dim=1)[:, None], corpus.std(dim=1)[:, None]
        return (magnitudes(audio, spec).log() - mean) / deviation
    mel = (
        dataclasses.replace(spec, log_floor=1e-5).normalised(kind).compress(magnitudes(audio, spec))
    )
    return mel.clamp_max(CEILINGS.get(kind, torch.inf))


@pytest.mark.parametrize("kind", WRONG)
def test_nine_normalisations_of_five_recordings_are_named(kind: str) -> None:
    for name in RECORDINGS:
        found = check_mel(wrong(kind, recording(name, BASE.sample_rate)), BASE)
        assert found, name
        assert found.normalisation == (None if kind in UNNAMED else kind), name
        assert UNNAMED.get(kind, "") in found.likely
        assert f"--normalisation {kind}" in found.explanation or kind in UNNAMED


@pytest.mark.parametrize("preset", ["vocos_24k_100", "pwg_22k_80", "bigvgan_44k_128"])
@pytest.mark.parametrize("kind", ["db", "linear", "powers", "keithito", "matcha_lj"])
def test_other_specs_name_them_too(preset: str, kind: str) -> None:
    spec = MelSpec.preset(preset)
    found = check_mel(wrong(kind, recording(RECORDINGS[0], spec.sample_rate), spec), spec)
    assert found
    assert found.normalisation in (kind, "matcha_vctk" if kind == "matcha_lj" else None)


@pytest.mark.parametrize("preset", ["hifigan_22k_80", "vocos_24k_100", "bigvgan_44k_128"])
@pytest.mark.parametrize("limits", [None, (-13.0, 3.0)], ids=["its own limits", "fixed limits"])
def test_mels_scaled_to_a_range_are_told(preset: str, limits: tuple[float, float] | None) -> None:
    spec = MelSpec.preset(preset)
    for name in RECORDINGS:
        mel = mel_of(recording(name, spec.sample_rate), spec)
        low, high = limits or (mel.min(), mel.max())
        found = check_mel(2.0 * (mel - low) / (high - low) - 1.0, spec)
        assert found, name
        # Limits of nobody's are told as such by their range, or taken for those of a project.
        scaled = found.likely.startswith("scaled to a range")
        assert scaled or (limits and ("GPT" in found.likely or "Whisper" in found.likely)), name


def test_natural_logarithms_where_log10_is_expected() -> None:
    spec = MelSpec.preset("pwg_22k_80")
    for name in RECORDINGS:
        found = check_mel(mel_of(recording(name, spec.sample_rate)), spec)
        assert found
        assert found.normalisation == "ln"


def test_a_normalisation_that_was_stated_and_is_not_there() -> None:
    audio = recording(RECORDINGS[0], BASE.sample_rate)
    stated = BASE.normalised("keithito")
    assert check_mel(mel_of(audio, stated), stated) is None
    found = check_mel(mel_of(audio), stated)
    assert found
    assert found.normalisation == "ln"


def signals(rate: int) -> Iterator[Tensor]:
    """Audio of every kind, in [-1, 1]."""
    time_, rng = torch.arange(rate) / rate, torch.Generator().manual_seed(0)
    noise = torch.randn(rate, generator=rng)
    yield torch.zeros(rate)
    for tone in (torch.sin(2790.0 * time_), torch.sin(2000.0 * time_ + 8000.0 * time_**2)):
        yield tone
        yield tone.sign()
    yield sum(torch.sin(6.283 * hz * time_) for hz in (220.0, 277.0, 330.0, 3000.0)) / 4.0
    for level in (1.0, 0.1, 0.001):
        yield (noise * level).clamp(-1.0, 1.0)
        yield level * noise.cumsum(0) / noise.cumsum(0).abs().max()
    yield noise.sign()
    yield 0.3 * noise * (8.0 * time_ % 1.0 < 0.5)
    yield (torch.arange(rate) % (rate // 90) == 0).float()
    for name in (RECORDINGS[0], RECORDINGS[2]):
        speech = recording(name, rate)[rate // 4 : rate // 4 + rate]
        yield from (speech, 0.01 * speech, (20.0 * speech).clamp(-1.0, 1.0))
        yield resample_soxr(resample_soxr(speech, rate, 8000), 8000, rate)


def smooth(mel: Tensor, frames: float) -> Tensor:
    """A mel like one that an acoustic model predicts: without its finest structure."""
    offsets = torch.arange(-4, 5).float()
    kernel = (-(offsets**2) / (2.0 * frames**2)).exp()
    in_time = F.pad(mel[:, None], (4, 4), mode="replicate")
    in_time = F.conv1d(in_time, (kernel / kernel.sum())[None, None])[:, 0]
    return F.avg_pool1d(in_time.T, 3, 1, 1, count_include_pad=False).T


@pytest.mark.parametrize("preset", PRESETS)
def test_correct_mels_of_every_preset_pass(preset: str) -> None:
    """Twenty-two signals, each whole, short and as predicted: none is taken for something else."""
    spec = MelSpec.preset(preset)
    for number, audio in enumerate(signals(spec.sample_rate)):
        mel = mel_of(audio, spec)
        for variant in (mel, mel[:, 20:21], mel[:, 20:25], smooth(mel, 1.0)):
            assert check_mel(variant, spec) is None, f"signal {number}"


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_mel_of_a_known_recording_is_named(kind: str) -> None:
    for name in RECORDINGS:
        audio = recording(name, BASE.sample_rate)
        found = compare_mels(wrong(kind, audio), mel_of(audio), BASE)
        assert found, name
        assert found.normalisation == (None if kind in UNNAMED else kind), name


def test_predicted_mels_of_a_known_recording_pass() -> None:
    rng = torch.Generator().manual_seed(1)
    for name in RECORDINGS:
        own = mel_of(recording(name, BASE.sample_rate))
        error = torch.randn(own.shape, generator=rng)
        for mel in (own, own[:, 1:], smooth(own, 2.0), smooth(own, 1.0) + 0.8 * error, own - 1.5):
            assert compare_mels(mel, own, BASE) is None
        # A louder mel than the recording's is told from log10 by its slope.
        assert compare_mels(own + 1.5, own, BASE) is None


def test_the_mel_of_another_recording_is_refused() -> None:
    first, second = (mel_of(recording(name, BASE.sample_rate)) for name in RECORDINGS[:2])
    frames = min(first.shape[1], second.shape[1])
    found = compare_mels(first[:, :frames], second[:, :frames], BASE)
    assert found
    assert found.normalisation is None
    assert "not the mel of this recording" in found.explanation


@pytest.mark.slow
def test_a_thousand_frames_take_a_millisecond() -> None:
    mel = mel_of(recording(RECORDINGS[0], BASE.sample_rate)).repeat(1, 5)[:, :1000]
    check_mel(mel, BASE)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        check_mel(mel, BASE)
        times.append(time.perf_counter() - start)
    assert min(times) < 2e-3
