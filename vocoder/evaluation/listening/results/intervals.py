"""Intervals and tests for answers of listeners to utterances, and the number of listeners needed.

Listeners and utterances are both samples: a conclusion is about other listeners and other
utterances, as far as those in the test stand for them.
"""

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vocoder.evaluation.statistics import holm, scipy_stats, signed_rank

Ratings = NDArray[np.float64]
CONFIDENCE, ALPHA, POWER = 0.95, 0.05, 0.8
_MOST = 10_000  # listeners or trials that are worth naming
_WILCOXON = math.pi / 3  # times as many as the t-test needs, for normal differences
RATING_METHOD = (
    "means over listeners and utterances; 95 % intervals: t, of a two-way random-effects model of "
    "listeners × utterances (Satterthwaite 1946), cut to the scale; tests: Wilcoxon signed-rank, "
    "two-sided, Holm-corrected over all pairs, once over the listeners' means and once over the "
    "utterances' means: a difference counts as found where both have p < 0.05"
)
CHOICE_METHOD = (
    "exact binomial tests, {side}, Holm-corrected over the comparisons; 95 % intervals: Clopper "
    "and Pearson (1934). They take all answers as independent, which holds where nobody hears a "
    "difference; where some do, the interval is of these listeners and these utterances"
)


class Crossed(NamedTuple):
    """Mean over listeners and utterances, and its 95 % interval, None for one listener."""

    mean: float
    low: float | None
    high: float | None


def crossed_mean(values: Ratings, scale: tuple[float, float] = (0.0, 100.0)) -> Crossed:
    """Mean and interval where every listener answered every utterance.

    value = mean + listener + utterance + rest, each random. The variance of the mean is
    (MS_listeners + MS_utterances - MS_rest) / (listeners * utterances), with the degrees of freedom
    of Satterthwaite (1946), and at least that of either factor alone. In simulations (see the
    tests) it covers the truth in 94.5 to 98 % of cases, where resampling of listeners and of
    utterances covers it in 91 to 99.9 %.

    Shape: [listeners, utterances].
    """
    listeners, utterances = values.shape
    mean = float(values.mean())
    if listeners < 2:
        return Crossed(mean, None, None)
    rows, columns = values.mean(1) - mean, values.mean(0) - mean
    ms_rows = utterances * float((rows**2).sum()) / (listeners - 1)
    if utterances < 2:
        variance, freedom = ms_rows, float(listeners - 1)
    else:
        rest = values - mean - rows[:, None] - columns
        ms_columns = listeners * float((columns**2).sum()) / (utterances - 1)
        degrees = (listeners - 1, utterances - 1, (listeners - 1) * (utterances - 1))
        ms_rest = float((rest**2).sum()) / degrees[2]
        variance, freedom = _combined((ms_rows, ms_columns, ms_rest), degrees)
    width = scipy_stats().t.ppf(0.5 + CONFIDENCE / 2, freedom) * math.sqrt(variance / values.size)
    return Crossed(mean, max(scale[0], mean - width), min(scale[1], mean + width))


def _combined(
    squares: tuple[float, float, float], degrees: tuple[int, int, int]
) -> tuple[float, float]:
    """Variance of the mean, times the number of values, and its degrees of freedom."""
    total = squares[0] + squares[1] - squares[2]
    larger = 0 if squares[0] >= squares[1] else 1
    if total <= squares[larger]:
        return squares[larger], float(degrees[larger])
    parts = sum(ms**2 / count for ms, count in zip(squares, degrees, strict=True))
    return total, max(1.0, total**2 / parts)


class RatingTest(NamedTuple):
    """Difference of two conditions, the first less the second.

    `p_listeners` and `p_utterances` are of Wilcoxon tests over the means of each listener and of
    each utterance, Holm-corrected; None where there are fewer than six. `needed` is how many
    listeners would find the difference in 80 % of tests with these utterances, were it true.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p_listeners: float | None
    p_utterances: float | None
    needed: int | None


def rating_tests(ratings: Mapping[str, Ratings]) -> list[RatingTest]:
    """Tests of every two conditions; shape of the ratings of each: [listeners, utterances]."""
    differences = {
        (first, second): ratings[first] - ratings[second]
        for first, second in itertools.combinations(ratings, 2)
    }
    crossed = {pair: crossed_mean(v, (-100.0, 100.0)) for pair, v in differences.items()}
    by_listener, by_utterance = (
        _corrected({pair: values.mean(axis) for pair, values in differences.items()})
        for axis in (1, 0)
    )
    return [
        RatingTest(
            first=pair[0],
            second=pair[1],
            difference=crossed[pair].mean,
            low=crossed[pair].low,
            high=crossed[pair].high,
            p_listeners=by_listener.get(pair),
            p_utterances=by_utterance.get(pair),
            needed=listeners_needed(values.mean(1)),
        )
        for pair, values in differences.items()
    ]


def _corrected(differences: Mapping[tuple[str, str], Ratings]) -> dict[tuple[str, str], float]:
    """Corrected p of each pair, where there is one."""
    found = {pair: signed_rank(values.tolist()) for pair, values in differences.items()}
    return holm({pair: p for pair, p in found.items() if p is not None})


def listeners_needed(differences: Ratings) -> int | None:
    """Listeners with whom a Wilcoxon test (α 0.05, two-sided) finds a difference in 80 % of tests.

    The difference and its spread over listeners are taken as they were seen; both are uncertain.
    Normal differences are assumed, for which the test needs π/3 times as many as a t-test. None if
    there is no difference, a single listener, or more than 10,000 are needed.

    Shape: [listeners].
    """
    if len(differences) < 2:
        return None
    mean, spread = abs(float(differences.mean())), float(differences.std(ddof=1))
    if mean == 0.0:
        return None
    fewest = 6  # of whom a signed-rank test can find anything
    if spread < 1e-9 * mean:
        return fewest
    counts = np.arange(2, _MOST + 1)
    stats = scipy_stats()
    critical = stats.t.ppf(1.0 - ALPHA / 2, counts - 1)
    power = stats.nct.sf(critical, counts - 1, np.sqrt(counts) * mean / spread)
    enough = counts[power >= POWER]
    if not len(enough):
        return None
    needed = max(fewest, math.ceil(float(enough[0]) * _WILCOXON))
    return needed if needed <= _MOST else None


class ShareTest(NamedTuple):
    """Some of all answers, their share with its 95 % interval, and p of chance (one half)."""

    chosen: int
    total: int
    share: float
    low: float
    high: float
    p: float


def share_test(count: int, total: int, *, one_sided: bool) -> ShareTest:
    """Exact binomial test against one half, and the interval of Clopper and Pearson."""
    side = "greater" if one_sided else "two-sided"
    interval = scipy_stats().binomtest(count, total).proportion_ci(CONFIDENCE, method="exact")
    p = scipy_stats().binomtest(count, total, alternative=side).pvalue
    return ShareTest(
        count, total, count / total, float(interval.low), float(interval.high), float(p)
    )


def answers_needed(share: float, *, one_sided: bool) -> int | None:
    """Fewest answers of which a binomial test (α 0.05) finds a true share in 80 % of tests.

    None if the share is not above one half (or is one half, in a two-sided test), or more than
    10,000 are needed.
    """
    if not one_sided:
        share = max(share, 1.0 - share)
    if share <= 0.5:
        return None
    binom = scipy_stats().binom
    counts = np.arange(1, _MOST + 1)
    alpha = ALPHA if one_sided else ALPHA / 2
    critical = binom.isf(alpha, counts, 0.5)  # more right answers than these are found
    enough = counts[binom.sf(critical, counts, share) >= POWER]
    return int(enough[0]) if len(enough) else None
