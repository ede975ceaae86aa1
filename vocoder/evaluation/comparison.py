"""Scores of several systems over the same recordings, with tests between them."""

import csv
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vocoder.errors import ConfigError, VocoderError
from vocoder.evaluation.report import Report
from vocoder.evaluation.statistics import METHOD, PairedTest, paired_tests
from vocoder.io.atomic import replacing_file
from vocoder.io.untrusted import read_json


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Reports of systems by name, all against the recordings in the folder `reference`."""

    reference: Path
    reports: Mapping[str, Report]

    @property
    def metrics(self) -> dict[str, dict[str, str]]:
        """Facts of all metrics that any system has; ConfigError if two define one differently."""
        found: dict[str, dict[str, str]] = {}
        for system, report in self.reports.items():
            for metric, facts in report.metrics.items():
                if found.setdefault(metric, facts) != facts:
                    raise ConfigError(
                        f"{system}: {metric} was measured by another definition or cutoff than in "
                        "the reports before it; evaluate it again"
                    )
        return found

    def paired(self, metric: str) -> list[PairedTest]:
        """Tests of every two systems by a metric, over the files that both have a score for."""
        return paired_tests(
            {
                system: {f.name: f.scores[metric] for f in report.files if metric in f.scores}
                for system, report in self.reports.items()
            }
        )

    def save(self, path: Path) -> None:
        """Write `path` with the suffixes .json (everything) and .csv (a row per file and system).

        Each file appears complete or not at all. Raises VocoderError if one cannot be written.
        """
        content = {
            "reference": str(self.reference),
            "statistics": METHOD,
            "paired_tests": {
                metric: [test._asdict() for test in self.paired(metric)] for metric in self.metrics
            },
            "systems": {system: report.to_dict() for system, report in self.reports.items()},
        }
        with replacing_file(path.with_suffix(".json")) as temporary:
            text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        with (
            replacing_file(path.with_suffix(".csv")) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows(self._rows())

    @classmethod
    def load(cls, path: Path) -> "Evaluation":
        """Read what `save` wrote, by the JSON file or its folder. Raises ConfigError."""
        if path.is_dir():
            path = path / "scores.json"
        try:
            content = read_json(path)
            reports = {name: Report.from_dict(each) for name, each in content["systems"].items()}
            return cls(reference=Path(content["reference"]), reports=reports)
        except (VocoderError, KeyError, TypeError, AttributeError, ValueError) as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise ConfigError(
                f"{path}: no scores of vocoder evaluate ({reason}); evaluate again"
            ) from error

    def _rows(self) -> list[list[Any]]:
        metrics = list(self.metrics)
        head = ["name", "system", "sample_rate", "seconds", "extra_samples", "delay_samples"]
        rows: list[list[Any]] = [[*head, *metrics, "speed", "artefacts", "skipped"]]
        for system, report in self.reports.items():
            for file in report.files:
                facts = [file.sample_rate, f"{file.seconds:.3f}", file.extra_samples]
                scores = [file.scores.get(metric, "") for metric in metrics]
                skipped = [f"{metric}: {reason}" for metric, reason in file.skipped.items()]
                speed = "" if file.speed is None else file.speed
                more = [speed, len(file.artefacts), "; ".join(skipped)]
                delay = round(file.alignment.delay, 3)
                rows.append([file.name, system, *facts, delay, *scores, *more])
            blank = [""] * (len(rows[0]) - 3)
            rows += [[name, system, *blank, reason] for name, reason in report.unscored.items()]
        return rows


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Copies of recordings by a model: what `with_copies` adds to the scores of them."""

    model: str
    """Its name, or path."""
    threads: int
    """With which they were made."""
    speeds: Mapping[str, float]
    """How many times faster than real time each was made, by name."""
    reasons: Mapping[str, str]
    """Why others were not made, by name."""


def with_copies(report: Report, copies: Copies) -> Report:
    """The report with how each file was made, and the reason for those that were not.

    Files in the folder of the copies that are none, as from another evaluation, are left out.
    """
    made = copies.speeds.keys() | copies.reasons.keys()
    files = [
        dataclasses.replace(file, speed=copies.speeds.get(file.name))
        for file in report.files
        if file.name in made
    ]
    unscored = {
        name: copies.reasons.get(name, why)
        for name, why in report.unscored.items()
        if name in made or not why.startswith("no counterpart")
    }
    settings = report.settings | {"model": copies.model, "threads": copies.threads}
    return dataclasses.replace(report, files=tuple(files), unscored=unscored, settings=settings)
