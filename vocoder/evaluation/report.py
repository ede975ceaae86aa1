"""Scores of a folder of estimates against a folder of references, with versions and definitions."""

import csv
import dataclasses
import json
import math
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from vocoder import __version__
from vocoder.errors import AudioError, ConfigError, VocoderError
from vocoder.evaluation.metrics.catalogue import EXTENSION, METRICS, VOCODING, Score
from vocoder.evaluation.pairing import ScoredPair, find_pairs
from vocoder.io.atomic import replacing_file
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.io.untrusted import read_json

_SHORTEST_SECONDS = 0.1
_SILENT = 1e-3  # peak of a silent reference: -60 dBFS, as in `vocoder prepare`
_WINDOW_SECONDS = 0.1  # what a vocoder may drop or add at the end
_PACKAGES = ("torch", "numpy", "soundfile", "soxr", "pesq", "visqol-python")


class Summary(NamedTuple):
    """Mean of a metric over files, and half its 95 % confidence interval (None for one file)."""

    mean: float
    half_width: float | None
    files: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class FileScore:
    """Scores of one pair of files.

    They were compared at `sample_rate`, the lower of the two, over `seconds`, the length of the
    shorter. `extra_samples` is by how much the estimate was longer. A metric is either in `scores`
    or, with the reason, in `skipped`.
    """

    name: str
    sample_rate: int
    seconds: float
    extra_samples: int
    scores: dict[str, float]
    skipped: dict[str, str]

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


@dataclass(frozen=True, kw_only=True)
class Report:
    """Result of an evaluation: the scores of every file, and how they were measured.

    `metrics` maps each name to its unit, direction and definition, and the cutoff in Hz where that
    is part of it. `versions` are those of the packages involved. `unscored` maps the files that
    could not be compared at all (no counterpart, unreadable) to the reason.
    """

    metrics: dict[str, dict[str, str]]
    versions: dict[str, str]
    files: tuple[FileScore, ...]
    unscored: dict[str, str]

    @property
    def summary(self) -> dict[str, Summary]:
        """Mean over files, confidence and counts of every metric that has a score."""
        scores = {m: [f.scores[m] for f in self.files if m in f.scores] for m in self.metrics}
        return {
            metric: Summary(
                statistics.fmean(values),
                _half_width(values),
                len(values),
                len(self.files) - len(values),
            )
            for metric, values in scores.items()
            if values
        }

    @property
    def gaps(self) -> dict[str, float]:
        """What estimates lack of their references (see `FileScore.gap`): name → share, if any."""
        return {file.name: file.gap for file in self.files if file.gap}

    def save(self, path: Path) -> None:
        """Write `path` with the suffixes .json (everything) and .csv (a row per file), atomically.

        Raises VocoderError if a file cannot be written.
        """
        summary = {metric: values._asdict() for metric, values in self.summary.items()}
        content = {"summary": summary, "gaps": self.gaps, **dataclasses.asdict(self)}
        with replacing_file(path.with_suffix(".json")) as temporary:
            text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        with (
            replacing_file(path.with_suffix(".csv")) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(
                ["name", "sample_rate", "seconds", "extra_samples", *self.metrics, "skipped"]
            )
            writer.writerows(self._rows())

    @classmethod
    def load(cls, path: Path) -> "Report":
        """Read a report from the JSON file that `save` wrote. Raises ConfigError."""
        try:
            content = read_json(path)
            return cls(
                metrics=content["metrics"],
                versions=content["versions"],
                files=tuple(FileScore(**file) for file in content["files"]),
                unscored=content["unscored"],
            )
        except (VocoderError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise ConfigError(f"{path}: not an evaluation report ({reason})") from error

    def _rows(self) -> list[list[Any]]:
        compared = [
            [file.name, file.sample_rate, f"{file.seconds:.3f}", file.extra_samples]
            + [file.scores.get(metric, "") for metric in self.metrics]
            + ["; ".join(f"{metric}: {reason}" for metric, reason in file.skipped.items())]
            for file in self.files
        ]
        blank = [""] * (3 + len(self.metrics))
        return compared + [[name, *blank, reason] for name, reason in self.unscored.items()]


def evaluate(
    reference: Path,
    estimate: Path,
    *,
    metrics: Sequence[str] | None = None,
    cutoff: float | None = None,
    on_file: Callable[[str], None] | None = None,
) -> Report:
    """Score every audio file under `estimate` against the file of the same name under `reference`.

    Files are paired by relative path without suffix. What cannot be scored is reported with the
    reason and left out of the means. Raises AudioError if no files pair, ConfigError for an unknown
    metric, one whose package is missing or one that lacks the cutoff.

    Args:
        reference: Folder of the recordings.
        estimate: Folder of what a model made of them.
        metrics: Names of the metrics; by default those of bandwidth extension if a cutoff is given,
            otherwise those of vocoders.
        cutoff: Highest frequency in Hz of the narrow-band recordings that were extended.
        on_file: Called with each name before it is scored.
    """
    metrics = metrics or (VOCODING if cutoff is None else EXTENSION)
    scorers = _scorers(metrics, cutoff)
    pairs, unscored = find_pairs(reference, estimate)
    files = []
    for pair in pairs:
        if on_file is not None:
            on_file(pair.name)
        try:
            files.append(_score_pair(pair, scorers))
        except AudioError as error:
            unscored[pair.name] = str(error)
    return Report(
        metrics={name: METRICS[name].facts(cutoff) for name in metrics},
        versions=_versions(),
        files=tuple(files),
        unscored=unscored,
    )


def score_pair(
    pair: ScoredPair, *, metrics: Sequence[str] = VOCODING, cutoff: float | None = None
) -> FileScore:
    """Score one pair of files.

    Both are resampled to the lower rate of the two and cut to the shorter. Channels are scored one
    by one and averaged. Raises AudioError if the files cannot be read or compared at all,
    ConfigError for an unknown metric, one whose package is missing or one that lacks the cutoff.
    """
    return _score_pair(pair, _scorers(metrics, cutoff))


def _scorers(metrics: Sequence[str], cutoff: float | None) -> dict[str, Score]:
    unknown = sorted(set(metrics) - METRICS.keys())
    if unknown:
        raise ConfigError(f"unknown metrics {unknown}; choose from {list(METRICS)}")
    if cutoff is not None and not cutoff > 0.0:
        raise ConfigError(f"cutoff is {cutoff:g} Hz; give the highest frequency of the narrow band")
    return {name: METRICS[name].scorer(cutoff) for name in metrics}


def _score_pair(pair: ScoredPair, scorers: Mapping[str, Score]) -> FileScore:
    reference, reference_rate = read_audio(pair.reference)
    estimate, estimate_rate = read_audio(pair.estimate)
    if reference.shape[0] != estimate.shape[0]:
        raise AudioError(
            f"{pair.estimate}: {estimate.shape[0]} channels, its reference has {reference.shape[0]}"
        )
    rate = min(reference_rate, estimate_rate)
    reference = resample_soxr(reference, reference_rate, rate)
    estimate = resample_soxr(estimate, estimate_rate, rate)
    samples = min(reference.shape[-1], estimate.shape[-1])
    if samples < _SHORTEST_SECONDS * rate:
        raise AudioError(
            f"{pair.estimate}: under {_SHORTEST_SECONDS} s in common with its reference"
        )
    scores, skipped = _score(reference[:, :samples], estimate[:, :samples], rate, scorers)
    return FileScore(
        name=pair.name,
        sample_rate=rate,
        seconds=samples / rate,
        extra_samples=estimate.shape[-1] - reference.shape[-1],
        scores=scores,
        skipped=skipped,
    )


def _score(
    reference: Tensor, estimate: Tensor, rate: int, scorers: Mapping[str, Score]
) -> tuple[dict[str, float], dict[str, str]]:
    scores, skipped = {}, {}
    peak = reference.abs().amax(-1).min().item()  # of the quietest channel
    for metric, score in scorers.items():
        try:
            channels = zip(reference, estimate, strict=True)
            value = statistics.fmean(score(real, fake, rate) for real, fake in channels)
        except AudioError as error:
            skipped[metric] = str(error)
            continue
        if not math.isfinite(value):
            skipped[metric] = "the score is not a finite number"
        elif peak < _SILENT and not METRICS[metric].takes_silence:
            skipped[metric] = f"the reference is silent, its peak is {peak:.2g} of full scale"
        else:
            scores[metric] = value
    return scores, skipped


def _half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % confidence interval of the mean, by Student's t; None for a single value."""
    if len(values) < 2:
        return None
    try:
        from scipy.stats import t
    except ImportError as error:
        raise ConfigError(
            'confidence intervals need scipy; pip install "vocoder[train]"'
        ) from error
    quantile = float(t.ppf(0.975, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def _versions() -> dict[str, str]:
    versions = {"vocoder": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
