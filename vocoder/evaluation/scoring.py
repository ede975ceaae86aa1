"""Scoring of files and folders: pair, align, apply the metrics, look for artefacts."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.alignment import AlignedPair, load_pair
from vocoder.evaluation.artefacts.catalogue import detect
from vocoder.evaluation.frechet import Embedding, frechet_distance
from vocoder.evaluation.metrics.catalogue import METRICS, chosen_metrics
from vocoder.evaluation.metrics.metric import Scorer, measure
from vocoder.evaluation.pairing import ScoredPair, find_pairs
from vocoder.evaluation.report import FileScore, Report, versions

Engine = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[tuple[int, Any]]]
_SILENT = 1e-3  # peak of a silent reference: -60 dBFS, as in `vocoder prepare`


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is measured of a pair of files, and how.

    Raises ConfigError for an unknown metric, one that lacks the cutoff or its weights, and a cutoff
    below 0.
    """

    metrics: Sequence[str] = ()
    """Names of metrics and sets of them; none for those of bandwidth extension if there is a
    cutoff, otherwise those of vocoders."""
    cutoff: float | None = None
    """Highest frequency in Hz of the narrow-band recordings that were extended."""
    weights: Mapping[str, Path] = field(default_factory=dict)
    """Files of the networks that some metrics need, by name."""
    align: bool = True
    """Whether the delay between the files is removed."""
    artefacts: bool = False
    """Whether detectors look for artefacts."""
    embedding: Embedding | None = None
    """What the Fréchet distance is computed of; None for no distance."""

    def __post_init__(self) -> None:
        """Check the names and the cutoff."""
        cutoff = self.cutoff
        names = chosen_metrics(self.metrics, cutoff, self.weights)
        object.__setattr__(self, "metrics", names)
        if cutoff is not None and not cutoff > 0.0:
            raise ConfigError(
                f"cutoff is {cutoff:g} Hz; give the highest frequency of the narrow band"
            )
        _ = self._scorers

    @cached_property
    def _scorers(self) -> dict[str, Scorer]:
        return {name: METRICS[name].scorer(self.cutoff, self.weights) for name in self.metrics}

    @property
    def facts(self) -> dict[str, dict[str, str]]:
        """Unit, direction, definition and cutoff of every metric."""
        return {name: METRICS[name].facts(self.cutoff, self.weights) for name in self.metrics}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as plain values, for JSON."""
        embedding = self.embedding
        name = getattr(embedding, "path", getattr(embedding, "__name__", embedding))
        return {
            "cutoff": self.cutoff,
            "align": self.align,
            "artefacts": self.artefacts,
            "embedding": None if embedding is None else str(name),
        }

    def score(self, pair: ScoredPair, aligned: AlignedPair | None = None) -> FileScore:
        """Score one pair of files, which may have been read already.

        Both are resampled to the lower rate of the two, aligned, and cut to the shorter. Channels
        are scored one by one and averaged. Raises AudioError if the files cannot be read or
        compared at all.
        """
        aligned = aligned or load_pair(pair.reference, pair.estimate, align=self.align)
        scores, skipped = self._scores(aligned)
        artefacts: tuple[dict[str, Any], ...] = ()
        try:
            artefacts = self._artefacts(aligned)
        except AudioError as error:  # the scores stand without them
            skipped["artefact detection"] = str(error)
        return FileScore(
            name=pair.name,
            sample_rate=aligned.sample_rate,
            seconds=aligned.reference.shape[-1] / aligned.sample_rate,
            extra_samples=aligned.extra_samples,
            scores=scores,
            skipped=skipped,
            reference=str(pair.reference),
            estimate=str(pair.estimate),
            alignment=aligned.alignment,
            artefacts=artefacts,
        )

    def _scores(self, pair: AlignedPair) -> tuple[dict[str, float], dict[str, str]]:
        scores, skipped = {}, {}
        peak = pair.reference.abs().amax(-1).min().item()  # of the quietest channel
        channels = [
            measure(self._scorers, real, fake, pair.sample_rate)
            for real, fake in zip(pair.reference, pair.estimate, strict=True)
        ]
        for metric in self._scorers:
            found = [channel[metric] for channel in channels]
            values = [value for value in found if not isinstance(value, AudioError)]
            if len(values) < len(found):
                skipped[metric] = next(str(v) for v in found if isinstance(v, AudioError))
                continue
            value = statistics.fmean(values)
            if not math.isfinite(value):
                skipped[metric] = "the score is not a finite number"
            elif peak < _SILENT and not METRICS[metric].takes_silence:
                skipped[metric] = f"the reference is silent, its peak is {peak:.2g} of full scale"
            else:
                scores[metric] = value
        return scores, skipped

    def _artefacts(self, pair: AlignedPair) -> tuple[dict[str, Any], ...]:
        if not self.artefacts:
            return ()
        estimate, reference = pair.estimate.mean(0), pair.reference.mean(0)
        found = detect(estimate, pair.sample_rate, reference)
        return tuple(dataclasses.asdict(artefact) for artefact in found)


class _Outcome(NamedTuple):
    """What became of a pair: its score or the reason for none, and the embeddings of both files."""

    score: FileScore | str
    embeddings: tuple[Tensor, Tensor] | None = None


def evaluate(
    reference: Path,
    estimate: Path,
    scoring: Scoring | None = None,
    *,
    each: Engine | None = None,
) -> Report:
    """Score every audio file under `estimate` against the file of the same name under `reference`.

    Files are paired by relative path without suffix; both may also be single files. What cannot be
    scored is reported with the reason and left out of the means. `each` calls a function for each
    of some items, several at a time, and yields the index of the item and the result as they are
    done; without it, one follows the other. Raises AudioError if no files pair, ConfigError for a
    metric whose package is missing.
    """
    scoring = scoring or Scoring()
    pairs, unscored = find_pairs(reference, estimate)
    outcomes = dict((each or _one_by_one)(functools.partial(_attempt, scoring), pairs))
    files, embeddings = [], []
    for index, pair in enumerate(pairs):
        outcome = outcomes[index]
        if isinstance(outcome.score, str):
            unscored[pair.name] = outcome.score
            continue
        files.append(outcome.score)
        if outcome.embeddings is not None:
            embeddings.append(outcome.embeddings)
    return Report(
        metrics=scoring.facts,
        settings=scoring.settings,
        versions=versions(),
        files=tuple(files),
        unscored=dict(sorted(unscored.items())),
        frechet=_frechet(embeddings) if scoring.embedding else None,
    )


def _attempt(scoring: Scoring, pair: ScoredPair) -> _Outcome:
    try:
        aligned = load_pair(pair.reference, pair.estimate, align=scoring.align)
        score = scoring.score(pair, aligned)
    except AudioError as error:
        return _Outcome(str(error))
    embed = scoring.embedding
    if embed is None:
        return _Outcome(score)
    try:
        real, fake = (
            embed(audio.mean(0), aligned.sample_rate)
            for audio in (aligned.reference, aligned.estimate)
        )
    except AudioError:  # too short for a window: it adds none
        return _Outcome(score)
    return _Outcome(score, (real, fake))


def _frechet(embeddings: list[tuple[Tensor, Tensor]]) -> float | str:
    """The distance of all files, or why there is none."""
    if not embeddings:
        return "no file is long enough for the Fréchet distance"
    real, fake = zip(*embeddings, strict=True)
    try:
        return frechet_distance(real, fake)
    except AudioError as error:
        return str(error)


def _one_by_one(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[tuple[int, Any]]:
    return enumerate(map(work, items))
