"""Commands that measure: bench stream."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.commands.options import Device, Threads, missing_extra
from vocoder.errors import ConfigError, VocoderError

if TYPE_CHECKING:
    from vocoder.synthesis import Vocoder


def stream(
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="A built-in model or a model directory; repeatable."),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="The generator of a system that can be trained, with random weights; repeatable.",
        ),
    ] = None,
    chunks: Annotated[
        str, typer.Option(metavar="FRAMES", help="Frames in a piece, separated by commas.")
    ] = "32,4,1",
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of the mel.")] = 10.0,
    repeats: Annotated[int, typer.Option(metavar="N", help="Numbers are medians of so many.")] = 7,
    long: Annotated[
        float, typer.Option(metavar="MINUTES", help="Stream so much audio: does it grow?")
    ] = 0.0,
    pace: Annotated[
        float, typer.Option(metavar="MINUTES", help="Stream so long in real time: is it late?")
    ] = 0.0,
    device: Device = "cpu",
    threads: Threads = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what streaming costs and how late audio comes.

    Time of a stream against that of one call on the same mel, for every size of piece; look-ahead,
    latency and the time of the push that gives the first audio. --long and --pace take the first
    size of piece. Without --model or --system the default model is measured.
    """
    from rich.console import Console

    from vocoder.batch import report
    from vocoder.bench import stream as bench
    from vocoder.bench import table as bench_table
    from vocoder.device import find_device

    settings = bench.Settings(
        chunks=_sizes(chunks), seconds=seconds, repeats=repeats, long=long, pace=pace
    )
    machine = bench.machine(find_device(device))
    tables = None if markdown or as_json else Console(highlight=False, markup=False)
    if tables:
        tables.print(bench_table.conditions(machine, settings))
    results, problems = [], []
    names = model or ([] if system else ["default"])
    for make, name in [(_saved, name) for name in names] + [(_random, s) for s in system or []]:
        try:
            results.append(bench.measure(make(name, device), settings))
        except VocoderError as error:
            problems.append(str(error))
            continue
        if tables:
            tables.print(bench_table.table(results[-1]))
    if as_json:
        facts = bench_table.plain(results, machine, settings)
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    elif markdown and results:
        typer.echo(bench_table.markdown(results, machine, settings))
    raise typer.Exit(report(problems))


def _saved(name: str, device: str) -> "Vocoder":
    from vocoder.synthesis import load

    return load(name, device=device)


def _random(system: str, device: str) -> "Vocoder":
    """The generator of a system at its full size, with the weights that training starts from."""
    import torch

    from vocoder.build import build
    from vocoder.checkpoint import ModelConfig
    from vocoder.synthesis import Vocoder

    try:
        from vocoder.training.run import compose, config_folder
    except ModuleNotFoundError as error:
        raise missing_extra("--system", error) from error
    if system not in {path.stem for path in (config_folder() / "system").glob("*.yaml")}:
        raise ConfigError(f"there is no system {system!r}; `vocoder systems` lists them")
    values = compose([f"system={system}", "data.manifest=none"])
    config = ModelConfig(name=system, mel=build(values["mel"]), generator=values["generator"])
    torch.manual_seed(0)
    return Vocoder(build(config.generator, system), config, device=device)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--chunks {text}: write numbers of frames, such as 32,4,1") from error
