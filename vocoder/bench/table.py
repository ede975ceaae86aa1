"""What `vocoder bench stream` found, for the terminal, for READMEs and as plain values."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from vocoder.bench.pace import Pace
from vocoder.bench.stream import Flat, Machine, Result, Settings


def table(result: Result) -> Table:
    """One model, a line per fact."""
    shown = Table(title=Text(result.model), title_justify="left", show_header=False, box=None)
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for heading, cell in _facts(result).items():
        shown.add_row(heading, cell)
    return shown


def markdown(results: Sequence[Result], machine: Machine, settings: Settings) -> str:
    """A row per model; below it, what the numbers mean and where they were measured."""
    rows = [_facts(result) for result in results]
    headings = list(rows[0])
    cells = [["model", *headings], ["---", *["---:"] * len(headings)]]
    for result, row in zip(results, rows, strict=True):
        cells.append([result.model.replace("|", "\\|"), *row.values()])
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([*lines, "", conditions(machine, settings), ""])


def plain(results: Sequence[Result], machine: Machine, settings: Settings) -> dict[str, Any]:
    """Every number as it was measured, in seconds and bytes, for JSON."""
    return {
        "machine": asdict(machine),
        "settings": asdict(settings),
        "results": [asdict(result) for result in results],
    }


def conditions(machine: Machine, settings: Settings) -> str:
    """What has to stand beside every time."""
    threads = "1 thread" if machine.threads == 1 else f"{machine.threads} threads"
    return (
        f"torch {machine.torch}, {machine.device}, {threads}; median of {settings.repeats}, "
        f"mel of {settings.seconds:g} s; RTF: seconds of compute for a second of audio"
    )


def _facts(result: Result) -> dict[str, str]:
    """Headings and cells; the same headings for all results with the same settings."""
    late = result.latency
    facts = {
        "weights": f"{result.parameters / 1e6:.3g} M",
        "look-ahead": f"{late.lookahead} frames, {_ms(late.lookahead_seconds)}",
        "latency": f"{late.samples} samples, {_ms(late.seconds)}",
        "first audio at frame": str(late.first_frame),
        "first audio, frame by frame": f"{_ms(late.first_push)} (cold {_ms(late.first_push_cold)})",
        "first audio, look-ahead at once": _ms(late.first_push_at_once),
        "one call": f"RTF {result.overhead[0].one_shot:.3g}",
    }
    for cost in result.overhead:
        facts[f"pieces of {cost.chunk}"] = (
            f"{cost.ratio:.2f} × ({cost.lowest:.2f}–{cost.highest:.2f}), RTF {cost.stream:.3g}"
        )
    if result.flat:
        facts[f"{result.flat.minutes:g} min, pieces of {result.flat.chunk}"] = _flat(result.flat)
    if result.pace:
        facts[f"{result.pace.minutes:g} min at pace, pieces of {result.pace.chunk}"] = _pace(
            result.pace
        )
    return facts


def _flat(flat: Flat) -> str:
    times = f"push {_ms(flat.push_early)} → {_ms(flat.push_late)}"
    if flat.resident_early is None or flat.resident_late is None:
        return times
    memory = f"{flat.resident_early / 1e6:.0f} → {flat.resident_late / 1e6:.0f} MB"
    return f"{times}, memory {memory}"


def _pace(pace: Pace) -> str:
    return (
        f"first audio {_ms(pace.first_audio)}, push 99 % {_ms(pace.push_p99)}, "
        f"worst {_ms(pace.push_worst)}, head start {_ms(pace.head_start)}, "
        f"{pace.under_runs} under-runs"
    )


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{1e3 * seconds:.0f} ms"
