"""Tables and sentences of the listening report, as text for its template."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vocoder.evaluation.artefacts.catalogue import DETECTORS
from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.evaluation.report import FileScore, Report
from vocoder.evaluation.statistics import PairedTest

SIGNIFICANT = 0.05  # p of a paired test that is marked
Tests = Mapping[str, Sequence[PairedTest]]
"""Paired tests by metric."""


def metric_facts(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Label, unit, direction, decimals and definition of every metric, in the report's order."""
    return [
        {
            "name": name,
            "label": METRICS[name].label if name in METRICS else name,
            "unit": facts["unit"],
            "better": facts["better"],
            "decimals": METRICS[name].decimals if name in METRICS else 3,
            "facts": "; ".join(f"{k}: {v}" for k, v in facts.items() if v and k != "definition"),
            "definition": _paragraphs(facts["definition"]),
        }
        for name, facts in evaluation.metrics.items()
    ]


def summary_table(evaluation: Evaluation, tests: Tests) -> dict[str, Any]:
    """Means with intervals, a row per metric, and counts: what the page shows first."""
    reports = evaluation.reports
    rows = []
    for metric in metric_facts(evaluation):
        best = _best(reports, metric)
        differ = _different(tests[metric["name"]])
        cells = [
            _mean_cell(report, metric, "*" if differ & {(system, b) for b in best} else "")
            | {"best": system in best}
            for system, report in reports.items()
        ]
        rows.append({key: metric[key] for key in ("label", "unit", "better")} | {"cells": cells})
    if any(report.frechet is not None for report in reports.values()):
        cells = [_frechet_cell(report) for report in reports.values()]
        rows.append({"label": "Fréchet distance", "unit": "", "better": "lower", "cells": cells})
    caption = (
        "Mean over the files, and below it its 95 % confidence interval. ↓ lower, ↑ higher is "
        "better; the best mean is bold."
    )
    if len(reports) > 1:
        caption += f" *: differs from the best by a paired test, p < {SIGNIFICANT:g}."
    return {"caption": caption, "rows": rows, "counts": _counts(list(reports.values()))}


def paired_rows(evaluation: Evaluation, tests: Tests) -> list[dict[str, Any]]:
    """The paired tests of every two systems, a row each."""
    return [
        {
            "metric": metric["label"],
            "first": test.first,
            "second": test.second,
            "value": test.difference,
            "text": signed(test.difference, metric["decimals"]),
            "interval": _range(test.low, test.high, metric["decimals"], sign=True),
            "p": "" if test.p is None else test.p,
            "p_text": _probability(test.p),
            "files": test.files,
        }
        for metric in metric_facts(evaluation)
        for test in tests[metric["name"]]
    ]


def notes(evaluation: Evaluation) -> list[str]:
    """What the reader must know beside the means, a sentence each."""
    found = []
    for system, report in evaluation.reports.items():
        files = _files(len(report.files))
        found += [f"{system}: {each}." for each in (*_lengths(report), *_late(report))]
        skipped = Counter((m, r) for file in report.files for m, r in file.skipped.items())
        for (metric, reason), count in skipped.most_common():
            label = METRICS[metric].label if metric in METRICS else metric
            found.append(f"{system}: {label} has no score for {count} of {files}: {reason}.")
        if report.unscored:
            missing = _files(len(report.unscored))
            found.append(f"{system}: {missing} could not be compared, as listed below.")
    return found


def detector_facts(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Label, definition and remedy of every detector that found something."""
    names = {name for report in evaluation.reports.values() for name in report.artefacts}
    return [
        {
            "name": name,
            "label": each.label,
            "definition": _paragraphs(each.definition),
            "remedy": each.remedy,
        }
        for name, each in DETECTORS.items()
        if name in names
    ]


def detector_label(name: str) -> str:
    """What the page calls a detector."""
    return DETECTORS[name].label if name in DETECTORS else name


def unscored_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """The files that could not be compared at all, with the reason."""
    return [
        {"system": system, "name": name, "reason": reason}
        for system, report in evaluation.reports.items()
        for name, reason in report.unscored.items()
    ]


def all_rows(
    evaluation: Evaluation, metrics: Sequence[dict[str, Any]], anchors: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for every file of every system; `anchors` are those of the utterances on the page."""
    return [
        {
            "name": score.name,
            "anchor": anchors.get(score.name, ""),
            "system": system,
            "cells": [score_cell(metric, score) for metric in metrics],
            "delay": f"{delay_ms(score):.2f}",
            "gap": f"{100 * score.gap:.1f}",
            "artefacts": len(score.artefacts),
        }
        for system, report in evaluation.reports.items()
        for score in report.files
    ]


def score_cell(metric: dict[str, Any], score: FileScore | None) -> dict[str, str]:
    """Text and value of one score; `why` says why there is none."""
    if score is None:
        return {"text": "–", "value": "", "why": "no file"}
    if metric["name"] not in score.scores:
        return {"text": "–", "value": "", "why": score.skipped.get(metric["name"], "")}
    value = score.scores[metric["name"]]
    return {"text": f"{value:.{metric['decimals']}f}", "value": repr(value), "why": ""}


def signed(value: float, decimals: int) -> str:
    """A number with its sign, a true minus.

    >>> signed(-0.5, 1), signed(0.0, 1)
    ('−0.5', '0.0')
    """
    text = f"{abs(value):.{decimals}f}"
    return text if float(text) == 0.0 else ("−" if value < 0 else "+") + text


def delay_ms(score: FileScore) -> float:
    """Delay of the estimate in milliseconds, positive if it is late."""
    return 1000.0 * score.alignment.delay / score.sample_rate


def _paragraphs(definition: str) -> list[str]:
    """The paragraphs of a docstring for a reader: without shapes and the marks of code."""
    paragraphs = [" ".join(each.split()) for each in definition.replace("`", "").split("\n\n")]
    return [each for each in paragraphs if not each.startswith("Shape:")]


def _lengths(report: Report) -> list[str]:
    """A sentence on files of another length than their references, if there are any."""
    if not report.gaps:
        return []
    name, gap = max(report.gaps.items(), key=lambda item: abs(item[1]))
    word = "lacks" if gap > 0 else "exceeds its reference by"
    return [
        f"{len(report.gaps)} of {_files(len(report.files))} differ in length from their references "
        f"by more than a window, which no score counts; {name} {word} {100 * abs(gap):.1f} %"
    ]


def _late(report: Report) -> list[str]:
    """A sentence on delays, if there are any."""
    late = [score for score in report.files if score.alignment.delay]
    if not late:
        return []
    most = max(late, key=lambda score: abs(delay_ms(score)))
    done = "removed before scoring" if most.alignment.removed else "not removed"
    return [
        f"{len(late)} of {_files(len(report.files))} are delayed, by up to "
        f"{signed(delay_ms(most), 2)} ms ({most.name}), which was {done}"
    ]


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _best(reports: Any, metric: dict[str, Any]) -> set[str]:
    """Systems of the best mean, as far as the decimals tell; none where there is one system."""
    means = {
        system: round(report.summary[metric["name"]].mean, metric["decimals"])
        for system, report in reports.items()
        if metric["name"] in report.summary
    }
    if len(means) < 2:
        return set()
    best = (min if metric["better"] == "lower" else max)(means.values())
    return {system for system, mean in means.items() if mean == best}


def _different(tests: Sequence[PairedTest]) -> set[tuple[str, str]]:
    """Pairs of systems whose scores differ significantly, both ways round."""
    found = [(t.first, t.second) for t in tests if t.p is not None and t.p < SIGNIFICANT]
    return {*found, *((second, first) for first, second in found)}


def _mean_cell(report: Report, metric: dict[str, Any], mark: str) -> dict[str, str]:
    summary = report.summary.get(metric["name"])
    if summary is None:
        return {"text": "–", "interval": "no score"}
    interval = _range(summary.low, summary.high, metric["decimals"])
    if summary.skipped:
        interval += f", {summary.files} of {summary.files + summary.skipped} files"
    return {"text": f"{summary.mean:.{metric['decimals']}f}{mark}", "interval": interval}


def _frechet_cell(report: Report) -> dict[str, Any]:
    known = isinstance(report.frechet, float)
    text = f"{report.frechet:.3g}" if known else "–"
    return {"text": text, "interval": "" if known else report.frechet or "", "best": False}


def _counts(each: Sequence[Report]) -> list[dict[str, Any]]:
    """Rows of counts: files, skips, lengths, delays, artefacts, speed."""
    rows = {
        "files compared": [_count(len(r.files)) for r in each],
        "files not compared": [_count(len(r.unscored)) for r in each],
        "scores skipped": [_count(sum(len(f.skipped) for f in r.files)) for r in each],
        "files of another length": [_count(len(r.gaps)) for r in each],
        "median delay, ms": [_delays(r) for r in each],
    }
    detectors = sorted({a["detector"] for r in each for f in r.files for a in f.artefacts})
    for detector in detectors:
        rows[f"artefacts: {detector_label(detector)}"] = [_found(r, detector) for r in each]
    speeds = [[f.speed for f in r.files if f.speed is not None] for r in each]
    if any(speeds):
        rows["speed, times real time"] = [
            _count(f"{statistics.median(s):.1f}" if s else "–") for s in speeds
        ]
    return [{"label": label, "cells": cells} for label, cells in rows.items()]


def _range(low: float | None, high: float | None, digits: int, *, sign: bool = False) -> str:
    if low is None or high is None:
        return "one file"
    if sign or low < 0.0:
        return f"{signed(low, digits)} to {signed(high, digits)}"
    return f"{low:.{digits}f}–{high:.{digits}f}"


def _probability(p: float | None) -> str:
    if p is None:
        return "too few files"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _count(value: object, more: str = "") -> dict[str, str]:
    return {"text": str(value), "more": more}


def _delays(report: Report) -> dict[str, str]:
    delays = [delay_ms(score) for score in report.files]
    if not delays:
        return _count("–")
    largest = signed(max(delays, key=abs), 2)
    return _count(signed(statistics.median(delays), 2), f"largest {largest}" if any(delays) else "")


def _found(report: Report, detector: str) -> dict[str, str]:
    files = [sum(a["detector"] == detector for a in f.artefacts) for f in report.files]
    return _count(sum(files), f"in {_files(sum(map(bool, files)))}" if any(files) else "")
