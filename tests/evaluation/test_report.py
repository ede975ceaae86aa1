"""The report: pairing, skips with reasons, statistics, and the definitions that are stored."""

import csv
import json
import math
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.metrics.catalogue import EXTENSION, METRICS, VOCODING
from vocoder.evaluation.pairing import ScoredPair, find_pairs
from vocoder.evaluation.report import FileScore, Report
from vocoder.evaluation.scoring import Scoring, evaluate
from vocoder.io.audio import read_audio, resample_soxr, write_audio

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
RATE = 24000


def speech() -> Tensor:
    return read_audio(CLIPS / "nathalie" / "nl_rhasspy_863.flac")[0]


def write(path: Path, audio: Tensor, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, audio, rate)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """One good pair, one silent pair, one file without counterpart on each side, one broken one."""
    reference, estimate = tmp_path / "reference", tmp_path / "estimate"
    audio = speech()
    write(reference / "a" / "good.flac", audio)
    write(estimate / "a" / "good.wav", 0.9 * audio[:, :-100])
    write(reference / "silent.wav", torch.zeros(1, RATE))
    write(estimate / "silent.wav", torch.zeros(1, RATE))
    write(reference / "only_reference.wav", audio)
    write(estimate / "only_estimate.wav", audio)
    write(reference / "broken.wav", audio)
    (estimate / "broken.wav").write_bytes(b"RIFF....WAVE, or not")
    (estimate / "notes.txt").write_text("not audio, not looked at")
    return reference, estimate


@pytest.fixture
def report(folders: tuple[Path, Path]) -> Report:
    return evaluate(*folders)


def test_pairs_by_relative_path_without_suffix(folders: tuple[Path, Path]) -> None:
    reference, estimate = folders
    pairs, left_over = find_pairs(reference, estimate)
    assert [pair.name for pair in pairs] == ["a/good", "broken", "silent"]
    assert pairs[0] == ScoredPair(
        "a/good", reference / "a" / "good.flac", estimate / "a" / "good.wav"
    )
    assert left_over == {
        "only_estimate": f"no counterpart in {reference}",
        "only_reference": f"no counterpart in {estimate}",
    }


def test_what_cannot_be_compared_is_listed_with_the_reason(report: Report) -> None:
    assert report.unscored.keys() == {"broken", "only_estimate", "only_reference"}
    assert "broken.wav" in report.unscored["broken"]
    assert [file.name for file in report.files] == ["a/good", "silent"]


def test_a_silent_file_is_a_counted_skip(report: Report) -> None:
    silent = report.files[1]
    assert silent.scores == {"log_mel": 0.0}
    assert silent.skipped.keys() == set(VOCODING) - {"log_mel"}
    assert "silent" in silent.skipped["pesq_wb"]
    assert report.summary["pesq_wb"].files == 1
    assert report.summary["pesq_wb"].skipped == 1
    assert report.summary["log_mel"].files == 2


def test_the_difference_in_length_is_reported(report: Report) -> None:
    good = report.files[0]
    assert good.extra_samples == -100
    assert good.seconds == pytest.approx((speech().shape[-1] - 100) / RATE)
    assert good.scores["f0_rmse"] == pytest.approx(0.0, abs=0.5)  # a gain, no shift


def test_different_rates_meet_at_the_lower_one(tmp_path: Path) -> None:
    audio = speech()
    low = write(tmp_path / "low.wav", resample_soxr(audio, RATE, 16000), 16000)
    high = write(tmp_path / "high.wav", audio)
    for reference, estimate in ((low, high), (high, low)):
        score = Scoring(metrics=["log_mel", "pesq_wb"]).score(ScoredPair("x", reference, estimate))
        assert score.sample_rate == 16000
        assert score.scores["log_mel"] < 0.02
        assert score.scores["pesq_wb"] > 4.5


def test_channels_are_scored_one_by_one(tmp_path: Path) -> None:
    """Swapped channels have the same downmix, and are wrong."""
    audio = speech()
    left_right = torch.cat([audio, audio.flip(-1)])
    straight = write(tmp_path / "straight.wav", left_right)
    swapped = write(tmp_path / "swapped.wav", left_right.flip(0))
    mono = write(tmp_path / "mono.wav", audio)
    scores = [
        Scoring(metrics=["log_mel"]).score(ScoredPair("x", straight, estimate)).scores["log_mel"]
        for estimate in (straight, swapped)
    ]
    assert scores[0] == 0.0
    assert scores[1] > 1.0
    with pytest.raises(AudioError, match="1 channels, its reference has 2"):
        Scoring().score(ScoredPair("x", straight, mono))


def test_too_little_in_common_cannot_be_compared(tmp_path: Path) -> None:
    long, short = speech(), speech()[:, :2000]
    pair = ScoredPair("x", write(tmp_path / "l.wav", long), write(tmp_path / "s.wav", short))
    with pytest.raises(AudioError, match=r"under 0\.1 s"):
        Scoring().score(pair)


def test_evaluation_is_deterministic(folders: tuple[Path, Path], report: Report) -> None:
    assert evaluate(*folders) == report


def test_json_holds_scores_definitions_and_versions(report: Report, tmp_path: Path) -> None:
    evaluation = Evaluation(reference=Path("ref"), reports={"a": report, "b": report})
    evaluation.save(tmp_path / "scores.json")
    everything = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert "bootstrap" in everything["statistics"]
    assert everything["paired_tests"]["log_mel"][0]["difference"] == 0.0
    content = everything["systems"]["a"]
    assert tuple(content["metrics"]) == VOCODING
    for name, entry in content["metrics"].items():
        assert entry["definition"] == METRICS[name].definition
        assert entry["better"] in entry["definition"]
    assert {"vocoder", "torch", "pesq", "soxr"} <= content["versions"].keys()
    assert content["versions"]["torch"] == torch.__version__
    assert content["summary"]["log_mel"]["mean"] == report.summary["log_mel"].mean
    assert sorted(path.name for path in tmp_path.glob("scores*")) == ["scores.csv", "scores.json"]
    assert Evaluation.load(tmp_path) == Evaluation.load(tmp_path / "scores.json") == evaluation


def test_a_cutoff_selects_the_metrics_of_bandwidth_extension(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    report = evaluate(*folders, Scoring(cutoff=4000.0))
    assert tuple(report.metrics) == EXTENSION
    at_cutoff = {name for name, about in report.metrics.items() if about.get("cutoff") == "4000 Hz"}
    assert at_cutoff == {"lsd_high", "snr_low"}
    good, silent = report.files
    assert good.scores.keys() == set(EXTENSION)
    assert good.scores["snr_low"] == pytest.approx(20.0, abs=0.1)  # of a gain of 0.9
    assert "silent below 4000 Hz" in silent.skipped["snr_low"]
    evaluation = Evaluation(reference=Path("ref"), reports={"a": report})
    evaluation.save(tmp_path / "scores.json")
    assert Evaluation.load(tmp_path) == evaluation


def test_a_metric_is_skipped_if_the_cutoff_is_above_the_band(folders: tuple[Path, Path]) -> None:
    report = evaluate(*folders, Scoring(metrics=["lsd", "lsd_high"], cutoff=16000.0))
    assert report.summary.keys() == {"lsd"}
    assert all("above the cutoff 16000 Hz" in file.skipped["lsd_high"] for file in report.files)


def test_the_command_takes_a_cutoff_and_metrics(
    folders: tuple[Path, Path], vocoder_command: Callable[..., Any]
) -> None:
    result = vocoder_command("evaluate", *folders, "--cutoff", "4000", "--markdown")
    assert result.out.startswith(
        "| system | log-mel L1 (Np) ↓ | PESQ-wb ↑ | high band (dB) ↓ | LSD ↓ |"
    )
    assert "narrow band up to 4000 Hz" in result.out
    result = vocoder_command("evaluate", *folders, "--metrics", "lsd,log_mel", "--markdown")
    assert result.out.startswith("| system | log-mel L1 (Np) ↓ | LSD ↓ |\n")
    result = vocoder_command("evaluate", *folders, "--metrics", "lsd_high")
    assert (result.code, result.err.count("\n")) == (2, 1)
    described = re.findall(r"\w+", vocoder_command("evaluate", "--list-metrics").out)
    assert METRICS.keys() <= set(described)


def test_csv_has_a_row_per_file(report: Report, tmp_path: Path) -> None:
    Evaluation(reference=Path("ref"), reports={"a": report}).save(tmp_path / "scores")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"a/good", "silent", *report.unscored}
    assert float(rows["a/good"]["pesq_wb"]) == report.files[0].scores["pesq_wb"]
    assert rows["silent"]["pesq_wb"] == ""
    assert "pesq_wb: " in rows["silent"]["skipped"]
    assert rows["broken"]["skipped"] == report.unscored["broken"]


def scored(values: list[float]) -> Report:
    files = tuple(
        FileScore(
            name=f"{n}", sample_rate=1, seconds=1.0, extra_samples=0, scores={"x": v}, skipped={}
        )
        for n, v in enumerate(values)
    )
    return Report(metrics={"x": {}}, versions={}, files=files, unscored={})


def test_the_interval_is_about_the_mean() -> None:
    values = [0.3, 0.1, 0.4, 0.1, 0.5, 0.9]
    summary = scored(values).summary["x"]
    assert summary.mean == pytest.approx(statistics.fmean(values))
    assert summary.low is not None
    assert summary.high is not None
    assert min(values) < summary.low < summary.mean < summary.high < max(values)
    assert scored([0.3]).summary["x"][1:3] == (None, None)


def test_a_score_that_is_no_number_is_skipped(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = METRICS["log_mel"].__class__(
        label="", unit="", better="lower", decimals=1, score=lambda *_: math.nan
    )
    monkeypatch.setitem(METRICS, "log_mel", broken)
    report = evaluate(*folders, Scoring(metrics=["log_mel"]))
    assert report.summary == {}
    assert all("finite" in file.skipped["log_mel"] for file in report.files)


def test_user_errors_name_the_fix(folders: tuple[Path, Path], tmp_path: Path) -> None:
    reference, estimate = folders
    with pytest.raises(ConfigError, match=r"unknown metrics \['mcc'\]; choose from .*'pesq_wb'"):
        evaluate(reference, estimate, Scoring(metrics=["mcc"]))
    with pytest.raises(ConfigError, match="LSD high is measured at the cutoff"):
        evaluate(reference, estimate, Scoring(metrics=["lsd_high"]))
    with pytest.raises(ConfigError, match="cutoff is 0 Hz"):
        evaluate(reference, estimate, Scoring(cutoff=0.0))
    with pytest.raises(AudioError, match="not there"):
        evaluate(reference, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="pair up by relative path without suffix"):
        evaluate(reference, tmp_path / "empty")
    (tmp_path / "torn.json").write_text('{"metrics": {}')
    with pytest.raises(ConfigError, match=r"torn\.json: no scores of vocoder evaluate"):
        Evaluation.load(tmp_path / "torn.json")


def test_files_may_be_scored_in_any_order(folders: tuple[Path, Path], report: Report) -> None:
    def backwards(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for index in reversed(range(len(items))):
            yield index, work(items[index])

    assert evaluate(*folders, each=backwards) == report


def test_two_files_are_a_pair(folders: tuple[Path, Path], tmp_path: Path) -> None:
    one = write(tmp_path / "one.wav", speech())
    other = write(tmp_path / "other.wav", 0.5 * speech())
    (file,) = evaluate(one, other, Scoring(metrics=["log_mel"])).files
    assert (file.reference, file.estimate) == (str(one), str(other))
    with pytest.raises(AudioError, match="two folders or two files"):
        evaluate(one, folders[1])


def noisy(seconds: float, level: float = 0.1, seed: int = 0) -> Tensor:
    return level * torch.randn(1, round(seconds * RATE), generator=torch.manual_seed(seed))


def test_a_nearly_silent_reference_is_a_counted_skip(tmp_path: Path) -> None:
    """16-bit dither: its scores are numbers, in the thousands, and mean nothing."""
    write(tmp_path / "ref/a.wav", noisy(1.0, level=2e-5))
    write(tmp_path / "ref/b.wav", speech())
    write(tmp_path / "est/a.wav", speech()[:, :RATE])
    write(tmp_path / "est/b.wav", speech())
    report = evaluate(tmp_path / "ref", tmp_path / "est")
    assert report.files[0].scores.keys() == {"log_mel"}
    assert "the reference is silent" in report.files[0].skipped["stft"]
    assert report.summary["stft"].mean == pytest.approx(0.0, abs=1e-6)
    assert (report.summary["stft"].files, report.summary["stft"].skipped) == (1, 1)


@pytest.mark.parametrize("seconds", [0.5, 1.5, 5.0])
@pytest.mark.parametrize("share", [0.8, 1.25])
def test_an_estimate_of_another_length_says_so(
    seconds: float, share: float, tmp_path: Path, vocoder_command: Callable[..., Any]
) -> None:
    audio = noisy(6.25)
    write(tmp_path / "ref/a.wav", audio[:, : round(seconds * RATE)])
    write(tmp_path / "est/a.wav", audio[:, : round(share * seconds * RATE)])
    scores = ("--metrics", "lsd", "-o", tmp_path / "scores.json")
    result = vocoder_command("evaluate", tmp_path / "ref", tmp_path / "est", *scores)
    text = " ".join(result.out.split())
    gap = Evaluation.load(tmp_path / "scores.json").reports["est"].gaps["a"]
    assert gap == pytest.approx(1.0 - share)
    if share < 1.0:
        assert "est: 1 of 1 files lack up to 20% of the reference (a)" in text
    else:
        assert "est: 1 of 1 files are up to 25% longer" in text
        assert "are the folders swapped?" in text


@pytest.mark.parametrize(("seconds", "lost"), [(0.5, 900), (3.0, 2048), (30.0, 4000), (3.0, -2048)])
def test_a_window_at_the_end_is_no_gap(seconds: float, lost: int) -> None:
    kept = round(seconds * RATE) - max(0, lost)
    score = FileScore(
        name="a", sample_rate=RATE, seconds=kept / RATE, extra_samples=-lost, scores={}, skipped={}
    )
    assert score.gap == 0.0


def test_a_name_that_two_files_have_is_skipped_and_the_rest_scored(
    folders: tuple[Path, Path], vocoder_command: Callable[..., Any]
) -> None:
    reference, estimate = folders
    two = (write(estimate / "silent.flac", torch.zeros(1, RATE)), estimate / "silent.wav")
    report = evaluate(reference, estimate, Scoring(metrics=["log_mel"]))
    assert [file.name for file in report.files] == ["a/good"]
    named = f"{two[0]} and {two[1]} have the same name"
    assert report.unscored["silent"] == f"{named}; keep one of them"
    result = vocoder_command("evaluate", reference, estimate, "--metrics", "log_mel")
    assert result.code == 2
    assert "estimate: 4 files are not scored" in " ".join(result.out.split())


def test_links_that_lead_nowhere_are_named(folders: tuple[Path, Path]) -> None:
    reference, estimate = folders
    (estimate / "gone.wav").symlink_to(estimate / "nothing.wav")
    report = evaluate(reference, estimate, Scoring(metrics=["log_mel"]))
    assert f"{estimate}/gone.wav is a link that leads nowhere" in report.unscored["gone.wav"]


def test_folders_that_do_not_pair_show_names_and_the_fix(tmp_path: Path) -> None:
    write(tmp_path / "ref/a/x.wav", noisy(0.2))
    write(tmp_path / "est/y.wav", noisy(0.2))
    with pytest.raises(AudioError, match=r"pair up .*: such as y and a/x$"):
        evaluate(tmp_path / "ref", tmp_path / "est")
    write(tmp_path / "est/x.wav", noisy(0.2))
    with pytest.raises(AudioError, match=r"est/x\.wav and .*a/x\.wav have one name in different"):
        evaluate(tmp_path / "ref", tmp_path / "est")


def test_what_is_no_evaluation_is_named(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for text in ('{"systems": 1}', '{"systems": {"a": {}}, "reference": ""}', "[]", "null"):
        (tmp_path / "wrong.json").write_text(text)
        for name in ("deep", "wrong"):
            with pytest.raises(ConfigError, match=rf"{name}\.json: no scores of vocoder evaluate"):
                Evaluation.load(tmp_path / f"{name}.json")


def test_a_folder_named_by_a_dot_saves_by_its_name(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vocoder_command: Callable[..., Any],
) -> None:
    reference, estimate = folders
    monkeypatch.chdir(estimate)
    scores = tmp_path / "scores.json"
    vocoder_command("evaluate", reference, ".", "--metrics", "log_mel", "-o", scores)
    assert Evaluation.load(scores).reports.keys() == {"estimate"}


def test_what_detectors_cannot_examine_is_still_scored(tmp_path: Path) -> None:
    for folder in ("ref", "est"):
        write(tmp_path / folder / "a.wav", noisy(1.0), 6000)
    scoring = Scoring(metrics=["log_mel"], artefacts=True)
    report = evaluate(tmp_path / "ref", tmp_path / "est", scoring)
    assert report.files[0].scores == {"log_mel": 0.0}
    assert "from 8,000 Hz up" in report.files[0].skipped["artefact detection"]
