"""What a `vocoder bench` command found, for the terminal, for READMEs and as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from vocoder.bench.pace import Pace
from vocoder.bench.stream import Flat, Machine, Result, StreamBenchSettings


def table(model: str, facts: Mapping[str, str]) -> Table:
    """One model, a line per fact."""
    shown = Table(title=Text(model), title_justify="left", show_header=False, box=None)
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for heading, cell in facts.items():
        shown.add_row(heading, cell)
    return shown


def markdown(models: Sequence[tuple[str, Mapping[str, str]]], caption: str) -> str:
    """A row per model and its facts; below it, what the numbers mean and where they are from.

    The facts of all models have the same headings.
    """
    headings = list(models[0][1])
    cells = [["model", *headings], ["---", *["---:"] * len(headings)]]
    cells += [[model.replace("|", "\\|"), *facts.values()] for model, facts in models]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([*lines, "", caption, ""])


def plain(results: Sequence[Any], machine: Machine, settings: Any) -> dict[str, Any]:
    """Every number as it was measured, in seconds and bytes, for JSON; from dataclasses."""
    return {
        "machine": asdict(machine),
        "settings": asdict(settings),
        "results": [asdict(result) for result in results],
    }


def conditions(machine: Machine, settings: StreamBenchSettings) -> str:
    """What has to stand beside every time of a stream."""
    return (
        f"{where(machine)}; median of {settings.repeats}, "
        f"mel of {settings.seconds:g} s; RTF: seconds of compute for a second of audio"
    )


def where(machine: Machine) -> str:
    """A machine in words."""
    threads = "1 thread" if machine.threads == 1 else f"{machine.threads} threads"
    return f"torch {machine.torch}, {machine.device}, {threads}"


def facts(result: Result) -> dict[str, str]:
    """Headings and cells; the same headings for all results with the same settings."""
    late = result.latency
    found = {
        "weights": weights(result.parameters),
        "look-ahead": f"{late.lookahead} frames, {milliseconds(late.lookahead_seconds)}",
        "latency": f"{late.samples} samples, {milliseconds(late.seconds)}",
        "first audio at frame": str(late.first_frame),
        "first audio, frame by frame": (
            f"{milliseconds(late.first_push)} (cold {milliseconds(late.first_push_cold)})"
        ),
        "first audio, look-ahead at once": milliseconds(late.first_push_at_once),
        "one call": f"RTF {result.overhead[0].one_shot:.3g}",
    }
    for cost in result.overhead:
        found[f"pieces of {cost.chunk}"] = (
            f"{cost.ratio:.2f} × ({cost.lowest:.2f}–{cost.highest:.2f}), RTF {cost.stream:.3g}"
        )
    if result.flat:
        found[f"{result.flat.minutes:g} min, pieces of {result.flat.chunk}"] = _flat(result.flat)
    if result.pace:
        found[f"{result.pace.minutes:g} min at pace, pieces of {result.pace.chunk}"] = _pace(
            result.pace
        )
    return found


def weights(parameters: int) -> str:
    """How many weights, in millions."""
    return f"{parameters / 1e6:.3g} M"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds: three digits, or all those before the point."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{1e3 * seconds:.0f} ms"


def _flat(flat: Flat) -> str:
    times = f"push {milliseconds(flat.push_early)} → {milliseconds(flat.push_late)}"
    if flat.resident_early is None or flat.resident_late is None:
        return times
    memory = f"{flat.resident_early / 1e6:.0f} → {flat.resident_late / 1e6:.0f} MB"
    return f"{times}, memory {memory}"


def _pace(pace: Pace) -> str:
    return (
        f"first audio {milliseconds(pace.first_audio)}, push 99 % {milliseconds(pace.push_p99)}, "
        f"worst {milliseconds(pace.push_worst)}, head start {milliseconds(pace.head_start)}, "
        f"{pace.under_runs} under-runs"
    )
