"""Tables show every model and metric, and mark the best."""

import dataclasses
import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from vocoder.errors import ConfigError
from vocoder.evaluation import table
from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.metrics.catalogue import EXTENSION, METRICS
from vocoder.evaluation.report import FileScore, Report


def report(log_mel: list[float], pesq: list[float]) -> Report:
    """Every file has a log-mel error; those past the end of `pesq` were skipped by it."""
    files = tuple(
        FileScore(
            name=f"file{n}",
            sample_rate=24000,
            seconds=1.0,
            extra_samples=0,
            scores={"log_mel": value} | ({"pesq_wb": pesq[n]} if n < len(pesq) else {}),
            skipped={} if n < len(pesq) else {"pesq_wb": "silent"},
        )
        for n, value in enumerate(log_mel)
    )
    metrics = {
        name: {"unit": m.unit, "better": m.better, "definition": m.definition}
        for name, m in METRICS.items()
        if name in ("log_mel", "pesq_wb")
    }
    return Report(metrics=metrics, versions={}, files=files, unscored={})


REPORTS = {
    "griffin-lim": report([0.2, 0.3, 0.4], [3.0, 3.0, 3.0]),
    "[mine]": report([0.1, 0.1, 0.1], [2.0, 2.5]),
}


def evaluation(reports: dict[str, Report]) -> Evaluation:
    return Evaluation(reference=Path("ref"), reports=reports)


def markdown(reports: dict[str, Report]) -> str:
    return table.markdown(evaluation(reports))


def rendered(reports: dict[str, Report]) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table.comparison(evaluation(reports)))
    return console.export_text()


def test_all_models_and_metrics_appear_in_markdown() -> None:
    text = markdown(REPORTS)
    for expected in ("griffin-lim", "[mine]", "log-mel L1 (Np) ↓", "PESQ-wb ↑", "at 24000 Hz"):
        assert expected in text
    assert "0.300 [0.200, 0.367]" in text
    assert "2.25 [2.00, 2.50] (2 files)" in text


def test_all_models_and_metrics_fit_a_terminal_of_80_columns() -> None:
    text = rendered(REPORTS)
    for expected in ("griffin-lim", "[mine]", "log-mel L1", "(Np) ↓", "PESQ-wb", "at 24000 Hz"):
        assert expected in text
    for expected in ("0.300", "[0.200,", "2.25", "[2.00,", "(2 files)"):
        assert expected in text
    assert "…" not in text


def systems(*means: float, files: int = 12) -> dict[str, Report]:
    """Systems whose log-mel errors spread around means by ± 0.05."""
    spread = [0.05 * math.sin(n) for n in range(files)]
    return {f"s{i}": report([mean + x for x in spread], []) for i, mean in enumerate(means)}


def test_markdown_is_a_table_with_the_best_in_bold() -> None:
    header, rule, first, second = markdown(systems(0.3, 0.2)).splitlines()[:4]
    assert header.count("|") == rule.count("|") == first.count("|") == second.count("|") == 4
    assert "| **0.20" in second
    assert (first.count("**"), second.count("**")) == (0, 2)


def test_what_no_test_tells_from_the_best_is_bold_too() -> None:
    shuffled = systems(0.2, 0.2, 0.4)
    better = [0.2 + 0.05 * math.sin(3 * n) for n in range(12)]
    rows = markdown({**shuffled, "s1": report(better, [])}).splitlines()[2:5]
    assert [row.count("**") for row in rows] == [2, 2, 0]


def test_nothing_is_bold_where_no_test_tells_anything() -> None:
    assert "**" not in markdown(systems(0.2, 0.2))
    assert "**" not in markdown(systems(0.3, 0.2, files=5))  # too few for a test
    assert "**" not in markdown({"only": REPORTS["griffin-lim"]})


def test_different_files_and_rates_are_in_the_caption() -> None:
    """A model of a lower rate is compared at that rate, which hides its missing upper band."""
    full = REPORTS["griffin-lim"]
    shorter = report([0.1, 0.2], [3.0, 3.0])
    low = [dataclasses.replace(file, sample_rate=16000) for file in full.files]
    lower = dataclasses.replace(full, files=tuple(low))
    text = markdown({"a": full, "b": shorter, "c": lower})
    assert "DIFFERENT files or rates: a 3 files at 24000 Hz, b 2 files" in text
    assert "c 3 files at 16000 Hz" in text


def test_a_metric_that_scored_nothing_is_a_dash() -> None:
    assert "| – |" in markdown({"a": report([0.1], [])})


def test_scores_of_different_definitions_are_not_compared() -> None:
    other = REPORTS["[mine]"]
    changed = {**other.metrics, "log_mel": {**other.metrics["log_mel"], "definition": "another"}}
    reports = {**REPORTS, "old": dataclasses.replace(other, metrics=changed)}
    with pytest.raises(ConfigError, match="old: log_mel was measured by another definition"):
        rendered(reports)


def extension(cutoff: float) -> Report:
    """A report of all metrics of bandwidth extension."""
    metrics = {name: METRICS[name].facts(cutoff) for name in EXTENSION}
    scores = dict.fromkeys(EXTENSION, 1.25)
    files = [dataclasses.replace(file, scores=scores) for file in REPORTS["[mine]"].files]
    return Report(metrics=metrics, versions={}, files=tuple(files), unscored={})


def test_the_caption_has_the_cutoff_and_scores_at_two_cutoffs_are_not_compared() -> None:
    text = rendered({"sinc": extension(4000.0), "mine": extension(4000.0)})
    assert "narrow band up to 4000 Hz" in " ".join(text.split())
    for expected in ("LSD high", "SNR low", "(dB) ↑", "convergence", "PESQ-wb"):
        assert expected in text
    assert "…" not in text
    with pytest.raises(ConfigError, match="b: lsd_high was measured by another .*cutoff"):
        markdown({"a": extension(4000.0), "b": extension(8000.0)})
    assert "narrow band" not in markdown(REPORTS)


def test_skips_are_shown_with_a_file_and_the_reason() -> None:
    assert "[mine]: 1 of 3 files have no pesq_wb (file2: silent)" in table.notes(
        evaluation(REPORTS)
    )
