"""Tables of an evaluation, for the terminal and for READMEs."""

import statistics
from collections.abc import Iterable, Iterator, Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.evaluation.report import Report
from vocoder.evaluation.statistics import Summary

SIGNIFICANT = 0.05
_ARROWS = {"lower": "↓", "higher": "↑"}


def comparison(evaluation: Evaluation) -> Table:
    """Table for the terminal: a row per metric, a column per system, the best in bold.

    Cells are means over files and their 95 % intervals. Raises ConfigError if systems define a
    metric differently or measured it at different cutoffs, since their scores are not comparable.
    """
    table = Table(
        caption=caption(evaluation),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        show_edge=False,
    )
    table.add_column("", no_wrap=True)
    for system in evaluation.reports:
        table.add_column(Text(system), justify="right", overflow="fold")
    between = "\n[" if len(evaluation.reports) > 2 else " ["
    for heading, cells in _columns(evaluation):
        texts = [
            Text(cell.replace(" [", between), style="bold" if bold else "", justify="right")
            for cell, bold in cells.values()
        ]
        table.add_row(heading, *texts)
    return table


def markdown(evaluation: Evaluation) -> str:
    """Table in Markdown: a row per system, a column per metric, the best in bold.

    Raises ConfigError if the scores are not comparable, like `comparison`.
    """
    columns = list(_columns(evaluation))
    rows = [["system", *(heading for heading, _ in columns)], ["---", *["---:"] * len(columns)]]
    for system in evaluation.reports:
        cells = [f"**{c}**" if bold else c for c, bold in (cells[system] for _, cells in columns)]
        rows.append([system.replace("|", "\\|"), *cells])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", "; ".join([caption(evaluation), *notes(evaluation)]), ""])


def worst_files(evaluation: Evaluation, metric: str, count: int) -> Table:
    """Table of the files with the worst scores by a metric, at most `count` of them."""
    about = METRICS[metric]
    found = [
        (file.scores[metric], system, file.name)
        for system, report in evaluation.reports.items()
        for file in report.files
        if metric in file.scores
    ]
    found.sort(reverse=about.better == "lower")
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in ("worst files", "system"):
        table.add_column(heading, overflow="fold")
    table.add_column(_heading(metric), justify="right", no_wrap=True)
    for score, system, name in found[:count]:
        table.add_row(Text(name), Text(system), f"{score:.{about.decimals}f}")
    return table


Cells = dict[str, tuple[str, bool]]


def _columns(evaluation: Evaluation) -> Iterator[tuple[str, Cells]]:
    """Headings, and the text of each system and whether it is bold."""
    reports = evaluation.reports
    for metric in (name for name in METRICS if name in evaluation.metrics):
        best = best_systems(evaluation, metric)
        decimals = METRICS[metric].decimals
        summaries = {system: report.summary.get(metric) for system, report in reports.items()}
        yield (
            _heading(metric),
            {name: (_cell(found, decimals), name in best) for name, found in summaries.items()},
        )
    if any(report.frechet is not None for report in reports.values()):
        distances = {name: report.frechet for name, report in reports.items()}
        yield (
            "Fréchet ↓",
            {n: (f"{d:.2f}" if isinstance(d, float) else "–", False) for n, d in distances.items()},
        )
    speeds = {n: [f.speed for f in r.files if f.speed is not None] for n, r in reports.items()}
    if any(speeds.values()):
        yield (
            "speed (× real time) ↑",
            {n: (f"{statistics.median(s):.1f}" if s else "–", False) for n, s in speeds.items()},
        )


def best_systems(evaluation: Evaluation, metric: str) -> set[str]:
    """Systems with the best mean, as printed, and those that no test tells from one of them.

    None if a single system has the metric, or if no system is told from the best.
    """
    decimals, better = METRICS[metric].decimals, METRICS[metric].better
    means = {
        system: round(report.summary[metric].mean, decimals)
        for system, report in evaluation.reports.items()
        if metric in report.summary
    }
    if len(means) < 2:
        return set()
    top = min(means.values()) if better == "lower" else max(means.values())
    best = {system for system, mean in means.items() if mean == top}
    told = {
        other
        for test in evaluation.paired(metric)
        for one, other in ((test.first, test.second), (test.second, test.first))
        if one in best and test.p is not None and test.p < SIGNIFICANT
    }
    return means.keys() - (told - best) if told - best else set()


def _heading(metric: str) -> str:
    about = METRICS[metric]
    unit = f" ({about.unit})" if about.unit else ""
    return f"{about.label}{unit} {_ARROWS[about.better]}"


def _cell(found: Summary | None, decimals: int) -> str:
    """Mean and interval, and over how many files where some were skipped."""
    if found is None:
        return "–"
    text = f"{found.mean:.{decimals}f}"
    if found.low is not None and found.high is not None:
        text += f" [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"
    return f"{text} ({found.files} files)" if found.skipped else text


def caption(evaluation: Evaluation) -> str:
    """What the table shows: means over which files at which rate, the cutoff, what is bold."""
    reports = evaluation.reports
    files = {system: {(f.name, f.sample_rate) for f in r.files} for system, r in reports.items()}
    counts = {
        system: f"{len(found)} file{'s' * (len(found) != 1)} at {_rates(found)}"
        for system, found in files.items()
    }
    if len({frozenset(found) for found in files.values()}) == 1:
        over = next(iter(counts.values()))
    else:
        listed = ", ".join(f"{system} {count}" for system, count in counts.items())
        over = f"DIFFERENT files or rates: {listed}"
    facts = evaluation.metrics.values()
    cutoffs = sorted({about["cutoff"] for about in facts if "cutoff" in about})
    ended = f"; narrow band up to {', '.join(cutoffs)}" if cutoffs else ""
    bold = ""
    if len(reports) > 1:
        bold = (
            "; bold: the best, and what a paired test (Wilcoxon, Holm) does not tell from it, "
            "where it tells any"
        )
    return f"mean [95 % bootstrap interval] over {over}{ended}{bold}"


def notes(evaluation: Evaluation) -> list[str]:
    """What the reader of the scores must know: gaps, delays, files without a score, artefacts."""
    return [f"{system}: {text}" for system, r in evaluation.reports.items() for text in _notes(r)]


def _notes(report: Report) -> Iterator[str]:
    yield from _gaps(report)
    if delays := report.delays:
        name = max(delays, key=lambda name: abs(delays[name]))
        removed = any(file.alignment.removed for file in report.files)
        done = "was removed before scoring" if removed else "was not removed"
        yield (
            f"{len(delays)} of {len(report.files)} files are delayed, by up to "
            f"{1000 * delays[name]:.2f} ms ({name}), which {done}"
        )
    yield from _skips(report)
    if isinstance(report.frechet, str):
        yield report.frechet
    if report.unscored:
        count = len(report.unscored)
        yield f"{count} file{' is' if count == 1 else 's are'} not scored"
    if found := report.artefacts:
        listed = ", ".join(f"{name} {count}" for name, count in found.items())
        yield f"files with artefacts: {listed}"


def _gaps(report: Report) -> Iterator[str]:
    """Parts of files that the scores do not cover."""
    short = {name: gap for name, gap in report.gaps.items() if gap > 0.0}
    longer = {name: -gap for name, gap in report.gaps.items() if gap < 0.0}
    if short:
        name = _largest(short)
        yield (
            f"{len(short)} of {len(report.files)} files lack up to {short[name]:.0%} of the "
            f"reference ({name}), which is not scored"
        )
    if longer:
        name = _largest(longer)
        yield (
            f"{len(longer)} of {len(report.files)} files are up to {longer[name]:.0%} longer than "
            f"the reference ({name}); are the folders swapped?"
        )


def _skips(report: Report) -> Iterator[str]:
    """What some files have no score of, and why; metrics with the same reasons share a line."""
    names = dict.fromkeys(name for file in report.files for name in file.skipped)
    together: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name in names:
        reasons = ((f.name, f.skipped[name]) for f in report.files if name in f.skipped)
        together.setdefault(tuple(reasons), []).append(name)
    for files, skipped in together.items():
        name, reason = files[0]
        yield (
            f"{len(files)} of {len(report.files)} files have no {', '.join(skipped)} "
            f"({name}: {reason})"
        )


def _largest(shares: Mapping[str, float]) -> str:
    return max(shares, key=lambda name: shares[name])


def _rates(files: Iterable[tuple[str, int]]) -> str:
    rates = sorted({rate for _, rate in files})
    return "/".join(map(str, rates)) + " Hz"
