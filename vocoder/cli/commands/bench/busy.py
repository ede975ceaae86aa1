"""Benchmark command bench busy."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from vocoder.cli.commands.bench.streams import Json, Markdown
from vocoder.cli.options import missing_extra


def busy(
    model: Annotated[str, typer.Option(metavar="MODEL", help="Vocoder.")] = "default",
    extender: Annotated[
        str, typer.Option(metavar="MODEL", help="Bandwidth extender.")
    ] = "extender",
    system: Annotated[str, typer.Option(metavar="NAME", help="System that is trained.")] = "demo",
    seconds: Annotated[
        float, typer.Option(metavar="S", min=2.0, help="Length of the audio.")
    ] = 60.0,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Training steps.")] = 20,
    repeats: Annotated[
        int, typer.Option(metavar="N", min=1, help="Runs that a median is taken over.")
    ] = 3,
    processes: Annotated[int, typer.Option(metavar="N", min=1, help="Busy processes.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="CPU threads; default: as each command chooses."),
    ] = None,
    markdown: Markdown = False,
    as_json: Json = False,
) -> None:
    """Measure what speed the commands keep beside busy processes.

    vocode, resynth, stream, extend and train run in processes of their own, on a quiet machine and
    beside others that keep a core busy each; the time that they take to start is subtracted.
    """
    import torch

    try:
        from vocoder.bench import busy as bench, table
        from vocoder.training import run  # noqa: F401  # `train` needs it
    except ModuleNotFoundError as error:
        raise missing_extra("bench busy", error) from error
    from vocoder.bench.stream import machine

    settings = bench.BusyBenchSettings(
        model, extender, system, seconds, steps, repeats, processes, threads
    )
    here = machine(torch.device("cpu"))
    show = not (markdown or as_json)
    rows = []
    for result in bench.measure(settings):
        rows.append(result)
        if show:
            cells = "   ".join(f"{key} {cell}" for key, cell in bench.facts(result).items())
            typer.echo(f"{result.command:16s} {cells}")
    if as_json:
        results = [{**asdict(row), "ratio": row.ratio} for row in rows]
        facts = {"machine": asdict(here), "settings": asdict(settings), "results": results}
        typer.echo(json.dumps(facts, indent=2))
    elif markdown:
        named = [(row.command, bench.facts(row)) for row in rows]
        caption = f"{table.where(here)}; {processes} busy process(es), {seconds:g} s of audio."
        typer.echo(table.markdown(named, caption))
