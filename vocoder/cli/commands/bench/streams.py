"""Benchmark commands bench stream and bench extend, and what all benchmark commands share."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vocoder.cli.options import Device, Threads, missing_extra
from vocoder.errors import ConfigError, VocoderError

if TYPE_CHECKING:
    from vocoder.checkpoint import ModelConfig
    from vocoder.generators.base import Generator
    from vocoder.inference.extender import Extender
    from vocoder.inference.vocoder import Vocoder

_Model = TypeVar("_Model")
_Number = TypeVar("_Number", bound=float)
_Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="MODEL", help="A built-in model or a model directory; repeatable."
    ),
]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        metavar="NAME",
        help="The generator of a training system, with random weights; repeatable.",
    ),
]
_Repeats = Annotated[int, typer.Option(metavar="N", help="Runs that a median is taken over.")]
Rounds = Annotated[
    int, typer.Option(metavar="N", help="Pairs of runs that a median is taken over.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the JSON to a file as well."),
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def stream(
    model: _Models = None,
    system: Systems = None,
    chunks: Annotated[
        str, typer.Option(metavar="FRAMES", help="Frames in a piece, separated by commas.")
    ] = "32,4,1",
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of the mel.")] = 10.0,
    repeats: _Repeats = 7,
    long: Annotated[
        float, typer.Option(metavar="MINUTES", help="Measure growth over so much audio.")
    ] = 0.0,
    pace: Annotated[
        float, typer.Option(metavar="MINUTES", help="Count under-runs so long in real time.")
    ] = 0.0,
    device: Device = "cpu",
    threads: Threads = None,
    markdown: Markdown = False,
    as_json: Json = False,
) -> None:
    """Measure the compute time and the latency of streaming.

    Time of a stream against that of one call on the same mel, for every size of piece; look-ahead,
    latency and the time of the push that returns the first audio. --long and --pace use the first
    size of piece. Without --model or --system the default model is measured.
    """
    from vocoder.bench import stream as bench, stream_table, table
    from vocoder.inference.device import find_device
    from vocoder.inference.vocoder import load

    settings = bench.StreamBenchSettings(
        chunks=numbers(int, chunks, "--chunks", "numbers of frames, such as 32,4,1"),
        seconds=seconds,
        repeats=repeats,
        long=long,
        pace=pace,
    )
    machine = bench.machine(find_device(device))
    makers = [partial(load, name, device=device) for name in _names(model, system, "default")]
    makers += [partial(_random_vocoder, name, device=device) for name in system or []]
    run(
        makers,
        partial(bench.measure, settings=settings),
        lambda result: [stream_table.facts(result)],
        stream_table.conditions(machine, settings),
        partial(table.plain, machine=machine, settings=settings),
        markdown=markdown,
        as_json=as_json,
    )


def extend(
    model: _Models = None,
    system: Systems = None,
    pieces: Annotated[
        str, typer.Option(metavar="MS", help="Milliseconds in a piece, separated by commas.")
    ] = "20,100,2000",
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of the noise.")] = 5.0,
    repeats: _Repeats = 5,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="HZ",
            min=1,
            help="Rate of narrow recordings; default: the lowest usual one for a model.",
        ),
    ] = None,
    device: Device = "cpu",
    threads: Threads = None,
    markdown: Markdown = False,
    as_json: Json = False,
) -> None:
    """Measure how fast bandwidth extenders are, in one call and live.

    Time of the network in one call against that of the network in streams and in `vocoder extend`,
    for every size of piece, and against that of a whole live stream, with crossover and resampling,
    in the first size of piece; time of a push, look-ahead and latency. Without --model or --system
    the built-in extender is measured.
    """
    from vocoder.bench import extend as bench, extend_table, table
    from vocoder.bench.stream import machine as this_machine
    from vocoder.checkpoint import EXTENDER
    from vocoder.inference.device import find_device
    from vocoder.inference.extender import load_extender

    settings = bench.ExtendBenchSettings(
        pieces=numbers(float, pieces, "--pieces", "milliseconds, such as 20,100,2000"),
        seconds=seconds,
        repeats=repeats,
        sample_rate=sample_rate,
    )
    machine = this_machine(find_device(device))
    makers = [
        partial(load_extender, name, device=device) for name in _names(model, system, EXTENDER)
    ]
    makers += [partial(_random_extender, name, device=device) for name in system or []]
    run(
        makers,
        partial(bench.measure, settings=settings),
        lambda result: [extend_table.facts(result, settings)],
        extend_table.conditions(machine, settings),
        partial(table.plain, machine=machine, settings=settings),
        markdown=markdown,
        as_json=as_json,
    )


def run(
    makers: Sequence[Callable[[], _Model]],
    measure: Callable[[_Model], Any],
    facts: Callable[[Any], Sequence[Mapping[str, str]]],
    caption: str,
    plain: Callable[[list[Any]], dict[str, Any]],
    *,
    markdown: bool,
    as_json: bool,
    output: Path | None = None,
) -> None:
    """Measure one model after another and show the results; a failure does not stop the others.

    Args:
        makers: Load the models.
        measure: Measures a model.
        facts: Headings → cells of every run of a model.
        caption: What all results share.
        plain: Results as plain values.
        markdown: Whether to print a table in Markdown at the end.
        as_json: Whether to print JSON at the end.
        output: A file for the JSON.
    """
    from rich.console import Console

    from vocoder.bench import table
    from vocoder.cli.progress import report
    from vocoder.io.atomic import replacing_file

    terminal = None if markdown or as_json else Console(highlight=False, markup=False)
    if terminal:
        terminal.print(caption)
    results, problems = [], []
    for make in makers:
        try:
            results.append(measure(make()))
        except VocoderError as error:
            problems.append(str(error))
            continue
        if terminal:
            terminal.print(table.table(results[-1].model, facts(results[-1])))
    text = json.dumps(plain(results), indent=2, ensure_ascii=False)
    if as_json:
        typer.echo(text)
    elif markdown and results:
        rows = [(result.model, row) for result in results for row in facts(result)]
        typer.echo(table.markdown(rows, caption))
    if output:
        with replacing_file(output) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    raise typer.Exit(report(problems))


def _names(model: list[str] | None, system: list[str] | None, default: str) -> list[str]:
    """The models to measure: those given, or the default if there is no system either."""
    return model or ([] if system else [default])


def _random_vocoder(system: str, device: str) -> "Vocoder":
    from vocoder.generators.base import BandwidthExtender
    from vocoder.inference.vocoder import Vocoder

    network, config = random_generator(system)
    if isinstance(network, BandwidthExtender):
        raise ConfigError(f"{system}: a bandwidth extender; `vocoder bench extend` measures it")
    return Vocoder(network, config, device=device)


def _random_extender(system: str, device: str) -> "Extender":
    from vocoder.generators.base import BandwidthExtender
    from vocoder.inference.extender import Extender

    network, config = random_generator(system)
    if not isinstance(network, BandwidthExtender):
        raise ConfigError(f"{system}: a vocoder; `vocoder bench stream` measures it")
    return Extender(network, config, device=device)


def random_generator(system: str) -> tuple["Generator", "ModelConfig"]:
    """The generator of a system in full size, with random weights.

    Raises ConfigError if there is no such system, or the extra `train` is not installed.
    """
    import torch

    from vocoder.build import build
    from vocoder.checkpoint import ModelConfig

    try:
        from vocoder.training.run import compose, config_folder
    except ModuleNotFoundError as error:
        raise missing_extra("--system", error) from error
    if system not in {path.stem for path in (config_folder() / "system").glob("*.yaml")}:
        raise ConfigError(f"there is no system {system!r}; `vocoder systems` lists them")
    values = compose([f"system={system}", "data.manifest=none"])
    config = ModelConfig(name=system, mel=build(values["mel"]), generator=values["generator"])
    torch.manual_seed(0)
    return build(config.generator, system), config


def numbers(
    kind: Callable[[str], _Number], text: str, option: str, what: str
) -> tuple[_Number, ...]:
    """The numbers in an option, separated by commas; `what` says what to write, in the error."""
    try:
        return tuple(kind(number) for number in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} {text}: write {what}") from error
