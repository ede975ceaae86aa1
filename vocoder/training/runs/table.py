"""Tables of runs for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

_SHOWN_STEPS = 10  # common steps in a comparison, evenly spread


def runs_table(facts: Sequence[Mapping[str, Any]]) -> Table:
    """Table of runs, from their `summary`, with a column for each of the newest scores."""
    scores = sorted({name for fact in facts for name in fact["last"] or () if name != "step"})
    table = Table(box=box.SIMPLE_HEAVY, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold", min_width=12)
    for name in ("step", "state", "best", *scores, "steps/s"):
        table.add_column(name, justify="left" if name == "state" else "right")
    for fact in facts:
        best, metric, speed = fact["best"], fact["metric"], fact["steps_per_second"]
        table.add_row(
            Text(f"{fact['run']}\n{_origin(fact)}"),
            f"{fact['step']:,}\nof {_steps(fact['max_steps'])}",
            fact["state"],
            f"{metric} {best[metric]:.4g}\nat {best['step']:,}" if best else "–",
            *(_number((fact["last"] or {}).get(name)) for name in scores),
            f"{speed:.3g}" if speed is not None else "–",
        )
    return table


def _origin(fact: Mapping[str, Any]) -> str:
    """The system and when the run began."""
    started = fact["started"][:16].replace("T", " ") if fact["started"] else None
    return "  " + ", ".join(each for each in (fact["system"], started) if each)


def settings_table(names: Sequence[str], settings: Mapping[str, Sequence[Any]]) -> Table:
    """Table of the settings in which runs differ, a column for each run."""
    table = Table(
        "setting", *map(escape, names), box=box.SIMPLE_HEAVY, title="settings that differ"
    )
    for name, values in settings.items():
        table.add_row(name, *(Text(str(value)) for value in values))
    return table


def scores_table(facts: Mapping[str, Any]) -> Table:
    """Table of a `comparison`: scores of runs at equal steps, their final and their best ones."""
    names = [escape(fact["run"]) for fact in facts["runs"]]
    table = Table("score", "step", *names, box=box.SIMPLE_HEAVY, title="validation scores")
    for metric, rows in facts["scores"].items():
        for step in _spread(list(rows)):
            table.add_row(metric, f"{step:,}", *map(_number, rows[step]))
        final = [_at(fact["last"], metric) for fact in facts["runs"]]
        table.add_row(metric, "final", *final)
        pairs = facts["best"][metric]
        best = [f"{pair[1]:.4g} at {pair[0]:,}" if pair else "–" for pair in pairs]
        table.add_row(metric, "best", *best, end_section=True)
    return table


def _spread(steps: list[int]) -> list[int]:
    """At most so many of `steps`, evenly spread, with the first and the last."""
    count = min(len(steps), _SHOWN_STEPS)
    if count < 2:
        return steps
    return [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]


def _at(scores: Mapping[str, Any] | None, metric: str) -> str:
    """A score with its step."""
    if scores is None or metric not in scores:
        return "–"
    return f"{scores[metric]:.4g} at {scores['step']:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _steps(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
