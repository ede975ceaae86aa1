"""Runs: what their reports show of their health, and what to change."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.runs.test_runs import write_run
from vocoder.doctor.examination import Examination, Finding
from vocoder.doctor.run import examine_run
from vocoder.errors import ConfigError

HEALTHY = {step: 1.0 / step**0.2 for step in range(10, 310, 10)}


def run(folder: Path, values: Callable[[int], Mapping[str, float]], **config: Any) -> Path:
    """A run that has validated as HEALTHY, with training values by step."""
    write_run(folder, config.pop("scores", HEALTHY), **config)
    with (folder / "curve.jsonl").open("a") as file:
        for step in range(10, 310, 10):
            line = {"mel": 1.0 / step**0.3, "data_wait": 0.01, **values(step)}
            file.write(json.dumps({"step": step, "train": line}) + "\n")
    return folder


def named(found: Examination, name: str) -> list[Finding]:
    return [each for each in found.findings if each.name == name]


def problems(found: Examination) -> set[str]:
    return {each.name for each in found.findings if each.severity == "problem"}


def test_healthy_run_has_no_problems(tmp_path: Path) -> None:
    found = examine_run(run(tmp_path / "a", lambda step: {}))
    assert problems(found) == set()
    assert "healthy" in found.verdict
    assert "from" in named(found, "losses")[0].value


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        (lambda step: {"mel": 0.01 * step}, "losses", "it rises"),
        (lambda step: {"mel": float("nan") if step > 200 else 1.0}, "losses", "not finite in 10"),
        (lambda step: {"data_wait": 0.6}, "loader", "60 % of the time"),
        (
            lambda step: {"real/a.0": 1.0, "fake/a.0": 1.0, "adversarial": float(step)},
            "balance",
            "tell real from fake without error",
        ),
        (lambda step: {"real/a.0": 0.5, "fake/a.0": 0.5}, "balance", "no longer tell"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_change(
    values: Callable[[int], Mapping[str, float]], name: str, words: str, tmp_path: Path
) -> None:
    found = examine_run(run(tmp_path / "a", values))
    assert name in problems(found) and name in found.verdict
    (finding,) = [each for each in named(found, name) if words in each.value]
    assert finding.advice


def test_balance_that_has_recovered_is_a_note(tmp_path: Path) -> None:
    spike = run(tmp_path / "a", lambda step: {"mel": 50.0 if step == 150 else 1.0 - step / 1000})
    found = examine_run(spike)
    assert problems(found) == set()
    (balance,) = named(found, "balance")
    assert "at step 150: mel is 50" in balance.value


def test_over_fitting_is_told_from_a_run_that_still_learns(tmp_path: Path) -> None:
    scores = {step: 0.3 + 0.001 * abs(step - 100) for step in HEALTHY}
    found = examine_run(run(tmp_path / "a", lambda step: {}, scores=scores))
    (validation,) = named(found, "validation")
    assert validation.severity == "problem"
    assert "0.3 at best, at step 100" in validation.value and "over-fits" in validation.value


def test_warnings_of_the_log_are_counted_by_kind(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lambda step: {})
    lines = [
        {"step": 5, "warning": "step 6 skipped, nothing is changed: gradient norms are nan"},
        {"step": 8, "warning": "step 9 skipped, nothing is changed: gradient norms are nan"},
        {"step": 9, "warning": "x.flac: skipped, another crop takes its place (damaged)"},
    ]
    (folder / "warnings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = examine_run(folder)
    (steps,) = named(found, "non-finite steps")
    assert steps.value.startswith("2, the last at step 8") and steps.severity == "problem"
    (clips,) = named(found, "unreadable clips")
    assert clips.severity == "note" and "x.flac" in clips.value


def test_place_beside_a_reference_and_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = {"max_steps": 1000, "best_metric": "log_mel"}
    folder = run(tmp_path / "a", lambda step: {}, name="mine", trainer=trainer)
    better = tmp_path / "curve.jsonl"
    line = {"step": 300, "valid": {"log_mel": 0.5 * HEALTHY[300]}}
    better.write_text(json.dumps(line) + "\n")
    (reference,) = named(examine_run(folder, reference=better), "reference")
    assert reference.severity == "note" and "behind" in reference.value
    (folder / "states").mkdir(exist_ok=True)
    (folder / "states" / "step-000000300.pt").write_bytes(b"0" * 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2000))
    assert "disk" in problems(examine_run(folder))


def test_a_folder_without_a_run_or_with_several_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run of vocoder train there"):
        examine_run(tmp_path)
    for name in "ab":
        run(tmp_path / name, lambda step: {})
    with pytest.raises(ConfigError, match="holds 2 runs"):
        examine_run(tmp_path)
