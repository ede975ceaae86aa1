"""Benchmark command bench data."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.cli.commands.bench.streams import Json, Markdown, numbers
from vocoder.cli.options import missing_extra
from vocoder.errors import ConfigError

if TYPE_CHECKING:
    from vocoder.data.segments import Segments


def data(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="MANIFEST | KEY=VALUE",
            help="A manifest, or the settings of a training as for `vocoder train`.",
        ),
    ],
    workers: Annotated[
        str, typer.Option(metavar="N,…", help="Numbers of worker processes, with commas.")
    ] = "0,1,2",
    rate: Annotated[
        float,
        typer.Option("--steps-per-second", metavar="R", help="Of the training; see bench train."),
    ] = 1.0,
    seconds: Annotated[float, typer.Option(metavar="S", help="Time of each measurement.")] = 5.0,
    markdown: Markdown = False,
    as_json: Json = False,
) -> None:
    """Measure how fast the crops of a training are read.

    Crops and audio per second by number of workers; by format, sample rate and length of the
    recordings what a crop costs, and the shares of reading and of resampling in that; and how many
    workers a training of so many steps per second needs. Without system=… they are those of the
    system demo.
    """
    import torch

    from vocoder.bench import table
    from vocoder.bench.data import measure as bench, table as texts
    from vocoder.bench.stream import machine as this_machine

    counts = numbers(int, workers, "--workers", "numbers of processes, such as 0,1,2")
    settings = bench.DataBenchSettings(workers=counts, seconds=seconds, rate=rate)
    machine = this_machine(torch.device("cpu"))
    result = bench.measure(_segments(arguments), settings)
    if as_json:
        typer.echo(json.dumps(table.plain([result], machine, settings), indent=2))
        return
    by_workers = [(str(each.workers), texts.of_workers(each, result)) for each in result.loaders]
    by_kind = [(each.kind, texts.of_files(each)) for each in result.files]
    caption = f"{result.batch_size} crops of {result.segment} samples in a step."
    for first, rows, text in (
        ("workers", by_workers, caption),
        ("recordings", by_kind, texts.advice(result, settings)),
    ):
        show = table.markdown if markdown else _aligned
        typer.echo(show(rows, text, first=first))


def _segments(arguments: Sequence[str]) -> "Segments":
    """The training crops of a manifest, or of the settings of a training."""
    from vocoder.build import build
    from vocoder.data.segments import Segments

    try:
        from vocoder.training.run import compose
    except ModuleNotFoundError as error:
        raise missing_extra("bench data", error) from error
    paths = [each for each in arguments if "=" not in each]
    if len(paths) > 1:
        raise ConfigError(
            f"{paths[1]}: name one manifest; of several write data.manifest=[a.csv,b.csv]"
        )
    settings = [_manifest(each) for each in arguments]
    if not any(each.startswith("system=") for each in settings):
        settings.append("system=demo")
    values = compose(settings)
    mel, features = build(values["mel"]), values["features"]
    segments = build(values["data"])(
        sample_rate=mel.sample_rate,
        seed=values["seed"],
        mel=mel if "mel" in features else None,
        narrowband="narrowband" in features,
    )
    assert isinstance(segments, Segments)
    return segments


def _manifest(argument: str) -> str:
    return argument if "=" in argument else f"data.manifest={argument}"


def _aligned(rows: Sequence[tuple[str, dict[str, str]]], caption: str, *, first: str) -> str:
    """A table in plain text, with a caption."""
    headings = [first, *rows[0][1]]
    cells = [headings, *([name, *facts.values()] for name, facts in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    ]
    return "\n".join([*lines, caption, ""])
