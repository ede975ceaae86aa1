"""Tables of a report of runs, as plain values for its page."""

from collections.abc import Mapping, Sequence
from typing import Any

from vocoder.training.runs.comparison import summary
from vocoder.training.runs.report.reading import ReportedRun
from vocoder.training.runs.settings import differences

_SHOWN_WARNINGS = 200


def run_facts(each: ReportedRun, words: str) -> dict[str, Any]:
    """What the page says of a run, in plain values."""
    skipped = each.run.curve.training("skipped_crops")
    warned = [(warning.step, warning.words) for warning in each.warnings]
    return {
        **summary(each.run),
        "name": each.name,
        "words": words,
        "notes": each.notes,
        "warnings": warned[:_SHOWN_WARNINGS],
        "more_warnings": max(0, len(warned) - _SHOWN_WARNINGS),
        "skipped_crops": int([*skipped.values()][-1]) if skipped else 0,
    }


def score_rows(runs: Sequence[ReportedRun]) -> dict[str, Any]:
    """Rows of the table of validation scores."""
    names = sorted({name for each in runs for name in each.run.curve.metrics})
    rows = [
        (each.name, step, [each.run.curve.valid[step].get(name) for name in names])
        for each in runs
        for step in sorted(each.run.curve.valid)
    ]
    return {"names": names, "rows": rows}


def setting_rows(runs: Sequence[ReportedRun]) -> dict[str, Any]:
    """Rows of the table of settings in which runs differ."""
    known = [each for each in runs if each.run.settings]
    rows = differences([each.run.settings for each in known])
    return {"names": [each.name for each in known], "rows": rows}


def session_rows(runs: Sequence[ReportedRun]) -> list[dict[str, Any]]:
    """Rows of the table of starts and resumes; "–" for what a record does not say."""
    return [_session(each.name, session) for each in runs for session in each.run.sessions]


def _session(name: str, session: Mapping[str, Any]) -> dict[str, Any]:
    git = session.get("git", {}).get("package", {})
    machine = session.get("machine", {})
    processes = machine.get("processes", 1)
    commit, versions = git.get("commit"), session.get("versions", {})
    return {
        "run": name,
        "started": session["started"],
        "first_step": session.get("first_step", "–"),
        "versions": ", ".join(f"{key} {value}" for key, value in versions.items()),
        "commit": commit[:10] if commit else git.get("reason", "–"),
        "dirty": bool(git.get("dirty")),
        "machine": (machine.get("gpu") or machine.get("cpu") or "–")
        + (f", {processes} processes" if processes > 1 else ""),
        "command": session.get("command", "–"),
        "changed": session.get("changed", {}),
    }
