"""Reports of several models side by side, for the terminal and for READMEs."""

from collections.abc import Iterable, Iterator, Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from vocoder.errors import ConfigError
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.evaluation.report import Report

_ARROWS = {"lower": "↓", "higher": "↑"}


def comparison(reports: Mapping[str, Report]) -> Table:
    """Table of reports for the terminal: a row per model, a column per metric, the best in bold.

    Cells are means ± 95 % confidence over files. Fits 80 columns. Raises ConfigError if the reports
    define a metric differently or measured it at different cutoffs, since their scores are not
    comparable.
    """
    metrics = _common_metrics(reports)
    table = Table(caption=_caption(reports), box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("model", overflow="fold")
    for metric in metrics:
        label, _, rest = _heading(metric).rpartition(" (")
        heading = f"{label}\n({rest}" if label else "\n".join(_heading(metric).rsplit(" ", 1))
        table.add_column(heading, justify="right", no_wrap=True)
    best = {metric: _best(reports, metric) for metric in metrics}
    for model, report in reports.items():
        cells = [
            Text(
                _cell(report, metric).replace(" ± ", "\n± ").replace(" (", "\n("),
                style="bold" if model in best[metric] else "",
                justify="right",
            )
            for metric in metrics
        ]
        table.add_row(Text(model), *cells)
    return table


def markdown(reports: Mapping[str, Report]) -> str:
    """Table of reports in Markdown: a row per model, a column per metric, the best in bold.

    Raises ConfigError if the scores are not comparable, like `comparison`.
    """
    metrics = _common_metrics(reports)
    best = {metric: _best(reports, metric) for metric in metrics}
    rows = [["model", *map(_heading, metrics)], ["---", *["---:"] * len(metrics)]]
    for model, report in reports.items():
        cells = [
            f"**{_cell(report, metric)}**" if model in best[metric] else _cell(report, metric)
            for metric in metrics
        ]
        rows.append([model.replace("|", "\\|"), *cells])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", _caption(reports), ""])


def _common_metrics(reports: Mapping[str, Report]) -> list[str]:
    """Names of all metrics in the order of `METRICS`; ConfigError if definitions differ."""
    definitions: dict[str, dict[str, str]] = {}
    for model, report in reports.items():
        for metric, definition in report.metrics.items():
            if definitions.setdefault(metric, definition) != definition:
                raise ConfigError(
                    f"{model}: {metric} was measured by another definition or cutoff than in the "
                    "reports before it; evaluate it again"
                )
    return [metric for metric in METRICS if metric in definitions]


def _heading(metric: str) -> str:
    meta = METRICS[metric]
    unit = f" ({meta.unit})" if meta.unit else ""
    return f"{meta.label}{unit} {_ARROWS[meta.better]}"


def _cell(report: Report, metric: str) -> str:
    """Mean ± confidence, and over how many files where some were skipped."""
    summary = report.summary.get(metric)
    if summary is None:
        return "–"
    decimals = METRICS[metric].decimals
    text = f"{summary.mean:.{decimals}f}"
    if summary.half_width is not None:
        text += f" ± {summary.half_width:.{decimals}f}"
    return f"{text} ({summary.files} files)" if summary.skipped else text


def _best(reports: Mapping[str, Report], metric: str) -> set[str]:
    """Models with the best mean, as printed; none if a single model has the metric."""
    decimals, better = METRICS[metric].decimals, METRICS[metric].better
    means = {
        model: round(report.summary[metric].mean, decimals)
        for model, report in reports.items()
        if metric in report.summary
    }
    if len(means) < 2:
        return set()
    best = min(means.values()) if better == "lower" else max(means.values())
    return {model for model, mean in means.items() if mean == best}


def _caption(reports: Mapping[str, Report]) -> str:
    """Number and rate of the files, whether they are all and whole, and the cutoff."""
    files = {model: {(f.name, f.sample_rate) for f in r.files} for model, r in reports.items()}
    counts = {model: f"{len(found)} files at {_rates(found)}" for model, found in files.items()}
    if len({frozenset(found) for found in files.values()}) == 1:
        over = next(iter(counts.values()))
    else:
        listed = ", ".join(f"{model} {count}" for model, count in counts.items())
        over = f"DIFFERENT files or rates: {listed}"
    facts = (about for report in reports.values() for about in report.metrics.values())
    cutoffs = sorted({about["cutoff"] for about in facts if "cutoff" in about})
    ended = f"; narrow band up to {', '.join(cutoffs)}" if cutoffs else ""
    lacks = "".join(f"; {model}: {text}" for model, r in reports.items() for text in _lacks(r))
    return f"mean ± 95 % confidence over {over}{ended}{lacks}"


def _lacks(report: Report) -> Iterator[str]:
    """What the scores of a report do not cover: parts of files, and files."""
    short = {name: gap for name, gap in report.gaps.items() if gap > 0.0}
    longer = {name: -gap for name, gap in report.gaps.items() if gap < 0.0}
    if short:
        name = max(short, key=lambda name: short[name])
        yield (
            f"{len(short)} of {len(report.files)} files lack up to {short[name]:.0%} of the "
            f"reference ({name}), which is not scored"
        )
    if longer:
        name = max(longer, key=lambda name: longer[name])
        yield (
            f"{len(longer)} of {len(report.files)} files are up to {longer[name]:.0%} longer than "
            f"the reference ({name}); are the folders swapped?"
        )
    if report.unscored:
        yield f"{len(report.unscored)} files are not scored"


def _rates(files: Iterable[tuple[str, int]]) -> str:
    rates = sorted({rate for _, rate in files})
    return "/".join(map(str, rates)) + " Hz"
