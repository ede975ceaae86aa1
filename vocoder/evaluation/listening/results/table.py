"""Tables of the results of a listening test, for the terminal, Markdown and pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from vocoder.evaluation.listening.results.analysis import Comparison, ListeningResults, Rated
from vocoder.evaluation.listening.results.intervals import ALPHA


@dataclass(frozen=True)
class ResultTable:
    """Rows of text; the first column holds names, the others mostly numbers."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(
            title=self.title,
            title_justify="left",
            caption=self.note or None,
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1),
            show_edge=False,
        )
        for i, heading in enumerate(self.head):
            if i == 0:
                table.add_column(heading, overflow="fold")
                continue
            words = [heading, *(row[i] for row in self.rows)]
            longest = max(len(word) for text in words for word in text.split())
            table.add_column(heading, justify="right", min_width=longest)
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def markdown(self) -> str:
        """As a table in Markdown, below its title."""
        cells = [self.head, ["---", *["---:"] * (len(self.head) - 1)], *self.rows]
        lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells]
        return "\n".join([f"**{self.title}**", "", *lines, *(["", self.note] if self.note else [])])


def tables(results: ListeningResults) -> list[ResultTable]:
    """All tables, the most important one first."""
    if isinstance(results.outcome, Rated):
        return list(_of_ratings(results.outcome))
    return list(_of_choices(results.outcome, results.kind == "abx"))


def markdown(results: ListeningResults) -> str:
    """All tables and notes in Markdown."""
    parts = [each.markdown() for each in tables(results)]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in results.notes), ""])


def _of_ratings(rated: Rated) -> Iterator[ResultTable]:
    count = f"{len(rated.listeners)} listeners, {len(rated.utterances)} utterances"
    rows = [
        [name, f"{mean.mean:.1f}", _interval(mean.low, mean.high, 1), f"{np.median(values):.0f}"]
        for (name, mean), values in zip(rated.means.items(), rated.ratings.values(), strict=True)
    ]
    head = ["system", "mean", "95 % interval", "median"]
    yield ResultTable(f"Ratings, 0 to 100 ({count})", head, rows)
    head = ["difference", "mean", "95 % interval", "p listeners", "p utterances", "found"]
    rows = [
        [
            f"{test.first} − {test.second}",
            f"{test.difference:+.1f}",
            _interval(test.low, test.high, 1, sign=True),
            _p(test.p_listeners),
            _p(test.p_utterances),
            _found(test.p_listeners, test.p_utterances),
            _count(test.needed),
        ]
        for test in rated.tests
    ]
    note = (
        "found: both p < 0.05. listeners needed: to find the difference as seen in 80 % of tests "
        "with these utterances (p listeners, uncorrected); a guide for planning, as uncertain as "
        "the difference. –: fewer than six, or no difference"
    )
    yield ResultTable("Paired tests", [*head, "listeners needed"], rows, note)
    order = np.argsort(np.mean([values.mean(0) for values in rated.ratings.values()], axis=0))
    rows = [
        [rated.utterances[i], *(f"{v[:, i].mean():.1f}" for v in rated.ratings.values())]
        for i in order
    ]
    yield ResultTable("Means of each utterance, the lowest first", ["", *rated.ratings], rows)


def _of_choices(comparisons: Sequence[Comparison], abx: bool) -> Iterator[ResultTable]:
    counted = "right" if abx else "prefer the first"
    head = ["comparison", counted, "share", "95 % interval", "p", "found", "answers needed"]
    rows = [
        [
            _pair(each, abx),
            f"{each.overall.chosen} of {each.overall.total}",
            f"{each.overall.share:.0%}",
            _interval(100 * each.overall.low, 100 * each.overall.high, 0) + " %",
            _p(each.p),
            "yes" if each.p < ALPHA else "no",
            _count(each.needed),
        ]
        for each in comparisons
    ]
    note = (
        "answers needed: to find the share as seen in 80 % of tests (uncorrected); a guide for "
        "planning, as uncertain as the share. –: at chance or below"
    )
    yield ResultTable("Differences heard" if abx else "Preferences", head, rows, note)
    for title, parts in (
        ("By listener", [each.by_listener for each in comparisons]),
        ("By utterance", [each.by_utterance for each in comparisons]),
    ):
        names = sorted({name for part in parts for name in part})
        rows = [
            [name, *(f"{p[name].chosen} of {p[name].total}" if name in p else "–" for p in parts)]
            for name in names
        ]
        yield ResultTable(f"{title}: {counted}", ["", *(_pair(c, abx) for c in comparisons)], rows)


def _pair(comparison: Comparison, abx: bool) -> str:
    return (" or " if abx else " before ").join(comparison.pair)


def _interval(low: float | None, high: float | None, decimals: int, *, sign: bool = False) -> str:
    if low is None or high is None:
        return "–"
    plus = "+" if sign else ""
    return f"[{low:{plus}.{decimals}f}, {high:{plus}.{decimals}f}]"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _found(*values: float | None) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "too few"
    return "yes" if max(known) < ALPHA else "no"


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)
