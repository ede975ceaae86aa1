"""Means with bootstrap intervals, and paired tests between systems."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from vocoder.errors import ConfigError

T = TypeVar("T")
RESAMPLES, SEED, CONFIDENCE = 9999, 0, 0.95
FEWEST_FOR_P = 6  # of fewer pairs, no signed-rank test can reach p < 0.05
METHOD = (
    f"means over files; {CONFIDENCE:.0%} intervals: BCa bootstrap over files, {RESAMPLES} "
    f"resamples, seed {SEED}; paired tests: Wilcoxon signed-rank over common files, two-sided, "
    f"Holm-corrected over the pairs of systems, from {FEWEST_FOR_P} files on"
)


class Summary(NamedTuple):
    """Mean of a metric over files and its 95 % interval, None for a single file."""

    mean: float
    low: float | None
    high: float | None
    files: int
    skipped: int


class PairedTest(NamedTuple):
    """Difference of two systems by a metric over the files that both have a score for.

    `difference` is the mean of first - second, with its 95 % bootstrap interval (None for a single
    file). `p` is of the two-sided Wilcoxon signed-rank test, corrected by Holm's method (1979) for
    the number of pairs of systems; None for fewer than six files.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    files: int


def summary(values: Sequence[float], *, skipped: int) -> Summary:
    """Mean and interval of scores, at least one."""
    return Summary(statistics.fmean(values), *mean_interval(values), len(values), skipped)


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of the mean by the bias-corrected and accelerated bootstrap (Efron 1987).

    None for a single value; equal values have an interval without width. Raises ConfigError
    without scipy.
    """
    if len(values) < 2:
        return None, None
    if math.isclose(min(values), max(values), abs_tol=1e-12):  # to the rounding of the scores
        return values[0], values[0]
    interval = (
        scipy_stats()
        .bootstrap(
            (values,),
            _mean,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="BCa",
            vectorized=True,
            rng=SEED,
        )
        .confidence_interval
    )
    return float(interval.low), float(interval.high)


def paired_tests(scores: Mapping[str, Mapping[str, float]]) -> list[PairedTest]:
    """Tests of every two systems that have files in common; `scores` is system → file → score."""
    tests = []
    for first, second in itertools.combinations(scores, 2):
        common = sorted(scores[first].keys() & scores[second].keys())
        differences = [scores[first][name] - scores[second][name] for name in common]
        if differences:
            mean, interval = statistics.fmean(differences), mean_interval(differences)
            p = signed_rank(differences)
            tests.append(PairedTest(first, second, mean, *interval, p, len(common)))
    corrected = holm({i: test.p for i, test in enumerate(tests) if test.p is not None})
    return [test._replace(p=corrected.get(i)) for i, test in enumerate(tests)]


def holm(values: Mapping[T, float]) -> dict[T, float]:
    """Correct p values for their number by Holm's method (1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    found, highest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(values) - rank) * p))
        found[name] = highest
    return found


def signed_rank(differences: Sequence[float]) -> float | None:
    """Two-sided p of the Wilcoxon signed-rank test; None for fewer than six differences."""
    if len(differences) < FEWEST_FOR_P:
        return None
    if not any(differences):
        return 1.0
    return float(scipy_stats().wilcoxon(differences, zero_method="zsplit").pvalue)


def _mean(values: Any, axis: int) -> Any:
    return values.mean(axis=axis)


def scipy_stats() -> Any:
    """The module `scipy.stats`; ConfigError if it is missing."""
    try:
        from scipy import stats
    except ImportError as error:
        raise ConfigError("confidence intervals need scipy: pip install 'vocoder[eval]'") from error
    return stats
