"""Answer sheets: the files that listeners send back, read and checked."""

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vocoder.errors import ConfigError, VocoderError
from vocoder.evaluation.listening.trials.design import Role, TestKind
from vocoder.evaluation.listening.trials.page import KEY_VERSION
from vocoder.io.folder import find_files
from vocoder.io.untrusted import read_json

_FORMAT = "vocoder listening test"
_KINDS: dict[str, TestKind] = {"mushra": "mushra", "abx": "abx", "ab": "ab"}
_ROLES: dict[str, Role] = {"test": "test", "control": "control", "practice": "practice"}
_ABOUT = ("device", "room", "hearing", "age", "experience")


@dataclass(frozen=True)
class RatedTrial:
    """Ratings of one utterance from 0 to 100 by condition; `seconds` is the time it took."""

    utterance: str
    duration: float
    seconds: float
    ratings: Mapping[str, float]


@dataclass(frozen=True)
class ChosenTrial:
    """An answer of ABX or AB. `answer` and `x` (None in AB) are conditions of the `pair`."""

    utterance: str
    duration: float
    seconds: float
    role: Role
    pair: tuple[str, str]
    x: str | None
    answer: str


@dataclass(frozen=True, kw_only=True)
class AnswerSheet:
    """All that one listener answered, without the practice. `about` is what they said of them."""

    path: Path
    listener: str
    about: Mapping[str, str]
    comment: str
    finished: str
    test: str
    """The id of the test."""
    title: str
    kind: TestKind
    key: Mapping[str, Any]
    trials: tuple[RatedTrial | ChosenTrial, ...]
    missing: int
    """Trials without an answer."""


class Collected(NamedTuple):
    """Complete sheets of one test, one for each listener.

    `problems` has a line for each file that is damaged or of another test, `left_out` the reason by
    file for the others.
    """

    sheets: list[AnswerSheet]
    problems: list[str]
    left_out: dict[str, str]


def collect(paths: Iterable[Path]) -> Collected:
    """Read files, and those in folders; of several tests, the one with most sheets counts."""
    sheets: list[AnswerSheet] = []
    problems: list[str] = []
    for path in _files(paths, problems):
        try:
            sheets.append(read_sheet(path))
        except VocoderError as error:
            problems.append(str(error))
    if not sheets:
        return Collected([], problems, {})
    test = Counter(sheet.test for sheet in sheets).most_common(1)[0][0]
    of_test = [sheet for sheet in sheets if sheet.test == test]
    problems += [
        f"{sheet.path}: of another test ({sheet.test}, not {test}); analyse it apart"
        for sheet in sheets
        if sheet.test != test
    ]
    for sheet in of_test[1:]:
        if sheet.key != of_test[0].key:
            problems.append(
                f"{sheet.path}: its key is not that of {of_test[0].path}; it is damaged"
            )
    same = [sheet for sheet in of_test if sheet.key == of_test[0].key]
    kept, left_out = _one_of_each(same)
    return Collected(kept, problems, left_out)


def read_sheet(path: Path) -> AnswerSheet:
    """Read what the page of a listening test saved. Raises VocoderError for anything else."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ConfigError(f"{path}: not the answers to a listening test of vocoder listen-test")
    if content.get("version") != KEY_VERSION:
        raise ConfigError(f"{path}: written by another version of the page; use that vocoder")
    try:
        return _sheet(path, content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConfigError(
            f"{path}: damaged answers ({type(error).__name__}: {error}); have it sent again"
        ) from error


def _files(paths: Iterable[Path], problems: list[str]) -> list[Path]:
    """Files by themselves and in folders, each once; reasons go to `problems`."""
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            found.setdefault(path.resolve(), path)
            continue
        inside = find_files(path, (".json",))
        problems += [f"{each} {reason}" for each, reason in inside.skipped.items()]
        if not inside.files:
            problems.append(f"{path}: no .json files there")
        for each in inside.files:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def _one_of_each(sheets: Sequence[AnswerSheet]) -> tuple[list[AnswerSheet], dict[str, str]]:
    """Complete sheets, the earliest of each listener; and reasons for the others by file."""
    left_out = {
        str(s.path): f"incomplete: {s.missing} trials without an answer"
        for s in sheets
        if s.missing
    }
    first: dict[str, AnswerSheet] = {}
    for sheet in sorted((s for s in sheets if not s.missing), key=lambda s: s.finished):
        known = first.setdefault(sheet.listener, sheet)
        if known is not sheet:
            alike = "the same answers" if known.trials == sheet.trials else "an earlier test"
            left_out[str(sheet.path)] = f"{alike} of {sheet.listener} as in {known.path}"
    return list(first.values()), left_out


def _sheet(path: Path, content: Mapping[str, Any]) -> AnswerSheet:
    test, listener = content["test"], content["listener"]
    key = json.loads(base64.b64decode(test["key"], validate=True))
    kind = _KINDS[test["kind"]]
    expected = {c for c, trial in key["trials"].items() if trial["role"] != "practice"}
    read = _rated if kind == "mushra" else _chosen
    found: dict[str, RatedTrial | ChosenTrial] = {}
    for each in content["trials"]:
        code = each["trial"]
        if code in found:
            raise ValueError(f"trial {code} twice")
        if key["trials"][code]["role"] != "practice":
            found[code] = read(each, key["trials"][code], key["sounds"])
    about = {name: _text(listener[name]) for name in _ABOUT if name in listener}
    return AnswerSheet(
        path=path,
        listener=_text(listener["id"]),
        about=about,
        comment=_text(content["comment"]),
        finished=_text(content["finished"]),
        test=_text(test["id"]),
        title=_text(test["title"]),
        kind=kind,
        key=key,
        trials=tuple(found[code] for code in sorted(found)),
        missing=len(expected - found.keys()),
    )


def _rated(
    answer: Mapping[str, Any], trial: Mapping[str, Any], sounds: Mapping[str, Any]
) -> RatedTrial:
    ratings = {each["sound"]: _number(each["rating"], 0.0, 100.0) for each in answer["ratings"]}
    if ratings.keys() != set(trial["sounds"]) or len(ratings) != len(answer["ratings"]):
        raise ValueError(f"trial {answer['trial']} has not one rating of each sound")
    return RatedTrial(
        utterance=trial["utterance"],
        duration=_number(trial["seconds"], 0.0, 1e6),
        seconds=_number(answer["seconds"], 0.0, 1e9),
        ratings={sounds[code]["condition"]: rating for code, rating in ratings.items()},
    )


def _chosen(
    answer: Mapping[str, Any], trial: Mapping[str, Any], sounds: Mapping[str, Any]
) -> ChosenTrial:
    first, second = trial["sounds"]
    given = [answer["answer"], *([answer["x"]] if "x" in answer else [])]
    if {answer["a"], answer["b"]} != {first, second} or not {*given} <= {first, second}:
        raise ValueError(f"trial {answer['trial']} has other sounds")
    return ChosenTrial(
        utterance=trial["utterance"],
        duration=_number(trial["seconds"], 0.0, 1e6),
        seconds=_number(answer["seconds"], 0.0, 1e9),
        role=_ROLES[trial["role"]],
        pair=(sounds[first]["condition"], sounds[second]["condition"]),
        x=sounds[answer["x"]]["condition"] if "x" in answer else None,
        answer=sounds[answer["answer"]]["condition"],
    )


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{value!r} is not from {low:g} to {high:g}")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
