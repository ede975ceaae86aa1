"""The sounds and warnings that a run keeps, and the page that shows runs."""

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import read_audio, write_audio
from vocoder.training.guards.lock import locked
from vocoder.training.reporting.monitor import Monitor
from vocoder.training.reporting.samples import Samples
from vocoder.training.reporting.validation import ValidationClip
from vocoder.training.runs.folder import read_run
from vocoder.training.runs.report.pace import duration, pace
from vocoder.training.runs.report.page import write_report
from vocoder.training.runs.report.reading import find_reference, reported_runs

from .test_runs import write_run

MEL = MelSpectrogram(MelSpec.preset("hifigan_22k_80"))
CLIPS = [
    ValidationClip(name, torch.full((2000,), 0.5), torch.full((2000,), 0.25))
    for name in ("lj/a b", "lj/c", "x/d")
]


def monitor(folder: Path, *, first: int, clips: int = 2) -> Monitor:
    samples = Samples(folder, clips=clips, every=10, first=first)
    return Monitor(folder, [], samples, first=first, last=200, console=Console(quiet=True))


def kept(folder: Path) -> list[int]:
    return sorted(int(path.stem[5:]) for path in folder.glob("samples/0-*/step-*.flac"))


def test_of_any_number_of_validations_a_few_are_kept_as_sound(tmp_path: Path) -> None:
    with monitor(tmp_path, first=0) as reports:
        for step in range(0, 120, 10):
            reports.validation(step, {"log_mel": 1.0}, CLIPS, MEL)
        reports.validation(113, {"log_mel": 1.0}, CLIPS, MEL)  # after the last step
    assert kept(tmp_path) == [0, 10, 20, 40, 80, 113]
    names = ["0-lj-a-b", "1-lj-c"]
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == names
    for name, level in (("recording", 0.5), ("step-000000080", 0.25)):
        audio, rate = read_audio(tmp_path / "samples" / names[0] / f"{name}.flac")
        assert (rate, audio.unique().tolist()) == (22050, [pytest.approx(level, abs=1e-4)])
    with monitor(tmp_path, first=40) as reports:  # resumed: what it repeats is gone
        assert kept(tmp_path) == [0, 10, 20, 40]
        reports.validation(50, {"log_mel": 1.0}, CLIPS, MEL)
    assert kept(tmp_path) == [0, 10, 20, 40, 50]
    shutil.rmtree(tmp_path / "samples")
    with monitor(tmp_path, first=0, clips=0) as reports:
        reports.validation(10, {"log_mel": 1.0}, CLIPS, MEL)
    assert not (tmp_path / "samples").exists()


def test_what_the_log_warns_of_is_kept_with_its_step(tmp_path: Path) -> None:
    log = logging.getLogger("vocoder.somewhere")
    with monitor(tmp_path, first=0) as reports:
        for step in (1, 2):
            reports.advance(step)
            log.warning("clip %d is odd", step)
        reports.losses(2, {"mel": 1.0}, {}, ["tips over"])
    log.warning("not of this run")
    found = [(each.step, each.words) for each in reported_runs([tmp_path])[0].warnings]
    assert found == [(1, "clip 1 is odd"), (2, "clip 2 is odd"), (2, "step 2: tips over")]
    with monitor(tmp_path, first=1):
        pass
    assert [each.step for each in reported_runs([tmp_path])[0].warnings] == [1]


def test_samples_that_are_not_finite_are_said_and_shown_as_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = torch.full((2000,), 0.25)
    fake[:3] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    with monitor(tmp_path, first=0) as reports:
        reports.validation(10, {}, [ValidationClip("lj/a", CLIPS[0].real, fake)], MEL)
    audio, _ = read_audio(tmp_path / "samples" / "0-lj-a" / "step-000000010.flac")
    assert audio[0, :4].tolist() == [0.0, 0.0, 0.0, pytest.approx(0.25, abs=1e-4)]
    assert "step 10: 3 of 2000 generated samples of lj/a are NaN or infinite" in caplog.text


def whole_run(folder: Path, **config: Any) -> Path:
    """A run with losses, discriminators, scores, sounds, warnings and a session."""
    write_run(folder, {10: 0.9, 20: 0.5, 30: 0.4}, **config)
    with (folder / "curve.jsonl").open("a") as file:
        for step in range(1, 30):
            values = {"mel": 1 / step, "real/mpd.0": 0.5, "share/mpd.0": 1.0, "data_wait": 0.01}
            line = {"step": step, "train": {**values, "steps_per_second": 2.0, "skipped_crops": 3}}
            file.write(json.dumps(line) + "\n")
    for index in range(2):
        clip = folder / "samples" / f"{index}-clip"
        for name, level in (("recording", 0.5), ("step-000000010", 0.2), ("step-000000030", 0.4)):
            noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(index))
            write_audio(clip / f"{name}.flac", level * noise.clamp(-1, 1), 22050)
    (folder / "warnings.jsonl").write_text('{"step": 3, "warning": "</script><b>"}\n')
    session = {
        "started": "2026-01-02T03:04:05+00:00",
        "first_step": 0,
        "command": "vocoder train <x>",
        "git": {"package": {"commit": "0123456789abcdef", "dirty": True}},
        "versions": {"vocoder": "9.9"},
        "machine": {"cpu": "a cpu", "gpu": None, "processes": 2},
    }
    record = {"sessions": [session, {**session, "changed": {"seed": [1, 2]}}, "damaged"]}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_page_shows_runs_beside_each_other(tmp_path: Path) -> None:
    whole_run(tmp_path / "m" / "0", seed=1)
    whole_run(tmp_path / "m" / "1", seed=2)
    said = write_report(tmp_path / "r.html", [tmp_path / "m"])
    assert said[0].startswith(
        "0: stopped, 30 of 100 steps at 2 a second; the rest takes about 35 s."
    )
    assert "recipe demo" in said[0] and "ahead" in said[0]
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count('<article class="clip"') == 2
    assert len(re.findall(r'type="application/json" id="sound-\d-\d"', page)) == 2 * 5
    words = ("&lt;/script&gt;&lt;b&gt;", "0123456789, changed files", "2 processes", "seed: 1 → 2")
    for text in (*words, "3 crops were taken from other clips", "Sub-discriminators of 1"):
        assert text in page, text
    assert re.search(r"<code>seed</code></th><td>1</td><td>2</td>", page)
    assert "<b>" not in page.replace("</script><b>", "") and "vocoder train &lt;x&gt;" in page
    # Nothing is fetched: every address is inside the page or a name of XML.
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(\w+:[^"\')]{0,30})', page)
    assert all(each.startswith(("data:", "http://www.w3.org/")) for each in addresses)


def test_whatever_can_be_read_of_damaged_and_old_runs_is_shown(tmp_path: Path) -> None:
    damages = [
        ("run.json", '{"a', "run.json: cannot be read; remove it to go on without it"),
        ("run.json", None, "it has no run.json, so how it was started is not known"),
        ("config.yaml", "{[", "config.yaml: cannot be read"),
        ("curve.jsonl", "x\n", "not a curve.jsonl of vocoder train; it has reported nothing yet"),
        ("warnings.jsonl", "[]\n", "1 damaged lines of warnings.jsonl are left out"),
        ("samples/0-clip/step-000000010.flac", "fLaC", "000000010.flac: cannot read audio"),
        ("samples", None, "kept no sounds (trainer.sample_clips=0, or a run of an earlier"),
    ]
    whole = whole_run(tmp_path / "whole")
    for number, (file, content, _) in enumerate(damages):
        run = tmp_path / "runs" / str(number)
        shutil.copytree(whole, run)
        if content is not None:
            (run / file).write_text(content)
        elif (run / file).is_dir():
            shutil.rmtree(run / file)
        else:
            (run / file).unlink()
    said = write_report(tmp_path / "r.html", [tmp_path / "runs"])
    assert [line.partition(":")[0] for line in said] == [str(n) for n in range(len(damages))]
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for _, _, words in damages:
        assert words in page, words


def test_reference_is_that_of_the_recipe_for_the_system(tmp_path: Path) -> None:
    tuned = {"max_steps": 9, "init_from": "default"}
    for name, config, recipe in (
        ("a", {}, "demo"),
        ("b", {"name": "band_filler_48k"}, "band_filler_48k"),
        ("c", {"name": "source_filter_22k", "trainer": tuned}, "fine_tuning"),
    ):
        found = find_reference(read_run(write_run(tmp_path / name, {1: 1.0}, **config)))
        assert found is not None and found.path.parent.name == recipe
    other = write_run(tmp_path / "d", {1: 1.0}, name="mine")
    assert find_reference(read_run(other)) is None
    (said,) = write_report(tmp_path / "r.html", [other])
    assert "No recipe has a curve of mine; --reference CURVE compares with another" in said


def test_pace_in_words(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, {50: 0.5}))
    assert pace(run) == "stopped, 50 of 100 steps at 2.5 a second; the rest takes about 20 s"
    with locked(tmp_path):
        assert pace(run).startswith("running, 50 of 100 steps")
    done = read_run(write_run(tmp_path / "b", {100: 0.5}))
    assert pace(done) == "finished, 100 of 100 steps at 2.5 a second"
    assert [duration(s) for s in (5400.0, 90000.0, 1e6)] == [
        "1 h 30 min",
        "25 h 0 min",
        "11 d 13 h",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/none", "-o", "{}/r.html"], "none: no such folder"),
        (["{}", "-o", "{}/r.html"], "no run of vocoder train there"),
        (["{}", "-o", "{}/r.pdf"], "r.pdf: a report is a page; choose a name that ends in .html"),
    ],
)
def test_wrong_input_of_the_report_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, vocoder_command: Callable[..., Any]
) -> None:
    result = vocoder_command("report", *(each.format(tmp_path) for each in arguments))
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert message in result.err
