"""Analysis of a listening test: who counts, what they heard, and what follows from it."""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vocoder import __version__
from vocoder.errors import ConfigError
from vocoder.evaluation.listening.results.intervals import (
    CHOICE_METHOD,
    RATING_METHOD,
    Crossed,
    Ratings,
    RatingTest,
    ShareTest,
    answers_needed,
    crossed_mean,
    rating_tests,
    share_test,
)
from vocoder.evaluation.listening.results.screening import RULES, faults
from vocoder.evaluation.listening.results.sheets import (
    AnswerSheet,
    ChosenTrial,
    Collected,
    RatedTrial,
)
from vocoder.evaluation.listening.trials.design import TestKind
from vocoder.evaluation.statistics import holm
from vocoder.io.atomic import replacing_file


@dataclass(frozen=True)
class Rated:
    """Ratings of a MUSHRA test by condition: the reference first, then systems, then anchors.

    Shape of each: [listeners, utterances], in the order of `listeners` and `utterances`.
    """

    listeners: tuple[str, ...]
    utterances: tuple[str, ...]
    ratings: Mapping[str, Ratings]

    @cached_property
    def means(self) -> dict[str, Crossed]:
        """Mean and interval of each condition."""
        return {name: crossed_mean(values) for name, values in self.ratings.items()}

    @cached_property
    def tests(self) -> list[RatingTest]:
        """Tests of every two conditions that are not anchors."""
        return rating_tests({n: v for n, v in self.ratings.items() if not n.startswith("anchor ")})

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "listeners": list(self.listeners),
            "utterances": list(self.utterances),
            "conditions": {
                name: {
                    **self.means[name]._asdict(),
                    "median": float(np.median(values)),
                    "by_utterance": values.mean(0).tolist(),
                    "by_listener": values.mean(1).tolist(),
                    "ratings": values.tolist(),
                }
                for name, values in self.ratings.items()
            },
            "tests": [test._asdict() for test in self.tests],
        }


@dataclass(frozen=True)
class Comparison:
    """Answers about one pair: right ones (ABX) or those that prefer its first member (AB).

    `p` is corrected for the number of comparisons; `needed` is how many answers would find the
    share seen in 80 % of tests.
    """

    pair: tuple[str, str]
    overall: ShareTest
    p: float
    needed: int | None
    by_listener: Mapping[str, ShareTest]
    by_utterance: Mapping[str, ShareTest]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        parts = {"by_listener": self.by_listener, "by_utterance": self.by_utterance}
        return {
            "pair": list(self.pair),
            **self.overall._asdict(),
            "p_corrected": self.p,
            "answers_needed": self.needed,
            **{name: {k: v._asdict() for k, v in part.items()} for name, part in parts.items()},
        }


@dataclass(frozen=True, kw_only=True)
class ListeningResults:
    """What a listening test found. `outcome` is of a MUSHRA test, or a list of ABX or AB pairs.

    `reasons` has those for leaving out a listener, by name; `left_out` those for files.
    """

    test: str
    title: str
    kind: TestKind
    sheets: tuple[AnswerSheet, ...]
    reasons: Mapping[str, Sequence[str]]
    screened: bool
    left_out: Mapping[str, str]
    outcome: Rated | tuple[Comparison, ...]

    @property
    def kept(self) -> list[AnswerSheet]:
        """The sheets that count."""
        return [s for s in self.sheets if not (self.screened and self.reasons[s.listener])]

    @property
    def method(self) -> str:
        """How means, intervals and tests are computed."""
        side = "one-sided" if self.kind == "abx" else "two-sided"
        return RATING_METHOD if self.kind == "mushra" else CHOICE_METHOD.format(side=side)

    @property
    def notes(self) -> list[str]:
        """Sentences on who counts and how it was computed."""
        lines = [f"listeners: {len(self.kept)} of {len(self.sheets)} count{self._about()}"]
        for name, reasons in self.reasons.items():
            if reasons:
                done = "left out" if self.screened else "would be left out"
                lines.append(f"{name} {done}: {'; '.join(reasons)}")
        lines += [f"{path} left out: {reason}" for path, reason in self.left_out.items()]
        rule = RULES[self.kind]
        lines.append(f"screening {rule}" if self.screened else "screening: none (--keep-all)")
        lines.append(f"statistics: {self.method}")
        lines += [f"the test: {note}" for note in self.sheets[0].key["notes"]]
        return lines

    def _about(self) -> str:
        """What those who count listened with."""
        devices = Counter(s.about["device"] for s in self.kept if "device" in s.about)
        listed = ", ".join(f"{name} {count}" for name, count in devices.most_common())
        return f" ({listed})" if listed else ""

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        outcome = self.outcome
        return {
            "vocoder": __version__,
            "test": self.test,
            "title": self.title,
            "kind": self.kind,
            "loudness": self.sheets[0].key["loudness"],
            "notes": self.notes,
            "listeners": [
                {
                    "listener": sheet.listener,
                    "file": str(sheet.path),
                    "finished": sheet.finished,
                    "minutes": round(sum(t.seconds for t in sheet.trials) / 60, 2),
                    "about": dict(sheet.about),
                    "comment": sheet.comment,
                    "counts": sheet in self.kept,
                    "screening": list(self.reasons[sheet.listener]),
                }
                for sheet in self.sheets
            ],
            "left_out": dict(self.left_out),
            "results": (
                outcome.to_dict()
                if isinstance(outcome, Rated)
                else [each.to_dict() for each in outcome]
            ),
        }

    def save(self, path: Path) -> None:
        """Write all of it as JSON. Raises VocoderError if it cannot be written."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        with replacing_file(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def analyse(collected: Collected, *, screening: bool = True) -> ListeningResults:
    """Screen the listeners of a test, and compute what those who are left found.

    Raises ConfigError if nobody is left, or scipy is missing.
    """
    sheets = sorted(collected.sheets, key=lambda sheet: sheet.listener)
    reasons = {sheet.listener: faults(sheet) for sheet in sheets}
    kept = [sheet for sheet in sheets if not (screening and reasons[sheet.listener])]
    if not kept:
        listed = "; ".join(f"{name}: {', '.join(why)}" for name, why in reasons.items())
        raise ConfigError(f"screening leaves out all listeners ({listed}); --keep-all counts them")
    first = sheets[0]
    return ListeningResults(
        test=first.test,
        title=first.title,
        kind=first.kind,
        sheets=tuple(sheets),
        reasons=reasons,
        screened=screening,
        left_out=collected.left_out,
        outcome=_rated(kept) if first.kind == "mushra" else _compared(kept, first.kind),
    )


def _rated(sheets: Sequence[AnswerSheet]) -> Rated:
    trials = [
        {trial.utterance: trial.ratings for trial in sheet.trials if isinstance(trial, RatedTrial)}
        for sheet in sheets
    ]
    utterances = sorted(trials[0])
    # In the order of the design, which is that of the key.
    code = next(c for c, t in sheets[0].key["trials"].items() if t["role"] == "test")
    sounds = sheets[0].key["sounds"]
    conditions = [sounds[c]["condition"] for c in sheets[0].key["trials"][code]["sounds"]]
    return Rated(
        tuple(sheet.listener for sheet in sheets),
        tuple(utterances),
        {
            name: np.array([[each[u][name] for u in utterances] for each in trials])
            for name in conditions
        },
    )


def _compared(sheets: Sequence[AnswerSheet], kind: TestKind) -> tuple[Comparison, ...]:
    """Every comparison but the controls, which only screen."""
    answers: dict[tuple[str, str], list[tuple[str, str, bool]]] = defaultdict(list)
    for sheet in sheets:
        for trial in sheet.trials:
            if isinstance(trial, ChosenTrial) and trial.role == "test":
                counted = trial.answer == (trial.x if kind == "abx" else trial.pair[0])
                answers[trial.pair].append((sheet.listener, trial.utterance, counted))
    one_sided = kind == "abx"
    overall = {
        pair: share_test(sum(c for *_, c in found), len(found), one_sided=one_sided)
        for pair, found in answers.items()
    }
    corrected = holm({pair: test.p for pair, test in overall.items()})
    return tuple(
        Comparison(
            pair,
            overall[pair],
            corrected[pair],
            answers_needed(overall[pair].share, one_sided=one_sided),
            _shares([(name, c) for name, _, c in found], one_sided=one_sided),
            _shares([(name, c) for _, name, c in found], one_sided=one_sided),
        )
        for pair, found in sorted(answers.items())
    )


def _shares(answers: Sequence[tuple[str, bool]], *, one_sided: bool) -> dict[str, ShareTest]:
    grouped: dict[str, list[bool]] = defaultdict(list)
    for name, counted in answers:
        grouped[name].append(counted)
    return {
        name: share_test(sum(found), len(found), one_sided=one_sided)
        for name, found in sorted(grouped.items())
    }


def median_minutes(results: ListeningResults) -> float:
    """How long the trials took the listeners who count."""
    return statistics.median(sum(t.seconds for t in s.trials) / 60 for s in results.kept)
