"""Results of the `vocoder bench` commands, for the terminal, in Markdown and as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from vocoder.bench.stream import Machine


def table(model: str, runs: Sequence[Mapping[str, str]]) -> Table:
    """Table of one model for the terminal: a line per fact (heading → cell), a column per run."""
    shown = Table(title=Text(model), title_justify="left", show_header=False, box=None)
    shown.add_column(style="bold")
    for _ in runs:
        shown.add_column(overflow="fold")
    for heading in runs[0]:
        shown.add_row(heading, *(run[heading] for run in runs))
    return shown


def markdown(
    models: Sequence[tuple[str, Mapping[str, str]]], caption: str, *, first: str = "model"
) -> str:
    """Table in Markdown from (name of the model, facts) of each run, a row each, with a caption.

    The facts (heading → cell) of all runs have the same headings; `first` is that of the names.
    """
    headings = list(models[0][1])
    cells = [[first, *headings], ["---", *["---:"] * len(headings)]]
    cells += [[model.replace("|", "\\|"), *facts.values()] for model, facts in models]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([*lines, "", caption, ""])


def plain(results: Sequence[Any], machine: Machine, settings: Any) -> dict[str, Any]:
    """Results and settings, which are dataclasses, as plain values for JSON; seconds and bytes."""
    return {
        "machine": asdict(machine),
        "settings": asdict(settings),
        "results": [asdict(result) for result in results],
    }


def where(machine: Machine) -> str:
    """Version of torch, device and number of threads as text."""
    threads = "1 thread" if machine.threads == 1 else f"{machine.threads} threads"
    return f"torch {machine.torch}, {machine.device}, {threads}"


def weights(parameters: int) -> str:
    """Number of parameters as text, in millions."""
    return f"{parameters / 1e6:.3g} M"


def milliseconds(seconds: float) -> str:
    """Seconds as text in milliseconds, with three digits, or all those before the point."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{1e3 * seconds:.0f} ms"
