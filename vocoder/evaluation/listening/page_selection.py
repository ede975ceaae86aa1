"""Which utterances a listening report plays and shows: the worst, and some of the others."""

import statistics
from collections import defaultdict
from collections.abc import Mapping

from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.report import FileScore


def scores_by_name(evaluation: Evaluation) -> dict[str, dict[str, FileScore]]:
    """Scores of every file: its name → system → score, by name."""
    found: dict[str, dict[str, FileScore]] = defaultdict(dict)
    for system, report in evaluation.reports.items():
        for score in report.files:
            found[score.name][system] = score
    return dict(sorted(found.items()))


def worst_first(evaluation: Evaluation) -> list[str]:
    """Names of all files, by mean rank over all metrics and systems; the worst is the first.

    The rank of a file is the share of the files that score better, by one metric of one system.
    """
    ranks: dict[str, list[float]] = defaultdict(list)
    for report in evaluation.reports.values():
        for metric, facts in report.metrics.items():
            scores = {f.name: f.scores[metric] for f in report.files if metric in f.scores}
            for name, rank in _ranks(scores, lower=facts["better"] == "lower").items():
                ranks[name].append(rank)
    # A file that no metric could score counts as one in the middle.
    means = {name: statistics.fmean(ranks[name] or [0.5]) for name in scores_by_name(evaluation)}
    return sorted(means, key=lambda name: (-means[name], name))


def worst_and_sample(names: list[str], most: int) -> list[str]:
    """At most `most` of names in order: half from the beginning, half evenly from the rest.

    >>> worst_and_sample(["a", "b", "c", "d", "e", "f", "g"], 4)
    ['a', 'b', 'd', 'f']
    """
    if len(names) <= most:
        return names
    head = -(-most // 2)
    rest, count = names[head:], most - head
    # The middles of equal parts of the rest.
    return names[:head] + [rest[(2 * i + 1) * len(rest) // (2 * count)] for i in range(count)]


def _ranks(scores: Mapping[str, float], *, lower: bool) -> dict[str, float]:
    """Share of the other files that score better, equal scores counting half."""
    others = max(1, len(scores) - 1)
    values = list(scores.values())
    ranks = {}
    for name, value in scores.items():
        better = sum(other < value if lower else other > value for other in values)
        equal = values.count(value) - 1
        ranks[name] = (better + equal / 2) / others
    return ranks
