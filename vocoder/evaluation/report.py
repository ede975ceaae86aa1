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
from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.metrics import EXTENSION, METRICS, VOCODING, Score
from vocoder.io.atomic import replacing_file
from vocoder.io.audio import READ_SUFFIXES, read_audio, resample_soxr

_SHORTEST_SECONDS = 0.1
_PACKAGES = ("torch", "numpy", "soundfile", "soxr", "pesq", "visqol-python")


class ScoredPair(NamedTuple):
    """A reference and an estimate of it; `name` is the relative path of both, without suffix."""

    name: str
    reference: Path
    estimate: Path


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

    def save(self, path: Path) -> None:
        """Write `path` with the suffixes .json (everything) and .csv (a row per file), atomically.

        Raises VocoderError if a file cannot be written.
        """
        summary = {metric: values._asdict() for metric, values in self.summary.items()}
        content = {"summary": summary, **dataclasses.asdict(self)}
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
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                metrics=content["metrics"],
                versions=content["versions"],
                files=tuple(FileScore(**file) for file in content["files"]),
                unscored=content["unscored"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not an evaluation report ({error})") from error

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


def find_pairs(reference: Path, estimate: Path) -> tuple[list[ScoredPair], dict[str, str]]:
    """Pair the audio files of two folders: the pairs by name, and the rest as name → reason.

    Raises AudioError if no files pair, or two files of a folder have the same name.
    """
    references, estimates = _audio_files(reference), _audio_files(estimate)
    common = sorted(references.keys() & estimates.keys())
    if not common:
        raise AudioError(
            f"no audio file in {estimate} has a counterpart in {reference}; "
            "they pair up by relative path without suffix"
        )
    left_over = dict.fromkeys(references.keys() - estimates, f"no counterpart in {estimate}")
    left_over |= dict.fromkeys(estimates.keys() - references, f"no counterpart in {reference}")
    pairs = [ScoredPair(name, references[name], estimates[name]) for name in common]
    return pairs, dict(sorted(left_over.items()))


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
    for metric, score in scorers.items():
        try:
            channels = zip(reference, estimate, strict=True)
            value = statistics.fmean(score(real, fake, rate) for real, fake in channels)
        except AudioError as error:
            skipped[metric] = str(error)
            continue
        if math.isfinite(value):
            scores[metric] = value
        else:
            skipped[metric] = "the score is not a finite number"
    return scores, skipped


def _audio_files(directory: Path) -> Mapping[str, Path]:
    """Audio files under a directory by relative path without suffix."""
    if not directory.is_dir():
        raise AudioError(f"{directory}: not a directory")
    found: dict[str, Path] = {}
    for path in sorted(directory.rglob("*")):
        if path.suffix.lower() in READ_SUFFIXES and path.is_file():
            name = path.relative_to(directory).with_suffix("").as_posix()
            if name in found:
                raise AudioError(f"{path} and {found[name]} have the same name; keep one of them")
            found[name] = path
    return found


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
