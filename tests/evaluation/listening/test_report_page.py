"""The listening report's content: what it says, chooses and places; its browser tests are apart."""

import dataclasses
import json
import math
import re
from html import unescape
from pathlib import Path

import pytest
import soundfile
import torch

from vocoder.errors import AudioError
from vocoder.evaluation.alignment import Alignment
from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.listening.loudness import matching_gains
from vocoder.evaluation.listening.page import write_report
from vocoder.evaluation.listening.page_media import utterance_media
from vocoder.evaluation.listening.page_selection import worst_and_sample, worst_first
from vocoder.evaluation.listening.page_utterance import utterance_content
from vocoder.evaluation.metrics.loudness import loudness
from vocoder.evaluation.report import FileScore, Report
from vocoder.io.audio import write_audio

RATE = 16000
FACTS = {"log_mel": {"unit": "Np", "better": "lower", "definition": "Mean <b>difference</b>."}}


def noise(seconds: float, *, channels: int = 1, level: float = 0.1, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return level * torch.randn(channels, int(seconds * RATE), generator=rng)


def score(folder: Path, system: str, name: str, value: float | None, **fields: object) -> FileScore:
    found = {} if value is None else {"log_mel": value}
    values = {
        "name": name,
        "sample_rate": RATE,
        "seconds": 0.5,
        "extra_samples": 0,
        "scores": found,
        "skipped": {} if found else {"log_mel": "too short"},
        "reference": str(folder / "reference" / f"{name}.wav"),
        "estimate": str(folder / system / f"{name}.wav"),
    }
    return FileScore(**{**values, **fields})


def report(*files: FileScore, unscored: dict[str, str] | None = None) -> Report:
    return Report(metrics=FACTS, versions={"vocoder": "1"}, files=files, unscored=unscored or {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("systems")
    for i, name in enumerate("abc"):
        for gain, system in ((1.0, "reference"), (0.5, "one"), (2.0, "two")):
            write_audio(folder / system / f"{name}.wav", gain * noise(0.5, seed=i), RATE)
    return folder


@pytest.fixture
def evaluation(folder: Path) -> Evaluation:
    click = {"detector": "clicks", "begin": 0.1, "end": 0.12, "low_hz": None, "high_hz": 4000.0}
    click |= {"level": 9.0, "unit": "dB", "words": "a click <of> 9 dB"}
    one = [score(folder, "one", n, v) for n, v in zip("abc", (0.3, 0.1, 0.2), strict=True)]
    one[0] = dataclasses.replace(one[0], artefacts=(click,), alignment=Alignment(8.0, "waveform"))
    two = [score(folder, "two", "a", 0.4), score(folder, "two", "b", None, extra_samples=-4000)]
    reports = {"one": report(*one), "two": report(*two, unscored={"c": "damaged & lost"})}
    return Evaluation(reference=folder / "reference", reports=reports)


def written(evaluation: Evaluation, path: Path, **options: int) -> str:
    write_report(evaluation, path, **options)
    return path.read_text("utf-8")


def words(html: str) -> str:
    """The text of a page without its scripts, styles and elements."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", text)))


def test_the_page_says_what_was_skipped_missing_and_found(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    html = written(evaluation, tmp_path / "index.html")
    text = words(html)
    assert "one and two against the 3 recordings" in text
    assert "two: log-mel L1 has no score for 1 of 2 files: too short" in text
    assert "b lacks" in text  # a third of its length
    assert "two: c: damaged & lost" in text
    assert "clicks: a click <of> 9 dB" in text and "a click <of>" not in html
    assert "+0.50 ms delay, not removed" in text
    assert "Mean <b>difference</b>." in text and "<b>difference" not in html
    assert "bootstrap" in text
    assert re.search(r"log-mel L1 .{0,40}0\.200 .{0,60}0\.400", text)


def test_every_version_can_be_heard_once(evaluation: Evaluation, tmp_path: Path) -> None:
    html = written(evaluation, tmp_path / "index.html")
    sounds = re.findall(r'<script type="application/json" id="(u\d+-\d+)">"([^"]+)"', html)
    assert len(sounds) == 3 + 3 + 2  # c has no version of the second system
    assert all(sound.startswith("ZkxhQ") for _, sound in sounds)  # fLaC
    overview = json.loads(re.search(r'id="report">(.*?)</script>', html)[1])
    assert [file["name"] for file in overview["files"]] == ["a", "b", "c"]
    assert overview["files"][0]["scores"] == {"log_mel": {"one": 0.3, "two": 0.4}}


def test_a_large_evaluation_plays_some_and_names_the_others(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    html = written(evaluation, tmp_path / "index.html", files=1)
    text = words(html)
    assert html.count("<article") == 1
    assert "1 of 3 utterances can be heard" in text
    assert "their names: b, c" in text


def test_the_worst_files_come_first(folder: Path) -> None:
    names = "abcdefgh"
    lower = [score(folder, "one", name, float(i)) for i, name in enumerate(names)]
    evaluation = Evaluation(reference=folder, reports={"one": report(*lower)})
    assert worst_first(evaluation) == list(reversed(names))
    more = dataclasses.replace(
        report(*lower), metrics={"log_mel": {**FACTS["log_mel"], "better": "higher"}}
    )
    assert worst_first(Evaluation(reference=folder, reports={"one": more})) == list(names)


@pytest.mark.parametrize("most", range(1, 12))
def test_a_sample_has_the_worst_half_and_others_in_order(most: int) -> None:
    names = [f"{i:02}" for i in range(10)]
    chosen = worst_and_sample(names, most)
    assert len(chosen) == min(most, 10)
    assert chosen == sorted(set(chosen))
    assert chosen[: -(-most // 2)] == names[: -(-most // 2)]


def test_versions_share_the_time_of_the_whole_reference(tmp_path: Path) -> None:
    real = noise(0.5)
    for name, audio in (("reference", real), ("early", real[:, 800:]), ("late", real)):
        write_audio(tmp_path / name / "a.wav", audio, RATE)
    early = Alignment(-800.0, "waveform", removed=True)
    media = utterance_media(
        {
            "early": score(tmp_path, "early", "a", 0.0, alignment=early),
            "late": score(tmp_path, "late", "a", 0.0),
        }
    )
    assert media.seconds == pytest.approx(0.5)
    whole, shifted = media.reference.waveform, media.systems["early"].waveform
    assert len(whole) == len(shifted) == len(media.systems["late"].waveform)
    first = 2 * math.ceil(len(whole) / 2 * 0.1)  # of 0.5 s, the first 0.05 s are silence
    assert not any(shifted[: first - 2])
    assert shifted[first + 2 :] == whole[first + 2 :]
    assert media.systems["early"].mean_difference == 0.0


def test_nothing_clips_and_the_common_gain_is_said(tmp_path: Path) -> None:

    for name, peak in (("reference", 0.5), ("loud", 2.0)):
        path = tmp_path / name / "a.wav"
        path.parent.mkdir()
        audio = noise(0.5, channels=2)
        soundfile.write(path, (audio / audio.abs().max() * peak).T.numpy(), RATE, "FLOAT")
    scores = {"loud": score(tmp_path, "loud", "a", 0.0)}
    media = utterance_media(scores)
    assert (media.scaled, media.peak) == (pytest.approx(0.5), pytest.approx(1.0))
    assert media.systems["loud"].gain == pytest.approx(20 * math.log10(0.25), abs=0.05)
    content = utterance_content("u1", "a", scores, media, {"loud": report()}, [])
    assert "stereo; all versions play at −6.0 dB" in content["facts"]


def test_a_recording_that_is_gone_is_an_error(evaluation: Evaluation, tmp_path: Path) -> None:
    files = evaluation.reports["one"].files
    gone = dataclasses.replace(files[0], estimate=str(tmp_path / "gone.wav"))
    lost = Evaluation(reference=evaluation.reference, reports={"one": report(gone)})
    with pytest.raises(AudioError, match=r"gone\.wav"):
        write_report(lost, tmp_path / "index.html")
    assert not (tmp_path / "index.html").exists()


def test_loudness_of_a_tone_is_that_of_the_recommendation() -> None:
    tone = torch.sin(2 * math.pi * 997 * torch.arange(3 * 48000) / 48000)[None]
    assert loudness(tone, 48000) == pytest.approx(-3.01, abs=0.05)  # full scale, BS.1770-4
    assert loudness(tone[:, :4800], 48000) == pytest.approx(-3.01, abs=0.2)  # under a block
    assert loudness(torch.zeros(2, 48000), 48000) == -math.inf


def test_matched_sounds_are_equally_loud_and_do_not_clip() -> None:
    sounds = [0.5 * noise(1.0, level=0.3), noise(1.0, level=0.02, seed=1), torch.zeros(1, RATE)]
    sounds[1][0, 100] = 0.9  # a peak that full loudness would clip
    gains = matching_gains(sounds, [RATE] * 3)
    assert gains[2] is None
    played = [s * 10 ** (g / 20) for s, g in zip(sounds[:2], gains[:2], strict=True)]
    assert loudness(played[0], RATE) == pytest.approx(loudness(played[1], RATE), abs=0.1)
    assert max(float(sound.abs().max()) for sound in played) == pytest.approx(1.0, abs=1e-3)
    assert gains[0] < 0.0
