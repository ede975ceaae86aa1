"""Mel and recording: the guilty part is found among planted faults; nobody is accused wrongly."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.doctor.pair import diagnose_pair, examine_pair
from vocoder.doctor.pairs.conclusion import PairDiagnosis
from vocoder.doctor.pairs.timing import align
from vocoder.errors import AudioError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.inference.vocoder import Vocoder, load
from vocoder.io.audio import read_audio, resample_soxr

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "egs" / "clips"
DEMO = ROOT / "tests" / "fixtures" / "release_0_1" / "demo" / "last"  # trained for four steps
RATE = 22050
FLOOR = math.log(1e-5)


@cache
def default() -> Vocoder:
    return load()


@cache
def recording(name: str) -> Tensor:
    audio, rate = read_audio(CLIPS / f"{name}.flac")
    return resample_soxr(audio[0], rate, RATE)[: 3 * RATE]


@cache
def mel_of(name: str) -> Tensor:
    return cast(Tensor, default().mel(recording(name), sample_rate=RATE))


def noise(mel: Tensor, level: float) -> Tensor:
    return level * torch.randn(mel.shape, generator=torch.Generator().manual_seed(0))


def smoothed(mel: Tensor, width: int) -> Tensor:
    return F.avg_pool1d(mel[None], width, 1, width // 2, count_include_pad=False)[0]


def low_rank(mel: Tensor) -> Tensor:
    mean = mel.mean(1, keepdim=True)
    left, values, right = torch.linalg.svd(mel - mean, full_matrices=False)
    return cast(Tensor, (left[:, :8] * values[:8]) @ right[:8] + mean)


def stretched(mel: Tensor, ratio: float) -> Tensor:
    size = round(mel.shape[1] * ratio)
    return F.interpolate(mel[None, None], (mel.shape[0], size), mode="bicubic")[0, 0]


def own_tempo(mel: Tensor) -> Tensor:
    """Faster and slower by up to a quarter, as durations that a model has predicted."""
    time = torch.linspace(0.0, 1.0, mel.shape[1])
    warped = time + 0.04 * torch.sin(2 * math.pi * time) - 0.02 * torch.sin(4 * math.pi * time)
    places = torch.stack(
        torch.broadcast_tensors(2 * warped - 1, torch.linspace(-1.0, 1.0, len(mel))[:, None]), -1
    )
    return F.grid_sample(
        mel[None, None], places[None], mode="bicubic", padding_mode="border", align_corners=True
    )[0, 0]


def without_highs(mel: Tensor) -> Tensor:
    return torch.cat([mel[:50], torch.full_like(mel[50:], FLOOR)])


def with_dropouts(mel: Tensor) -> Tensor:
    gaps = torch.arange(mel.shape[1]) % 40 >= 34
    return mel.where(~gaps, FLOOR)


def with_lost_frames(mel: Tensor) -> Tensor:
    third = mel.shape[1] // 3
    return torch.cat([mel[:, :third], mel[:, third + 9 :]], dim=1)


def held(mel: Tensor) -> Tensor:
    return mel[:, torch.arange(mel.shape[1]) // 2 * 2]


def late(mel: Tensor) -> Tensor:
    return torch.cat([mel[:, :1].expand(-1, 10), mel[:, :-10]], dim=1)


Change = Callable[[Tensor], Tensor]
# Faults of an acoustic model, and what the doctor may call them.
ACOUSTIC: dict[str, tuple[Change, set[str]]] = {
    "over-smoothed": (lambda mel: smoothed(mel, 5), {"over-smoothed"}),
    "low rank": (low_rank, {"over-smoothed"}),
    "too quiet": (lambda mel: mel - 0.92, {"level"}),
    "too loud": (lambda mel: mel + 0.92, {"level"}),
    "log10 for ln": (lambda mel: mel / math.log(10.0), {"values"}),
    "half the contrast": (lambda mel: 0.6 * (mel - mel.mean()) + mel.mean(), {"contrast"}),
    "wrong statistics": (
        lambda mel: mel + noise(mel[:, :1], 0.8),
        {"spectral balance", "mel settings"},
    ),
    "no high band": (without_highs, {"high band"}),
    "high floor": (lambda mel: mel.clamp_min(-5.0), {"floor", "values"}),
    "noise": (lambda mel: mel + noise(mel, 0.4), {"noise"}),
    "slow": (lambda mel: stretched(mel, 1.15), {"tempo", "mel settings"}),
    "late": (late, {"timing"}),
    "dropouts": (with_dropouts, {"dropouts"}),
    "lost frames": (with_lost_frames, {"lost frames"}),
    "repeated frames": (held, {"repeated frames"}),
}
HEALTHY: dict[str, Change] = {
    "its own mel": lambda mel: mel,
    "1 dB louder": lambda mel: mel + 0.115,
    "a little noise": lambda mel: mel + noise(mel, 0.05),
    "own tempo": own_tempo,
    "tilted by 1.5 dB": lambda mel: mel + torch.linspace(0.17, -0.17, len(mel))[:, None],
    "a higher floor": lambda mel: mel.clamp_min(FLOOR + 0.2),
}


class Faulty:
    """A vocoder whose output goes through a fault."""

    def __init__(self, fault: Change) -> None:
        self.fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(default(), name)

    def __call__(self, mel: Tensor, **others: Any) -> Tensor:
        return self.fault(default()(mel, **others))


def low_passed(audio: Tensor) -> Tensor:
    spectrum = torch.fft.rfft(audio)
    spectrum[torch.fft.rfftfreq(len(audio), 1 / RATE) > 4000.0] = 0.0
    return torch.fft.irfft(spectrum, len(audio))


def at_another_rate(audio: Tensor) -> Tensor:
    return resample_soxr(audio, RATE, 24000)[: len(audio)]


def with_clicks(audio: Tensor) -> Tensor:
    return audio + 0.3 * (torch.arange(len(audio)) % 2756 == 0)


def with_tone(audio: Tensor) -> Tensor:
    return audio + 0.03 * torch.sin(2 * math.pi * 3000.0 / RATE * torch.arange(len(audio)))


VOCODERS: dict[str, Callable[[], Any]] = {
    "hardly trained": lambda: load(DEMO),
    "low-passed": lambda: Faulty(low_passed),
    "10 dB quieter": lambda: Faulty(lambda audio: 0.316 * audio),
    "hiss": lambda: Faulty(lambda audio: audio + noise(audio, 0.01)),
    "distorted": lambda: Faulty(
        lambda audio: (8 * audio / audio.abs().max()).clamp(-1, 1) * 0.5 * audio.abs().max()
    ),
    "other rate": lambda: Faulty(at_another_rate),
    "clicks": lambda: Faulty(with_clicks),
    "tone": lambda: Faulty(with_tone),
}


def diagnosed(name: str, change: Change, vocoder: Any = None) -> PairDiagnosis:
    return diagnose_pair(change(mel_of(name)), recording(name), vocoder or default())


def problems(found: PairDiagnosis) -> set[str]:
    return {each.name for each in found.findings if each.severity == "problem"} - {"at fault"}


SHORT = "nathalie/nl_rhasspy_863"


@pytest.mark.parametrize("fault", ["over-smoothed", "log10 for ln"])
def test_fault_of_the_acoustic_model_is_named(fault: str) -> None:
    change, names = ACOUSTIC[fault]
    found = diagnosed(SHORT, change)
    assert found.guilty == "the acoustic model"
    assert problems(found) & names
    assert found.verdict.startswith("The acoustic model is at fault")


def test_vocoder_that_copies_badly_is_at_fault_and_both_if_both_are() -> None:
    bad = load(DEMO)
    assert diagnosed(SHORT, HEALTHY["its own mel"], bad).guilty == "the vocoder"
    found = diagnosed(SHORT, ACOUSTIC["over-smoothed"][0], bad)
    assert found.guilty == "both"
    assert {"over-smoothed", "log-mel L1"} <= problems(found)


def test_sound_pair_of_another_tempo_accuses_nobody() -> None:
    found = diagnosed(SHORT, HEALTHY["own tempo"])
    assert (found.guilty, problems(found)) == ("neither", set())


def test_mel_of_other_words_is_no_pair() -> None:
    found = diagnose_pair(mel_of("lj/LJ001-0013"), recording(SHORT), default())
    assert found.guilty == "the pair"
    assert problems(found) == {"resemblance"}


def test_timing_is_measured_in_frames() -> None:
    own = mel_of("lj/LJ001-0013")
    assert align(own, own).index.tolist() == [*range(own.shape[1])]
    assert align(late(own), own).offset == pytest.approx(10.0, abs=0.5)
    assert align(stretched(own, 1.15), own).ratio == pytest.approx(1.15, abs=0.01)
    third = own.shape[1] // 3
    ((place, size),) = align(with_lost_frames(own), own).jumps
    assert size == -9 and abs(place - third - 4) <= 4


def test_files_give_the_same_and_wrong_ones_are_one_line(tmp_path: Path) -> None:
    path = CLIPS / f"{SHORT}.flac"
    mel = tmp_path / "mel.npy"
    np.save(mel, ACOUSTIC["too quiet"][0](mel_of(SHORT)).numpy().T)
    found = examine_pair(mel, path)
    assert (found.kind, found.severity) == ("pair", "problem")
    assert found.findings[0].value == "the acoustic model"
    np.save(mel, np.zeros((13, 50), dtype=np.float32))
    refused = examine_pair(mel, path)
    assert "n_mels is 80" in refused.verdict
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(RATE), RATE)
    with pytest.raises(AudioError, match="is silent; give the recording of the mel's words"):
        examine_pair(mel, silent)
    soundfile.write(silent, np.ones(2000), RATE)
    with pytest.raises(AudioError, match=r"lasts 0.1 s; give the recording of one utterance"):
        examine_pair(mel, silent)


def named_clips() -> Iterator[str]:
    for path in sorted(CLIPS.glob("*/*.flac")):
        if path.stem != "small":  # one syllable
            yield f"{path.parent.name}/{path.stem}"


@pytest.mark.slow
def test_the_guilty_part_is_found_on_every_voice(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of confusions in the manual: `pytest -m slow -s tests/doctor/test_pair.py`."""
    found: dict[str, Counter[str]] = {}
    wrong = []

    def note(kind: str, fault: str, clip: str, diagnosis: PairDiagnosis, right: str) -> None:
        found.setdefault(kind, Counter())[diagnosis.guilty] += 1
        if diagnosis.guilty != right:
            wrong.append((fault, clip, diagnosis.verdict))

    vocoders = {name: make() for name, make in VOCODERS.items()}
    for clip in named_clips():
        for name, change in HEALTHY.items():
            for vocoder in (default(), load("griffin-lim"), perturbed()):
                note("neither", name, clip, diagnosed(clip, change, vocoder), "neither")
        for name, (change, _) in ACOUSTIC.items():
            note("acoustic model", name, clip, diagnosed(clip, change), "the acoustic model")
        for name, vocoder in vocoders.items():
            note("vocoder", name, clip, diagnosed(clip, own_tempo, vocoder), "the vocoder")
            both = diagnosed(clip, ACOUSTIC["over-smoothed"][0], vocoder)
            note("both", name, clip, both, "both")
    with capsys.disabled():
        for kind, counts in found.items():
            print(f"\n{kind}: {dict(counts)}", end="")
        print("\n", *wrong, sep="\n")
    for kind, right in (
        ("neither", "neither"),
        ("acoustic model", "the acoustic model"),
        ("vocoder", "the vocoder"),
        ("both", "both"),
    ):
        assert found[kind][right] >= 0.97 * found[kind].total()


def perturbed() -> Vocoder:
    """The default model with noise on its weights, which it bears: its output is no worse."""
    vocoder = copy.deepcopy(default())
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in vocoder.generator.parameters():
            if weight.ndim > 1:
                weight += 0.1 * weight.std() * torch.randn(weight.shape, generator=rng)
    return vocoder


@pytest.mark.slow
def test_settings_of_the_mel_are_told_beside_other_faults() -> None:
    spec = MelSpec.preset("hifigan_22k_80")
    htk = MelSpectrogram(replace(spec, mel_scale="htk"))(recording(SHORT)[None, None])[0]
    found = diagnose_pair(smoothed(htk, 3), recording(SHORT), default())
    (told,) = [each for each in found.findings if each.name == "mel settings"]
    assert "mel_scale htk (not slaney)" in told.value
