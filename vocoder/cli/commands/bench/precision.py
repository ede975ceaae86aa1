"""Benchmark command of precisions: bench precision."""

from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated

import typer

from vocoder.cli.commands.bench.streams import Json, Markdown, Output, Rounds, run
from vocoder.cli.options import Device


def precision(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A built-in model, a directory, another project's checkpoint."
        ),
    ] = "default",
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILES", help="Recordings; default: those in egs/clips of the repository."
        ),
    ] = None,
    precisions: Annotated[
        str,
        typer.Option("--precision", metavar="NAMES", help="float32, bfloat16, int8, with commas."),
    ] = "float32,bfloat16,int8",
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads; default: all cores.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Length of the noise that speed is measured on.")
    ] = 4.0,
    rounds: Rounds = 7,
    device: Device = "cpu",
    markdown: Markdown = False,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Measure what a lower precision of a model gains in speed and loses in audio.

    By precision: × real time beside PyTorch in float32 as written, one run of each in turn; and on
    recordings the largest difference, the log-spectral distance, and PESQ-wb of copy synthesis in
    float32 and in this precision (where pesq is installed). An extender gets the recordings without
    their upper band. At most 10 s of a recording are used.
    """
    import torch

    from vocoder.bench import stream, table
    from vocoder.bench.infer import precision as bench, precision_table
    from vocoder.bench.infer.sources import named
    from vocoder.inference.device import find_device

    settings = bench.PrecisionBenchSettings(
        precisions=tuple(precisions.split(",")),
        threads=threads or torch.get_num_threads(),
        seconds=seconds,
        rounds=rounds,
        device=device,
    )
    recordings = bench.recordings(files or [])
    machine = stream.machine(find_device(device))

    def measured(source: AbstractContextManager[str]) -> bench.PrecisionBenchResult:
        with source as name:
            return bench.measure(name, settings, recordings)

    run(
        [partial(named, model)],
        measured,
        precision_table.facts,
        precision_table.conditions(machine, settings, len(recordings)),
        partial(table.plain, machine=machine, settings=settings),
        markdown=markdown,
        as_json=as_json,
        output=output,
    )
