"""The report of runs as one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vocoder.errors import ConfigError
from vocoder.pages.page import write_page
from vocoder.plots.curves import CurvePanel, curve_figure
from vocoder.plots.style import page_svg
from vocoder.training.runs.comparison import standing
from vocoder.training.runs.folder import Curve, read_curve
from vocoder.training.runs.plot import balance_panels, score_panels, training_panels
from vocoder.training.runs.report.pace import pace
from vocoder.training.runs.report.reading import (
    Reference,
    ReportedRun,
    find_reference,
    reported_runs,
)
from vocoder.training.runs.report.sounds import sounds
from vocoder.training.runs.report.tables import run_facts, score_rows, session_rows, setting_rows

_TEMPLATE = Path(__file__).parent / "templates" / "run_report.html"
_PACE = ("steps_per_second", "data_wait")
_BEYOND = 1.25  # times the steps of the runs, to which a reference is drawn


def write_report(
    path: Path,
    folders: Sequence[Path],
    *,
    reference: Path | None = None,
    metrics: Sequence[str] = (),
) -> list[str]:
    """Write the report of runs, which may be training, and return what it says of each.

    Raises ConfigError for a path that is no .html or has no run, and for a missing package,
    VocoderError if the page cannot be written.

    Args:
        path: The page.
        folders: Folders of runs, or folders with runs in them.
        reference: A `curve.jsonl` to compare with; by default that of the runs' recipe.
        metrics: Scores to draw; all by default.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{path}: a report is a page; choose a name that ends in .html")
    runs = reported_runs(folders)
    references = {each.name: _reference(each, reference) for each in runs}
    clips, notes = sounds(runs)
    words = {each.name: _words(each, references[each.name]) for each in runs}
    write_page(
        path,
        _TEMPLATE,
        styles=["run_report.css"],
        scripts=["player.js", "table.js", "run_report.js"],
        names=[each.name for each in runs],
        runs=[run_facts(each, words[each.name]) for each in runs],
        figures=_figures(runs, references, metrics),
        scores=score_rows(runs),
        settings=setting_rows(runs),
        sessions=session_rows(runs),
        clips=clips,
        clip_data=[_without_sounds(clip) for clip in clips],
        sound_notes=notes,
    )
    return [f"{name}: {said}" for name, said in words.items()]


def _reference(each: ReportedRun, given: Path | None) -> Reference | None:
    if given is not None:
        return Reference("reference", given, read_curve(given))
    return find_reference(each.run)


def _words(each: ReportedRun, reference: Reference | None) -> str:
    """How far a run is and how it stands against its reference, in sentences."""
    words = pace(each.run)
    if reference is None:
        system = each.run.system or "its system"
        return (
            f"{words}. No recipe has a curve of {system}; --reference CURVE compares with another"
        )
    try:
        stands = standing(each.run.curve, reference.curve, each.run.metric).words
    except ConfigError as error:
        stands = f"No comparison: {error}"
    return f"{words}. {stands.replace('reference', reference.name, 1)}"


def _figures(
    runs: Sequence[ReportedRun], references: Mapping[str, Reference | None], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """The curves of the runs, as titles and pictures for the page."""
    curves = {each.name: each.run.curve for each in runs}
    last = max(curve.last_step for curve in curves.values())
    known = {each.name: _until(each.curve, last) for each in references.values() if each}
    names = list(dict.fromkeys(name for curve in curves.values() for name in curve.training_names))
    plain = [name for name in names if "/" not in name and name not in (*_PACE, "skipped_crops")]
    rates = [name for name in plain if name.startswith(("gradient_", "learning_rate"))]
    losses = [name for name in plain if name not in rates]
    groups: dict[str, list[CurvePanel]] = {}
    if metrics or any(curve.metrics for curve in curves.values()):
        groups["Validation scores"] = score_panels(curves, metrics=metrics, references=known)
    groups["Losses"] = training_panels(curves, losses)
    groups["Gradient norms and learning rate"] = training_panels(curves, rates)
    groups["Speed"] = training_panels(curves, [name for name in _PACE if name in names])
    for each in runs:
        groups[f"Sub-discriminators of {each.name}"] = balance_panels(each.run.curve)
    return [
        {"title": title, "picture": page_svg(curve_figure(panels), f"Curves: {title}, by step")}
        for title, panels in groups.items()
        if panels
    ]


def _until(curve: Curve, last: int) -> Curve:
    """A reference up to a little beyond the runs, or its first score where that is later."""
    steps = sorted(curve.valid)
    kept = [step for step in steps if step <= _BEYOND * last] or steps[:1]
    return Curve({}, {step: curve.valid[step] for step in kept})


def _without_sounds(clip: Mapping[str, Any]) -> dict[str, Any]:
    """A clip for the script, which takes each sound from an element of its own when it plays."""
    versions = [
        {name: value for name, value in version.items() if name != "sound"}
        for version in clip["versions"]
    ]
    return {**clip, "versions": versions}
