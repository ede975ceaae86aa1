"""`vocoder evaluate` as users run it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vocoder.evaluation.comparison import Evaluation
from vocoder.io.audio import read_audio, write_audio

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
Command = Callable[..., Any]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Recordings, a copy at another level, and a copy that is late; one lacks its counterpart."""
    audio, rate = read_audio(CLIPS / "nathalie" / "nl_rhasspy_863.flac")
    for n, begin in enumerate((0, 12000)):
        part = audio[:, begin : begin + 24000]
        write_audio(tmp_path / "ref" / f"{n}.wav", part, rate)
        write_audio(tmp_path / "quiet" / f"{n}.wav", 0.5 * part, rate)
        late = torch.nn.functional.pad(part, (240, 0))
        write_audio(tmp_path / "late" / f"{n}.wav", late, rate)
    (tmp_path / "late" / "1.wav").unlink()
    return tmp_path / "ref", tmp_path / "quiet", tmp_path / "late"


def test_a_folder_has_the_page_and_all_scores(
    folders: tuple[Path, Path, Path], tmp_path: Path, vocoder_command: Command
) -> None:
    output = tmp_path / "report"
    result = vocoder_command("evaluate", *folders, "--metrics", "log_mel,lsd", "-o", output)
    assert result.code == 2
    assert result.err == f"error: late: 1: no counterpart in {folders[2]}\n"
    assert sorted(path.name for path in output.iterdir()) == [
        "index.html",
        "scores.csv",
        "scores.json",
    ]
    found = Evaluation.load(output)
    assert found.reports["late"].delays == {"0": pytest.approx(0.01, abs=1e-4)}
    assert "1 of 1 files are delayed, by up to 10.00 ms (0), which was removed" in result.out
    assert found.reports["late"].files[0].scores["lsd"] < 0.1
    assert len((output / "scores.csv").read_text().splitlines()) == 5
    kept = vocoder_command("evaluate", folders[0], folders[2], "--metrics", "lsd", "--no-align")
    assert "by up to 10.00 ms (0), which was not removed" in kept.out


def test_scores_do_not_depend_on_the_number_of_processes(
    folders: tuple[Path, Path, Path], tmp_path: Path, vocoder_command: Command
) -> None:
    for jobs in ("1", "2"):
        target = tmp_path / f"{jobs}.json"
        vocoder_command("evaluate", *folders, "--frechet", "dsp", "-o", target, "--jobs", jobs)
    for suffix in (".json", ".csv"):
        one, two = (tmp_path / f"{jobs}{suffix}" for jobs in ("1", "2"))
        assert one.read_bytes() == two.read_bytes()


def test_wrong_input_is_one_line(
    folders: tuple[Path, Path, Path], tmp_path: Path, vocoder_command: Command
) -> None:
    reference, estimate, _ = folders
    for arguments, words in (
        ((reference,), "name the folders of one or more systems, or a --model"),
        ((reference, tmp_path / "none"), "not there"),
        ((reference, estimate, "--metrics", "mos"), "unknown metrics ['mos']"),
        ((reference, estimate, "--frechet", "dps"), "dps: no such file"),
        ((reference, "--model", "defalt"), "defalt"),
        ((reference, estimate, "--model", str(estimate)), "two systems are called quiet"),
    ):
        result = vocoder_command("evaluate", *arguments)
        assert (result.code, result.err.count("\n")) == (2, 1), result.err
        assert words in result.err


def test_a_recording_that_cannot_be_extended_costs_only_itself(
    folders: tuple[Path, Path, Path], tmp_path: Path, vocoder_command: Command
) -> None:
    write_audio(folders[0] / "narrow.wav", 0.1 * torch.randn(1, 8000), 8000)
    arguments = ("--model", "resampling", "--cutoff", "4000", "--metrics", "lsd", "--no-artefacts")
    scores = tmp_path / "scores.json"
    result = vocoder_command("evaluate", folders[0], *arguments, "-o", scores)
    assert result.code == 2
    assert result.err.startswith("error: resampling: narrow: a recording at 8000 Hz has nothing")
    assert [file.name for file in Evaluation.load(scores).reports["resampling"].files] == ["0", "1"]


@pytest.mark.slow
def test_models_are_scored_and_timed(
    folders: tuple[Path, Path, Path], tmp_path: Path, vocoder_command: Command
) -> None:
    output, models = tmp_path / "report", ("--model", "default", "--model", "griffin-lim")
    result = vocoder_command(
        "evaluate", folders[0], *models, "--metrics", "log_mel", "-o", output, "--markdown"
    )
    assert result.code == 0
    assert "speed (× real time) ↑" in result.out
    for name, report in Evaluation.load(output).reports.items():
        assert all(file.speed and file.speed > 0.0 for file in report.files)
        assert sorted(path.name for path in (output / "audio" / name).iterdir()) == [
            "0.wav",
            "1.wav",
        ]
    content = json.loads((output / "scores.json").read_text())
    assert content["systems"]["default"]["files"][0]["estimate"].startswith(str(output))


@pytest.mark.slow
def test_extenders_are_scored_on_narrow_copies(
    folders: tuple[Path, Path, Path], tmp_path: Path, vocoder_command: Command
) -> None:
    systems = ("--model", "extender", "--model", "replication", "--model", "resampling")
    scores = tmp_path / "scores.json"
    result = vocoder_command(
        "evaluate", folders[0], *systems, "--cutoff", "4000", "--metrics", "lsd_high", "-o", scores
    )
    assert result.code == 0
    means = {n: r.summary["lsd_high"].mean for n, r in Evaluation.load(scores).reports.items()}
    assert means["extender"] < means["replication"] < means["resampling"]
