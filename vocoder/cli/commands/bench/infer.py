"""Benchmark command of inference: bench infer."""

from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated

import typer

from vocoder.cli.commands.bench.streams import (
    Json,
    Markdown,
    Output,
    Rounds,
    Systems,
    numbers,
    random_generator,
    run,
)
from vocoder.cli.options import Device


def infer(
    model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Built-in models, model directories, .onnx files, other projects' checkpoints.",
        ),
    ] = None,
    system: Systems = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="torch, onnx, openvino, with commas; default: those installed."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="NAMES", help="float32, bfloat16, int8, with commas.")
    ] = "float32",
    threads: Annotated[
        str | None, typer.Option(metavar="N", help="CPU threads, with commas; default: all cores.")
    ] = None,
    batch: Annotated[str, typer.Option(metavar="N", help="Items at once, with commas.")] = "1",
    seconds: Annotated[str, typer.Option(metavar="S", help="Lengths of audio, with commas.")] = "4",
    rounds: Rounds = 7,
    memory: Annotated[
        bool, typer.Option(help="Measure memory, in a new process for every run.")
    ] = True,
    device: Device = "cpu",
    markdown: Markdown = False,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Measure how fast models are, beside PyTorch running them operation by operation.

    Both run in turn, so that ratios hold on a busy machine too: × real time, the compute time of
    the first audio of a stream, peak memory and the largest difference of the audio, by runtime,
    precision, threads, batch and length. Without MODEL or --system the default model is measured.
    """
    import torch

    from vocoder.bench import stream, table
    from vocoder.bench.infer import measure as bench, table as infer_table
    from vocoder.bench.infer.sources import named, random
    from vocoder.bench.infer.ways import installed_runtimes
    from vocoder.inference.device import find_device

    settings = bench.InferBenchSettings(
        runtimes=tuple(runtime.split(",") if runtime else installed_runtimes()),
        precisions=tuple(precision.split(",")),
        threads=(
            numbers(int, threads, "--threads", "numbers, such as 1,2")
            if threads
            else (torch.get_num_threads(),)
        ),
        batches=numbers(int, batch, "--batch", "numbers of items, such as 1,8"),
        seconds=numbers(float, seconds, "--seconds", "lengths, such as 2,4"),
        rounds=rounds,
        memory=memory,
        device=device,
    )
    machine = stream.machine(find_device(device))
    bounds = bench.bounds(settings)
    makers = [partial(named, name) for name in model or ([] if system else ["default"])]
    makers += [partial(random, partial(random_generator, name)) for name in system or []]

    def measured(source: AbstractContextManager[str]) -> bench.InferBenchResult:
        with source as name:
            return bench.measure(name, settings, bounds)

    run(
        makers,
        measured,
        partial(infer_table.facts, settings=settings),
        infer_table.conditions(machine, settings, bounds),
        lambda results: {"bounds": bounds, **table.plain(results, machine, settings)},
        markdown=markdown,
        as_json=as_json,
        output=output,
    )
