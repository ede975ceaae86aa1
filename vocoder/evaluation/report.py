"""Scores of one system: of every file, over all files, and how they were measured."""

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vocoder import __version__
from vocoder.evaluation.alignment import Alignment
from vocoder.evaluation.statistics import Summary, summary

_WINDOW_SECONDS = 0.1  # what a vocoder may drop or add at the end
_PACKAGES = (
    *("torch", "numpy", "scipy", "librosa", "soundfile", "soxr"),
    *("pesq", "pystoi", "pyloudnorm", "onnxruntime", "torchaudio", "visqol-python"),
)


@dataclass(frozen=True, kw_only=True)
class FileScore:
    """Scores of one pair of files.

    They were compared at `sample_rate`, the lower of the two, over `seconds`, the length of what
    both have. `extra_samples` is by how much the estimate was longer. A metric is either in
    `scores` or, with the reason, in `skipped`. `artefacts` are what detectors found in the
    estimate, `speed` how many times faster than real time it was made, where that was measured.
    """

    name: str
    sample_rate: int
    seconds: float
    extra_samples: int
    scores: dict[str, float]
    skipped: dict[str, str]
    reference: str = ""
    estimate: str = ""
    alignment: Alignment = Alignment()
    artefacts: tuple[dict[str, Any], ...] = ()
    speed: float | None = None

    @property
    def gap(self) -> float:
        """What the estimate lacks of its reference, as a share of that; negative if it is longer.

        Exactly 0 for a window at the end: 0.1 s, but at least 1 % and at most 10 %.
        """
        lacking = -self.extra_samples / self.sample_rate
        reference = self.seconds + max(0.0, lacking)
        tolerance = max(0.01, min(0.1, _WINDOW_SECONDS / reference))
        share = lacking / reference
        return share if abs(share) > tolerance else 0.0

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "FileScore":
        """The score of which `dataclasses.asdict` made `content`."""
        values = dict(content)
        values["alignment"] = Alignment(*values.get("alignment", ()))
        values["artefacts"] = tuple(values.get("artefacts", ()))
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Result of the evaluation of one system.

    `metrics` maps each name to its unit, direction and definition, and the cutoff in Hz where that
    is part of it. `versions` are those of the packages involved. `unscored` maps the files that
    could not be compared at all (no counterpart, unreadable) to the reason. `frechet` is the
    Fréchet distance of all files to their references, or why there is none, if it was asked for.
    `settings` are those of the scoring, and of the copies where a model made them.
    """

    metrics: dict[str, dict[str, str]]
    versions: dict[str, str]
    files: tuple[FileScore, ...]
    unscored: dict[str, str]
    frechet: float | str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def summary(self) -> dict[str, Summary]:
        """Mean over files, its interval and counts of every metric that has a score."""
        scores = {m: [f.scores[m] for f in self.files if m in f.scores] for m in self.metrics}
        return {
            metric: summary(values, skipped=len(self.files) - len(values))
            for metric, values in scores.items()
            if values
        }

    @property
    def gaps(self) -> dict[str, float]:
        """What estimates lack of their references (see `FileScore.gap`): name → share, if any."""
        return {file.name: file.gap for file in self.files if file.gap}

    @property
    def delays(self) -> dict[str, float]:
        """Delays of estimates in seconds, if any, by name; negative for those that are early."""
        return {
            file.name: file.alignment.delay / file.sample_rate
            for file in self.files
            if file.alignment.delay
        }

    @property
    def artefacts(self) -> dict[str, int]:
        """Number of files in which each detector found something, by its name, if any."""
        names = [name for file in self.files for name in {a["detector"] for a in file.artefacts}]
        return {name: names.count(name) for name in sorted(set(names))}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON, with the summary."""
        means = {metric: values._asdict() for metric, values in self.summary.items()}
        facts = {"summary": means, "gaps": self.gaps, "delays": self.delays}
        return facts | dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Report":
        """The report that `to_dict` made `content` of; KeyError or TypeError for anything else."""
        return cls(
            metrics=content["metrics"],
            versions=content["versions"],
            files=tuple(FileScore.from_dict(file) for file in content["files"]),
            unscored=content["unscored"],
            frechet=content.get("frechet"),
            settings=content.get("settings", {}),
        )


def versions() -> dict[str, str]:
    """Versions of the packages that scores depend on, "not installed" for those that are not."""
    found = {"vocoder": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
