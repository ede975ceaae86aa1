"""Runs as a report reads them: whatever of a folder can be read, and words on the rest."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vocoder.errors import ConfigError
from vocoder.training.runs.folder import (
    CURVE_NAME,
    RECORD_NAME,
    WARNINGS_NAME,
    Curve,
    Run,
    read_curve,
    read_record,
    run_folders,
)
from vocoder.training.runs.settings import read_settings

Part = TypeVar("Part")
_CHECKOUT = Path(__file__).parents[4]  # of an installed package, a folder without recipes


@dataclass(frozen=True)
class RunWarning:
    """What the log of a run warned of, and when."""

    step: int
    words: str


@dataclass(frozen=True)
class ReportedRun:
    """A run of a report. `notes` say what of its folder is missing or cannot be read."""

    name: str
    run: Run
    warnings: Sequence[RunWarning]
    notes: Sequence[str]


@dataclass(frozen=True)
class Reference:
    """The curve of a recipe, which shows what good looks like."""

    name: str
    path: Path
    curve: Curve


def reported_runs(paths: Sequence[Path]) -> list[ReportedRun]:
    """The runs in folders, which are runs or hold some at any depth, as those of `-m` do.

    Raises ConfigError for a path without any. What is damaged in a run is said in its notes.
    """
    folders: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path}: no such folder")
        own = path.is_file() or any((path / name).exists() for name in (RECORD_NAME, CURVE_NAME))
        found = [path] if own else list(run_folders(path))
        if not found:
            raise ConfigError(f"{path}: no run of vocoder train there")
        folders += [each for each in found if each not in folders]
    return [_read(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]


def find_reference(run: Run) -> Reference | None:
    """The curve of the recipe for the system of a run, from `recipes/` here or in the checkout.

    A run that was fine-tuned has that of the recipe fine_tuning. None if there is no such curve.
    """
    tuned = run.settings.get("trainer", {}).get("init_from") is not None
    name = "fine_tuning" if tuned else run.system
    for home in (Path("recipes"), _CHECKOUT / "recipes"):
        path = home / name / CURVE_NAME
        if name and path.is_file():
            return Reference(f"recipe {name}", path, read_curve(path))
    return None


def _names(folders: Sequence[Path]) -> list[str]:
    """Short names: what of the paths differs."""
    if len(folders) == 1:
        return [folders[0].resolve().name]
    whole = [os.path.abspath(folder) for folder in folders]
    shared = os.path.commonpath(whole)
    return [os.path.relpath(path, shared) for path in whole]


def _read(path: Path, name: str) -> ReportedRun:
    if path.is_file():
        return ReportedRun(name, Run(path, {}, [], read_curve(path)), [], [])
    notes: list[str] = []

    def part(read: Callable[[Path], Part], file: Path, otherwise: Part) -> Part:
        try:
            return read(file)
        except ConfigError as error:
            notes.append(str(error))
            return otherwise

    record = part(read_record, path, None)
    settings: dict[str, Any] = part(read_settings, path, {})
    curve = Curve({}, {})
    if (path / CURVE_NAME).exists():
        curve = part(read_curve, path / CURVE_NAME, curve)
    if not curve.train and not curve.valid:
        notes.append("it has reported nothing yet")
    if curve.damaged:
        notes.append(f"{curve.damaged} damaged lines of {CURVE_NAME} are left out")
    if not settings:
        notes.append("its settings are not known")
    if not (path / RECORD_NAME).exists():
        notes.append(f"it has no {RECORD_NAME}, so how it was started is not known")
    started: list[Any] = record["sessions"] if record else []
    sessions = [each for each in started if isinstance(each, dict) and "started" in each]
    warnings, torn = _warnings(path / WARNINGS_NAME)
    if torn:
        notes.append(f"{torn} damaged lines of {WARNINGS_NAME} are left out")
    return ReportedRun(name, Run(path, settings, sessions, curve), warnings, notes)


def _warnings(path: Path) -> tuple[list[RunWarning], int]:
    """The warnings in a file, and the number of lines that are none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # a run without warnings has no such file
        return [], 0
    found, torn = [], 0
    for line in text[: text.rfind("\n") + 1].splitlines():
        try:
            record = json.loads(line)
            found.append(RunWarning(int(record["step"]), str(record["warning"])))
        except (ValueError, TypeError, KeyError, RecursionError):
            torn += 1
    return found, torn
