"""What a metric is, and how several of them are computed of one pair of signals."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from vocoder.errors import AudioError, ConfigError

_NO_WEIGHTS: Mapping[str, Path] = {}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: a function that scores an estimate against its reference, and how to show it."""

    label: str
    """Name in the headings of tables."""
    unit: str
    """Unit of the score; empty if it has none."""
    better: Literal["lower", "higher"]
    """Which scores are better."""
    decimals: int
    """Number of decimals in tables."""
    score: Callable[..., float]
    """(reference [T], estimate [T], sample_rate) → score; AudioError for what it cannot score."""
    ideal: float | None = 0.0
    """Score of an estimate that equals its reference; None for metrics that see the estimate alone,
    which then score the reference itself."""
    analysis: Callable[..., Any] | None = None
    """With the arguments of `score`, what several metrics share: they take it as `analysis=`."""
    needs_cutoff: bool = False
    """Whether `score` takes `cutoff=`: the highest frequency in Hz of what was extended."""
    takes_silence: bool = False
    """Whether a score against a silent reference means something."""
    model: Callable[[Path], Any] | None = None
    """Opens the weights that `score` takes as `model=`."""
    weights: str = ""
    """Name under which these weights are given."""
    package: str = ""
    """Package that has to be installed beside vocoder[eval]."""

    def scorer(
        self, cutoff: float | None = None, weights: Mapping[str, Path] = _NO_WEIGHTS
    ) -> "Scorer":
        """The function (reference, estimate, sample_rate) → score, with all that it needs.

        `weights` maps names to files. Raises ConfigError if the cutoff or the weights are not
        given, or are not what the metric needs.
        """
        options: dict[str, Any] = {}
        if self.needs_cutoff:
            if cutoff is None:
                raise ConfigError(
                    f"{self.label} is measured at the cutoff of the narrow band; give cutoff"
                )
            options["cutoff"] = cutoff
        if self.model is not None:
            if self.weights not in weights:
                raise ConfigError(
                    f"{self.label} is a network's; give its weights: --weights {self.weights}=FILE"
                )
            options["model"] = self.model(Path(weights[self.weights]))
        return Scorer(self, options)

    def computable(self, cutoff: float | None, weights: Mapping[str, Path]) -> bool:
        """Whether vocoder[eval] and what is given are all that the metric needs."""
        given = (cutoff is not None or not self.needs_cutoff) and (
            not self.weights or self.weights in weights
        )
        return given and not self.package

    @property
    def needs(self) -> str:
        """What has to be given or installed for it, in words; empty for nothing."""
        if self.needs_cutoff:
            return "--cutoff HZ"
        if self.weights:
            return f"--weights {self.weights}=FILE"
        return f"pip install {self.package}" if self.package else ""

    def facts(
        self, cutoff: float | None, weights: Mapping[str, Path] = _NO_WEIGHTS
    ) -> dict[str, str]:
        """What the score depends on; scores are comparable if these are equal.

        Unit, direction, definition, and the cutoff and the SHA-256 of the weights, if there are
        such.
        """
        facts = {"unit": self.unit, "better": self.better, "definition": self.definition}
        if self.needs_cutoff:
            facts["cutoff"] = f"{cutoff:g} Hz"
        if self.weights:
            with Path(weights[self.weights]).open("rb") as file:
                facts["weights"] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        return facts

    @property
    def definition(self) -> str:
        """Full definition of the metric: the docstring of `score`."""
        return inspect.getdoc(self.score) or ""


@dataclass(frozen=True)
class Scorer:
    """A metric with the cutoff or the weights that it needs; other processes can be sent it."""

    metric: Metric
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        reference: Tensor,
        estimate: Tensor,
        sample_rate: int,
        analyses: dict[Callable[..., Any], Any] | None = None,
    ) -> float:
        """Score one channel; `analyses` collects what metrics share.

        Shape: [T], [T].   AudioError for what cannot be scored.
        """
        check_pair(reference, estimate)
        score, analyse, options = self.metric.score, self.metric.analysis, self.options
        if analyse is None or analyses is None:
            return score(reference, estimate, sample_rate, **options)
        if analyse not in analyses:
            analyses[analyse] = analyse(reference, estimate, sample_rate, **options)
        return score(reference, estimate, sample_rate, analysis=analyses[analyse], **options)


def check_pair(reference: Tensor, estimate: Tensor) -> None:
    """Raise AudioError for signals that no metric can compare.

    Shape: [T], [T].
    """
    if reference.shape != estimate.shape:
        raise AudioError(f"{len(reference)} and {len(estimate)} samples, not as many of both")
    if not len(reference):
        raise AudioError("no samples, too short for any metric")
    for name, audio in (("reference", reference), ("estimate", estimate)):
        if not audio.isfinite().all():
            raise AudioError(f"the {name} has samples that are not finite numbers")


def measure(
    scorers: Mapping[str, Scorer], reference: Tensor, estimate: Tensor, sample_rate: int
) -> dict[str, float | AudioError]:
    """Scores by name of one channel, or why there is none; what metrics share is computed once.

    Shape: [T], [T].
    """
    scores: dict[str, float | AudioError] = {}
    analyses: dict[Callable[..., Any], Any] = {}
    for name, scorer in scorers.items():
        try:
            scores[name] = scorer(reference, estimate, sample_rate, analyses)
        except AudioError as error:
            scores[name] = error
    return scores
