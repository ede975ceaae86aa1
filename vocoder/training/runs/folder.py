"""The folder of a run, read: its settings, curve and state, without the packages that train."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vocoder.errors import ConfigError
from vocoder.training.guards.lock import is_locked
from vocoder.training.runs.settings import read_settings

RECORD_NAME, CURVE_NAME, WARNINGS_NAME = "run.json", "curve.jsonl", "warnings.jsonl"
STARVED = 0.2  # share of time waiting for data above which the loader is the bottleneck
RISING = ("pesq",)  # validation scores that are better when higher; of all others, lower is better


@dataclass(frozen=True)
class Curve:
    """What a run has reported by step: training values, and validation scores."""

    train: Mapping[int, Mapping[str, float]]
    valid: Mapping[int, Mapping[str, float]]
    damaged: int = 0
    """Lines that are no report."""

    def scores(self, metric: str) -> dict[int, float]:
        """Values of a validation score by step, in order of steps."""
        return {
            step: self.valid[step][metric]
            for step in sorted(self.valid)
            if metric in self.valid[step]
        }

    def training(self, name: str) -> dict[int, float]:
        """Values of a training value by step, in order of steps."""
        return {
            step: self.train[step][name] for step in sorted(self.train) if name in self.train[step]
        }

    @property
    def training_names(self) -> list[str]:
        """Names of the training values, in the order of the reports."""
        return list(dict.fromkeys(name for values in self.train.values() for name in values))

    def best(self, metric: str) -> tuple[int, float] | None:
        """The step and value of the best validation by a score; None if there is none."""
        pairs = self.scores(metric).items()
        choose = max if metric in RISING else min
        return choose(pairs, key=lambda pair: pair[1]) if pairs else None

    @property
    def metrics(self) -> list[str]:
        """Names of the validation scores."""
        return sorted({name for scores in self.valid.values() for name in scores})

    @property
    def last_step(self) -> int:
        """The newest step of which there is a report; 0 if there is none."""
        return max((*self.train, *self.valid), default=0)


@dataclass(frozen=True)
class Run:
    """A run of `vocoder train`, as its folder shows it."""

    folder: Path
    settings: Mapping[str, Any]
    """The resolved configuration; empty for a run that saved none."""
    sessions: Sequence[Mapping[str, Any]]
    """Starts and resumes, from `run.json`; empty for runs of releases that did not write it."""
    curve: Curve

    @property
    def system(self) -> str:
        """Name of the system; empty if it is unknown."""
        return str(self.settings.get("name", ""))

    @property
    def metric(self) -> str:
        """The score by which the best model is chosen."""
        return str(self.settings.get("trainer", {}).get("best_metric", "log_mel"))

    @property
    def max_steps(self) -> int | None:
        """Steps after which the run ends; None if they are unknown."""
        steps = self.settings.get("trainer", {}).get("max_steps")
        return int(steps) if steps is not None else None

    @property
    def step(self) -> int:
        """Steps that are known to be done, from the newest report or saved state."""
        names = (path.stem.rpartition("-")[2] for path in self.folder.glob("states/step-*.pt"))
        return max(self.curve.last_step, *(int(name) for name in names if name.isdigit()), 0)

    @property
    def state(self) -> Literal["running", "finished", "stopped"]:
        """Whether a process trains there now and, if none does, whether all steps are done."""
        if is_locked(self.folder):
            return "running"
        done = self.max_steps is not None and self.step >= self.max_steps
        return "finished" if done else "stopped"

    @property
    def speed(self) -> float | None:
        """Steps per second since the last but one report, all that was between them included."""
        return (
            self.curve.train[max(self.curve.train)].get("steps_per_second")
            if self.curve.train
            else None
        )


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in folders, of any depth; ConfigError for a folder that has none or is missing."""
    runs = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder")
        found = [read_run(path) for path in run_folders(folder)]
        if not found:
            raise ConfigError(
                f"{folder}: no run of vocoder train there (a folder with {RECORD_NAME}, or with "
                f"{CURVE_NAME} and states/)"
            )
        runs += found
    return runs


def run_folders(folder: Path) -> Iterator[Path]:
    """The folders of runs in a folder, of any depth."""
    for path, folders, files in os.walk(folder):
        folders.sort()
        if RECORD_NAME in files or (CURVE_NAME in files and "states" in folders):
            folders.clear()  # models and reports of the run
            yield Path(path)


def read_run(folder: Path) -> Run:
    """The run in a folder; ConfigError if it cannot be read. A run may be training there."""
    record = read_record(folder)
    if record is None and not (folder / CURVE_NAME).is_file():
        raise ConfigError(
            f"{folder}: no run of vocoder train (neither {RECORD_NAME} nor {CURVE_NAME})"
        )
    curve = read_curve(folder / CURVE_NAME) if (folder / CURVE_NAME).exists() else Curve({}, {})
    sessions = record["sessions"] if record else []
    return Run(folder, read_settings(folder), sessions, curve)


def read_curve(path: Path) -> Curve:
    """The reports in a `curve.jsonl`; ConfigError if it cannot be read or has none.

    A last line without its end is one that is being written.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    train: dict[int, dict[str, float]] = {}
    valid: dict[int, dict[str, float]] = {}
    damaged = 0
    for line in text[: text.rfind("\n") + 1].splitlines():
        try:
            record = json.loads(line)
            step = int(record["step"])
            for kind, values in (("train", train), ("valid", valid)):
                if kind in record:
                    values[step] = {name: float(value) for name, value in record[kind].items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            damaged += 1
    if damaged and not train and not valid:
        raise ConfigError(f"{path}: not a {CURVE_NAME} of vocoder train")
    return Curve(train, valid, damaged)


def read_record(folder: Path) -> dict[str, Any] | None:
    """The content of a run's `run.json`; None without one, ConfigError if it is damaged."""
    path = folder / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read; remove it to go on without it ({error})"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("sessions"), list):
        raise ConfigError(f"{path}: not a record of vocoder train; remove it to go on without it")
    return record
