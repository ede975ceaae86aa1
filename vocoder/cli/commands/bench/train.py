"""Benchmark command bench train."""

from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.cli.commands.bench.streams import Json, Markdown, Output, run
from vocoder.cli.options import missing_extra
from vocoder.errors import ConfigError

if TYPE_CHECKING:
    from vocoder.bench.train.measure import TrainBenchSettings

_LIMIT = 1e-5  # of the difference of gradients in float64


def train(
    overrides: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE", help="Settings as for `vocoder train`, with system=…."),
    ],
    rounds: Annotated[
        int, typer.Option(metavar="N", help="Pairs of steps that a median is taken over.")
    ] = 5,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads; default: all cores.")
    ] = None,
    memory: Annotated[
        bool, typer.Option(help="Measure memory, in a new process for either step.")
    ] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare gradients, in float64; fails above 1e-5.")
    ] = False,
    markdown: Markdown = False,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Measure the training step of a system beside the straightforward algorithm of public code.

    Both run in turn with the same networks on the same crops: time by phase, crops per second, peak
    memory, and the difference of the gradients of the first step. The straightforward step passes
    real and fake audio separately, with full graphs in both updates, in plain PyTorch. Without
    data.manifest the crops are noise. Every step updates all networks.
    """
    import torch

    try:
        from vocoder.bench.train import measure as bench, table as texts
    except ModuleNotFoundError as error:
        raise missing_extra("bench train", error) from error
    from vocoder.bench import table
    from vocoder.bench.stream import machine as this_machine
    from vocoder.inference.device import find_device

    settings = bench.TrainBenchSettings(
        overrides=tuple(overrides),
        rounds=rounds,
        threads=threads or torch.get_num_threads(),
        memory=memory,
    )
    if check:
        _check(settings)
        return
    given = [each.partition("=")[2] for each in overrides if each.startswith("trainer.device=")]
    torch.set_num_threads(settings.threads)
    machine = this_machine(find_device(given[-1] if given else "auto"))
    run(
        [lambda: settings],
        bench.measure,
        lambda result: [texts.facts(result)],
        texts.conditions(machine, settings),
        lambda results: table.plain(results, machine, settings),
        markdown=markdown,
        as_json=as_json,
        output=output,
    )


def _check(settings: "TrainBenchSettings") -> None:
    """Print the differences of the gradients in float64; ConfigError if one is too large."""
    from vocoder.bench.train import measure as bench

    found = bench.check(settings)
    for name, difference in found.items():
        typer.echo(f"{name}: gradients differ by {difference:.1e} in float64")
    if not max(found.values()) <= _LIMIT:
        raise ConfigError(f"gradients differ by more than {_LIMIT:g}")
