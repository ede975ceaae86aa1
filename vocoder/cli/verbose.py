"""How a model runs, in words, for -v."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from vocoder.inference.model import InferenceModel


def say_how(model: "InferenceModel") -> None:
    """Write to stderr how a model runs here, and a line for each thing that would be faster."""
    from vocoder.inference.advice import faster

    typer.echo(f"{model.config.name}: {model.network.path}", err=True)
    for advice in faster(model):
        typer.echo(f"faster: {advice}", err=True)
