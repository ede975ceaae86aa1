"""Trials of listening tests: choice, loudness, anchors, alignment, codes, wrong settings."""

import base64
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.listening.trials.design import TestSettings, design_test
from vocoder.evaluation.listening.trials.page import write_listening_test
from vocoder.evaluation.listening.trials.selection import choose_utterances
from vocoder.evaluation.listening.trials.stimuli import load_stimuli, lowpass
from vocoder.evaluation.metrics.loudness import loudness
from vocoder.io.audio import write_audio

RATE = 16000


def noise(samples: int = RATE, seed: int = 0) -> torch.Tensor:
    return 0.05 * torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("systems")
    for i in range(4):
        for system, gain in (("ref", 1.0), ("loud", 8.0), ("quiet", 0.01)):
            audio = gain * noise(seed=i) + 0.001 * noise(seed=9 + i)
            write_audio(folder / system / f"s{i % 2}" / f"{i}.wav", audio.clamp(-1, 1), RATE)
    return folder


def systems(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ("loud", "quiet")}


def test_the_choice_is_balanced_over_folders_and_scores() -> None:
    names = [f"a/{i:02d}" for i in range(20)] + [f"b/{i:02d}" for i in range(6)] + ["c/0"]
    chosen = choose_utterances(names, 9, random.Random(1), ranked=True)
    assert Counter(name[0] for name in chosen) == {"a": 4, "b": 4, "c": 1}
    assert [name for name in chosen if name[0] == "a"] == ["a/02", "a/07", "a/12", "a/17"]
    assert choose_utterances(names, 99, random.Random(0)) == sorted(names)
    assert choose_utterances(names, 5, random.Random(0)) != choose_utterances(
        names, 5, random.Random(3)
    )


def test_sounds_are_equally_loud_and_never_clip(folder: Path) -> None:
    test = design_test(folder / "ref", systems(folder), TestSettings(trials=2))
    for sound in test.sounds.values():
        assert loudness(sound.audio, RATE) == pytest.approx(test.level, abs=0.01)
        assert sound.audio.abs().max() <= 1.0
    assert len({sound.audio.shape for sound in test.sounds.values()}) == 1


def test_impulses_lower_all_sounds_alike(tmp_path: Path) -> None:
    audio = 0.001 * noise()
    audio[0, 8000] = 0.9
    for system in ("ref", "one"):
        write_audio(tmp_path / system / "a.wav", audio, RATE)
    test = design_test(tmp_path / "ref", {"one": tmp_path / "one"}, TestSettings(trials=1))
    assert test.level < -24.0
    assert any("would clip" in note for note in test.notes)
    assert max(float(sound.audio.abs().max()) for sound in test.sounds.values()) <= 1.0


@pytest.mark.parametrize("hertz", [3500.0, 7000.0])
def test_anchors_are_those_of_the_recommendation(hertz: float) -> None:
    impulse = torch.zeros(1, 48000)
    impulse[0, 24000] = 1.0
    level = 20 * torch.fft.rfft(lowpass(impulse, 48000, hertz))[0].abs().clamp_min(1e-9).log10()
    assert level[: int(hertz)].abs().max() < 0.1
    assert level[int(hertz * 8 / 7) + 1 :].max() < -50.0
    peak = lowpass(impulse, 48000, hertz)[0].abs().argmax()
    assert peak == 24000  # no delay
    with pytest.raises(ConfigError, match="lower one"):
        lowpass(impulse, 8000, hertz)


@pytest.mark.parametrize("delay", [-37, 52])
def test_delays_are_removed_and_lengths_are_equal(tmp_path: Path, delay: int) -> None:
    whole = noise(2 * RATE)
    write_audio(tmp_path / "ref.wav", whole[:, 1000:25000], RATE)
    write_audio(tmp_path / "late.wav", whole[:, 1000 - delay : 25000 - delay], RATE)
    write_audio(tmp_path / "short.wav", whole[:, 1000:20000], RATE)
    paths = {name: tmp_path / f"{name}.wav" for name in ("late", "short")}
    made = load_stimuli("x", tmp_path / "ref.wav", paths)
    reference, late, short = (made.sounds[name] for name in ("reference", "late", "short"))
    assert reference.shape == late.shape == short.shape
    assert (late - reference).abs().max() < 0.002
    assert (short - reference).abs().max() < 0.002
    assert "since short" in made.notes[0]
    cut = load_stimuli("x", tmp_path / "ref.wav", paths, longest=0.5)
    assert cut.seconds == 0.5 and cut.notes == ()


def test_abx_has_every_comparison_equally_often(folder: Path) -> None:
    settings = TestSettings(kind="abx", trials=6, compared="all", controls=3)
    test = design_test(folder / "ref", systems(folder), settings)
    pairs = Counter(
        (trial.role, *(test.sounds[code].condition for code in trial.sounds))
        for trial in test.trials
    )
    assert pairs == {
        ("practice", "reference", "anchor 3.5 kHz"): 1,
        ("test", "reference", "loud"): 6,
        ("test", "reference", "quiet"): 6,
        ("test", "loud", "quiet"): 6,
        ("control", "reference", "anchor 3.5 kHz"): 3,
    }


def test_the_page_hides_names_and_its_id_is_a_digest(folder: Path, tmp_path: Path) -> None:
    test = design_test(folder / "ref", systems(folder), TestSettings(trials=2))
    page = tmp_path / "test.html"
    digest = write_listening_test(test, page, consent="I <agree>")
    text = page.read_text("utf-8")
    assert "I &lt;agree&gt;" in text and "connect-src" not in text
    facts = json.loads(re.search(r'id="test">(.*?)</script>', text)[1])  # type: ignore[index]
    assert not re.search("loud|quiet|s0/|s1/", json.dumps(facts | {"key": ""}))
    key = json.loads(base64.b64decode(facts["key"]))
    assert {sound["condition"] for sound in key["sounds"].values()} == {
        *("reference", "loud", "quiet", "anchor 3.5 kHz")
    }
    assert write_listening_test(test, page, consent="I <agree>") == digest == facts["id"]
    assert write_listening_test(test, page, consent="other") != digest
    write_listening_test(test, page, post="https://lab.example.org:8000/answers?a=1")
    assert 'connect-src https://lab.example.org:8000"' in page.read_text("utf-8")


@pytest.mark.parametrize("url", ["ftp://a/b", "a b", "https://a;b/", "http://[", "https://x:y/"])
def test_what_is_no_url_is_refused(folder: Path, tmp_path: Path, url: str) -> None:
    test = design_test(folder / "ref", systems(folder), TestSettings(trials=1))
    with pytest.raises(ConfigError, match="--post"):
        write_listening_test(test, tmp_path / "test.html", post=url)


def test_wrong_settings_are_refused(folder: Path, tmp_path: Path) -> None:
    ref, all_systems = folder / "ref", systems(folder)
    with pytest.raises(ConfigError, match="only 4"):
        design_test(ref, all_systems, TestSettings(trials=5))
    one = {"loud": folder / "loud"}
    with pytest.raises(ConfigError, match="two or more"):
        design_test(ref, one, TestSettings(kind="ab", compared="systems"))
    with pytest.raises(ConfigError, match="cannot be called"):
        design_test(ref, {"reference": folder / "loud"}, TestSettings())
    with pytest.raises(ConfigError, match="9 keys"):
        design_test(ref, {f"s{i}": folder / "loud" for i in range(8)}, TestSettings())
    write_audio(tmp_path / "a" / "x.wav", torch.zeros(1, RATE), RATE)
    with pytest.raises(AudioError, match="silent"):
        design_test(tmp_path / "a", {"one": tmp_path / "a"}, TestSettings())
