"""Options, arguments and file formats that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vocoder.errors import ConfigError, VocoderError


class AudioFormat(StrEnum):
    """Formats of the audio files that we write."""

    WAV = "wav"
    FLAC = "flac"


class MelFormat(StrEnum):
    """Formats of the mel files that we write."""

    NPY = "npy"
    PT = "pt"
    SAFETENSORS = "safetensors"


def missing_extra(what: str, error: ModuleNotFoundError) -> VocoderError:
    """The error to raise if `what` needs a package of the train extra that is not installed."""
    if (error.name or "").split(".")[0] == "vocoder":
        raise error
    return ConfigError(f"{what} needs {error.name}: pip install 'vocoder[train]'")


def _set_threads(count: int | None) -> int | None:
    if count is not None:
        import torch

        torch.set_num_threads(count)
    return count


Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT", help="Files, directories (of any depth), patterns."),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A directory, for files named after the inputs; or a file, for a single input.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="MODEL", help="A built-in model (listed by `vocoder info`) or a model directory."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        "--mel",
        metavar="PRESET",
        help="Mel settings: the name of a preset, or a JSON file with them.",
    ),
]
AudioFormatOption = Annotated[AudioFormat | None, typer.Option("--format", help="Instead of wav.")]
MelFormatOption = Annotated[MelFormat | None, typer.Option("--format", help="Instead of npy.")]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, mps.")]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, callback=_set_threads, help="CPU threads; default: all cores."
    ),
]
