"""Commands about models: info, import."""

import json
from pathlib import Path
from typing import Annotated

import typer


def info(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Without it, all built-in models.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a model, or list the built-in ones.

    Shows the input, size, latency, licences, training and scores of a model, how it runs on this
    machine and what would be faster.
    """
    from rich.console import Console

    from vocoder.cli.describe import builtin_table, model_table
    from vocoder.inference.description import describe, describe_builtin

    facts = describe(model) if model else describe_builtin()
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        Console().print(model_table(facts) if isinstance(facts, dict) else builtin_table(facts))


def import_(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CKPT", help="A checkpoint, or a directory with one.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL_DIR", help="The model to write.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its configuration, if not in the same directory."),
    ] = None,
    discriminators: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Discriminators and optimizers, to fine-tune from."),
    ] = None,
) -> None:
    """Convert another project's checkpoint to a model.

    HiFi-GAN, BigVGAN, BigVSAN, MelGAN, ParallelWaveGAN and ESPnet, Vocos, HiFTNet, NSF-HiFiGAN,
    SpeechBrain, transformers; of bandwidth extenders AP-BWE, EBEN, HiFi-GAN+, HiFi-SR: recognised
    by the content of the file. No code in it is run.
    """
    from rich.console import Console

    from vocoder.checkpoint import save_model
    from vocoder.cli.describe import model_table
    from vocoder.importers.importer import import_checkpoint
    from vocoder.inference.description import describe

    imported = import_checkpoint(checkpoint, config=config, discriminators=discriminators)
    start = imported.start
    save_model(output, imported.generator, imported.config, start=start.state if start else None)
    Console().print(model_table(describe(str(output))))
    for name in start.left_out if start else []:
        typer.echo(f"left out: {name}")
