"""Runs: the record in their folder, and `vocoder runs`, which lists, compares and draws them."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from vocoder.errors import ConfigError
from vocoder.training.guards.lock import is_locked, locked
from vocoder.training.runs.comparison import standing
from vocoder.training.runs.folder import Curve, read_curve, read_run
from vocoder.training.runs.record import git_state

from ..conftest import settings, trainer

# ------------------------------------------------------------------------------------- the record


@pytest.mark.usefixtures("blank_pictures")
def test_record_has_a_session_for_each_start(manifest: Path, tmp_path: Path) -> None:
    for steps in (1, 2):
        values = settings("demo", manifest, tmp_path, f"trainer.max_steps={steps}")
        assert trainer(values).run() == 0
        assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == values
    record = json.loads((tmp_path / "run.json").read_text())
    first, second = record["sessions"]
    assert (first["first_step"], second["first_step"]) == (0, 1)
    assert second["changed"] == {"trainer.max_steps": [1, 2]}
    assert first["versions"].keys() == {"python", "vocoder", "torch", "numpy"}
    assert (first["seed"], first["machine"]["device"], first["machine"]["gpu"]) == (0, "cpu", None)
    run = read_run(tmp_path)
    assert (run.system, run.step, run.max_steps, run.state) == ("demo", 2, 2, "finished")
    assert run.speed is not None and run.speed > 0.0


def test_git_state_is_that_of_the_repository(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    assert git_state(tmp_path) == {
        "commit": None,
        "dirty": None,
        "reason": "not in a git repository",
    }
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    assert git_state(tmp_path, tracked="a")["reason"] == "not in a git repository"  # not its code
    git("add", "a")
    git("commit", "-q", "-m", "a")
    (tmp_path / "untracked").touch()
    state = git_state(tmp_path, tracked="a")
    assert len(state["commit"]) == 40 and state["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {**state, "dirty": True}


def test_damaged_record_is_an_error_before_the_first_step(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"sessions": [')
    values = settings("demo", manifest, tmp_path, "trainer.max_steps=1")
    with pytest.raises(ConfigError, match=r"run\.json: cannot be read; remove it"):
        trainer(values).run()
    assert not (tmp_path / "curve.jsonl").exists()


def test_lock_of_another_process_is_seen_and_not_taken(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    code = (
        "import sys; from pathlib import Path; from vocoder.training.guards.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert is_locked(tmp_path)
        process.communicate()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


# ------------------------------------------------------------------------------------- the curves


def write_run(folder: Path, scores: Mapping[int, float], **config: Any) -> Path:
    """A folder as a run leaves it, with a log-mel score, and a PESQ of 4 minus it, by step."""
    (folder / "states").mkdir(parents=True)
    lines = [
        {"step": step, "valid": {"log_mel": score, "pesq": 4.0 - score}}
        for step, score in scores.items()
    ]
    lines.append({"step": max(scores), "train": {"mel": 1.0, "steps_per_second": 2.5}})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "curve.jsonl").write_text(text)
    trainer_settings = {"max_steps": 100, "best_metric": "log_mel", "output": str(folder)}
    values = {"name": "demo", "trainer": trainer_settings, **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return folder


def curve(**scores: Mapping[int, float]) -> Curve:
    valid: dict[int, dict[str, float]] = {}
    for name, values in scores.items():
        for step, value in values.items():
            valid.setdefault(step, {})[name] = value
    return Curve({}, valid)


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.81, "log_mel 0.81 at step 4,000; reference 0.78: within 10 %, on course"),
        (0.60, "log_mel 0.6 at step 4,000; reference 0.78: 23 % better, ahead"),
        (0.95, "22 % worse, behind (it was there at step 3,000)"),
        (9.00, "1054 % worse, behind (it was there at step 1,000)"),
    ],
)
def test_standing_is_said_in_words(score: float, words: str) -> None:
    reference = curve(log_mel={1000: 2.0, 3000: 0.86, 5000: 0.70})
    found = standing(curve(log_mel={10: 3.0, 4000: score}), reference, "log_mel")
    assert words in found.words
    assert found.reference == pytest.approx(0.78)


def test_of_pesq_higher_is_better_and_a_finished_reference_is_said() -> None:
    found = standing(curve(pesq={900: 3.0}), curve(pesq={100: 2.0, 500: 2.5}), "pesq")
    assert (
        found.words == "pesq 3 at step 900; reference 2.5 at its end, step 500: 20 % better, ahead"
    )
    found = standing(curve(pesq={900: 1.0}), curve(pesq={1000: 2.0}), "pesq")
    assert found.words == (
        "pesq 1 at step 900; reference 2 at its first, step 1,000: 50 % worse, behind "
        "(it was there at step 1,000)"
    )
    with pytest.raises(ConfigError, match="reference has no lsd; it has pesq"):
        standing(curve(lsd={1: 1.0}), curve(pesq={1: 2.0}), "lsd")


def test_line_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    whole = '{"step": 5, "valid": {"log_mel": 0.5}}\n'
    path.write_text(whole + '{"step": 6, "va')
    assert (read_curve(path).scores("log_mel"), read_curve(path).damaged) == ({5: 0.5}, 0)
    path.write_text("nonsense\n[1]\n" + whole)
    assert read_curve(path).damaged == 2
    path.write_text("name,value\n")
    with pytest.raises(ConfigError, match=r"curve\.jsonl: not a curve\.jsonl of vocoder train"):
        read_curve(path)


# ------------------------------------------------------------------------------------ the command


def test_list_finds_runs_at_any_depth(tmp_path: Path, vocoder_command: Callable[..., Any]) -> None:
    write_run(tmp_path / "x" / "a", {10: 0.5, 20: 0.4, 30: 0.6})
    write_run(tmp_path / "b", {100: 0.2})
    result = vocoder_command("runs", tmp_path, "--json")
    assert result.code == 0
    b, a = json.loads(result.out)
    assert (a["run"], a["state"], a["step"]) == (str(tmp_path / "x" / "a"), "stopped", 30)
    assert a["best"] == {"step": 20, "log_mel": 0.4}
    assert a["last"] == {"step": 30, "log_mel": 0.6, "pesq": 3.4}
    assert (a["steps_per_second"], a["max_steps"], b["state"]) == (2.5, 100, "finished")
    with locked(tmp_path / "x" / "a"):
        result = vocoder_command("runs", tmp_path, "--reference", tmp_path / "b" / "curve.jsonl")
    assert "running" in result.out
    assert "log_mel 0.6 at step 30; reference 0.2 at its first, step 100: 200 % worse" in result.out


def test_compare_shows_settings_and_scores_at_equal_steps(
    tmp_path: Path, vocoder_command: Callable[..., Any]
) -> None:
    a = write_run(tmp_path / "a", {10: 0.5, 20: 0.4}, seed=0, optim={"lr": 1e-3, "ema": 0.9})
    b = write_run(tmp_path / "b", {20: 0.3, 40: 0.2}, seed=0, optim={"lr": 1e-4, "ema": 0.9})
    facts = json.loads(vocoder_command("runs", "compare", a, b, "--json").out)
    assert facts["settings"] == {"optim.lr": [1e-3, 1e-4]}
    assert facts["scores"]["log_mel"] == {"20": [0.4, 0.3]}
    assert facts["best"]["pesq"] == [[20, 3.6], [40, 3.8]]
    table = vocoder_command("runs", "compare", a, b).out
    assert "optim.lr" in table and "0.2 at 40" in table


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".html", b"<!doctype html>")])
def test_plot_writes_a_picture_or_a_page(
    suffix: str, begin: bytes, tmp_path: Path, vocoder_command: Callable[..., Any]
) -> None:
    run, path = write_run(tmp_path / "a", {10: 0.5, 20: 0.4}), tmp_path / f"curves{suffix}"
    reference = run / "curve.jsonl"
    result = vocoder_command(
        *("runs", "plot", run, "-o", path, "--metrics", "log_mel", "--reference", reference)
    )
    assert (result.code, "within 10 %" in result.out) == (0, True)
    assert path.read_bytes().startswith(begin)
    if suffix == ".html":
        assert b"<svg" in path.read_bytes() and b"within 10 %" in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/none"], "none: no such folder"),
        (["{}/empty"], "empty: no run of vocoder train there"),
        ([], "no folder runs or multirun here; name the folders with runs"),
        (["compare", "{}/a"], "compare needs two runs or more"),
        (["compare", "{}/a", "{}/no"], "no: no such run"),
        (["compare", "{}/a", "{}/empty"], "empty: no run of vocoder train (neither run.json"),
        (["plot", "{}/a", "-o", "x.gif"], "x.gif: choose a name that ends in .png, .svg"),
        (["plot", "{}/a", "-o", "x.png", "--metrics", "lsd"], "no run has the score lsd; they"),
        (["{}/a", "--reference", "{}/no"], "no: cannot be read (No such file or directory)"),
        (["{}/a", "--reference", "{}/a/curve.jsonl", "--metric", "lsd"], "run has no lsd; it has"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    vocoder_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_run(tmp_path / "a", {10: 0.5})
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = vocoder_command("runs", *(each.format(tmp_path) for each in arguments))
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert message in result.err


# ----------------------------------------------------------------------------- several trainings


def test_failing_job_does_not_keep_the_next_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from hydra.core.hydra_config import HydraConfig

    from vocoder.errors import VocoderError
    from vocoder.training import run

    ran: list[str] = []

    def train(config: Any) -> None:
        ran.append(HydraConfig.get().runtime.output_dir)
        if config.seed == 2:
            raise ConfigError("no such thing")

    monkeypatch.setattr(run, "_train", train)
    handlers = list(logging.getLogger().handlers)
    arguments = ["-m", "system=demo", "data.manifest=m", "seed=1,2,3"]
    try:
        with pytest.raises(
            VocoderError, match=r"1 of 3 trainings failed: .*/1 \(.*seed=2"
        ) as error:
            run.main([*arguments, f"trainer.output={tmp_path}"])
    finally:
        logging.getLogger().handlers[:] = handlers
    assert ran == [str(tmp_path / name) for name in "012"]
    assert str(error.value).endswith(": no such thing")
