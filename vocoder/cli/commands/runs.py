"""Commands about training runs: list, compare, plot."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from vocoder.cli.examples import examples
from vocoder.errors import ConfigError

if TYPE_CHECKING:
    from vocoder.training.runs.comparison import Standing
    from vocoder.training.runs.folder import Curve, Run

_HOMES = ("runs", "multirun")  # where `vocoder train` puts runs by default

Folders = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[DIR]…", help="Where to look, in folders of any depth."),
]
RunArguments = Annotated[
    list[Path], typer.Argument(metavar="RUN…", help="Folders of runs, or curve.jsonl files.")
]
Reference = Annotated[
    Path | None,
    typer.Option(metavar="CURVE", help="Say how runs stand against this curve.jsonl of a recipe."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class DefaultsToList(TyperGroup):
    """A group of commands whose first argument may be a folder: then it is `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command in front of arguments that begin with none."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def list_(
    folders: Folders = None,
    reference: Reference = None,
    metric: Annotated[
        str | None, typer.Option(help="The score to compare with the reference.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs of `vocoder train` in folders, by default runs/ and multirun/.

    Shows the steps, whether a process trains there now, the best and the newest validation scores,
    steps per second and when the run began. The name of the command, list, can be left out.
    """
    from rich.console import Console

    from vocoder.training.runs.comparison import summary
    from vocoder.training.runs.folder import find_runs, read_curve
    from vocoder.training.runs.table import runs_table

    runs = find_runs(folders or _homes())
    curve = read_curve(reference) if reference else None
    facts = [summary(run) for run in runs]
    _warn(runs)
    for run, fact in zip(runs, facts, strict=True):
        if curve is not None and run.curve.valid:
            fact["reference"] = _standing(run, curve, metric, reference).to_dict()
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    Console().print(runs_table(facts))
    for fact in facts:
        if "reference" in fact:
            typer.echo(f"{fact['run']}: {fact['reference']['words']}")


def compare(
    runs: RunArguments,
    reference: Reference = None,
    metric: Annotated[
        str | None, typer.Option(help="The score to compare with the reference.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare runs: the settings that differ, and the scores at equal steps.

    Shows the best and the final scores, too, and with --reference how each run stands against the
    curve of a recipe.
    """
    from rich.console import Console

    from vocoder.training.runs.comparison import comparison
    from vocoder.training.runs.folder import read_curve
    from vocoder.training.runs.table import scores_table, settings_table

    found = [_read(path) for path in runs]
    facts = comparison(found)
    _warn(found)
    if reference is not None:
        curve = read_curve(reference)
        standings = [_standing(run, curve, metric, reference) for run in found]
        facts["reference"] = [each.to_dict() for each in standings]
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for folder in facts["settings_unknown"]:
        typer.echo(f"warning: {folder}: settings are not known", err=True)
    console = Console()
    named = [str(run.folder) for run in found if run.settings]
    if facts["settings"]:
        console.print(settings_table(named, facts["settings"]))
    elif len(named) > 1:
        typer.echo("all settings are equal")
    console.print(scores_table(facts))
    for run, fact in zip(found, facts.get("reference", ()), strict=False):
        typer.echo(f"{run.folder}: {fact['words']}")


def plot(
    runs: RunArguments,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="A .png, .svg, .pdf or .html."),
    ],
    reference: Reference = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Validation scores, all by default."),
    ] = None,
) -> None:
    """Draw the validation scores of runs by step.

    An .html is the whole report of the runs, as `vocoder report` makes it.
    """
    from vocoder.training.runs.folder import read_curve
    from vocoder.training.runs.plot import plot as draw
    from vocoder.training.runs.report.page import write_report

    chosen = metrics.split(",") if metrics else []
    if output.suffix.lower() == ".html":
        for sentence in write_report(output, runs, reference=reference, metrics=chosen):
            typer.echo(sentence)
        typer.echo(str(output))
        return
    found = [_read(path) for path in runs]
    _warn(found)
    curve = read_curve(reference) if reference else None
    sentences = []
    if curve is not None:
        for run in found:
            sentences.append(f"{run.folder}: {_standing(run, curve, None, reference).words}")
    draw(
        output,
        {str(run.folder): run.curve for run in found},
        metrics=chosen,
        reference=curve,
    )
    for sentence in sentences:
        typer.echo(sentence)
    typer.echo(str(output))


def _homes() -> list[Path]:
    """The default folders that exist."""
    homes = [Path(name) for name in _HOMES if Path(name).is_dir()]
    if not homes:
        raise ConfigError(f"no folder {' or '.join(_HOMES)} here; name the folders with runs")
    return homes


def _read(path: Path) -> "Run":
    """The run in a folder, or one of which only the curve is there."""
    from vocoder.training.runs.folder import Run, read_curve, read_run

    if path.is_dir():
        return read_run(path)
    if not path.exists():
        raise ConfigError(f"{path}: no such run")
    return Run(path, {}, [], read_curve(path))


def _standing(
    run: "Run", reference: "Curve", metric: str | None, source: Path | None
) -> "Standing":
    from vocoder.training.runs.comparison import standing

    try:
        return standing(run.curve, reference, metric or run.metric)
    except ConfigError as error:
        raise ConfigError(f"{run.folder} against {source}: {error}") from error


def _warn(runs: "Sequence[Run]") -> None:
    for run in runs:
        if run.curve.damaged:
            typer.echo(
                f"warning: {run.folder}: {run.curve.damaged} damaged lines of the curve left out",
                err=True,
            )


group = typer.Typer(
    cls=DefaultsToList,
    help="List, compare and plot training runs.",
    epilog=examples(
        "vocoder runs",
        "vocoder runs exp/",
        "vocoder runs compare runs/a runs/b",
        "vocoder runs plot runs/a runs/b -o curves.png",
    ),
    rich_markup_mode=None,
)
group.command(
    "list",
    epilog=examples(
        "vocoder runs",
        "vocoder runs exp/ --reference recipes/source_filter_22k/curve.jsonl",
        "vocoder runs exp/ --json",
    ),
)(list_)
group.command(
    epilog=examples(
        "vocoder runs compare runs/a runs/b",
        "vocoder runs compare runs/a runs/b --reference recipes/source_filter_22k/curve.jsonl",
    )
)(compare)
group.command(
    epilog=examples(
        "vocoder runs plot runs/a runs/b -o curves.png --metrics log_mel,pesq",
        "vocoder runs plot runs/a -o a.html --reference recipes/source_filter_22k/curve.jsonl",
    )
)(plot)
