"""Options, arguments and file formats that several commands share."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.errors import ConfigError, VocoderError

if TYPE_CHECKING:
    from vocoder.features.mel import MelSpec


class AudioFormat(StrEnum):
    """Formats of the audio files that we write."""

    WAV = "wav"
    FLAC = "flac"


class MelFormat(StrEnum):
    """Formats of the mel files that we write."""

    NPY = "npy"
    PT = "pt"
    SAFETENSORS = "safetensors"


def missing_extra(what: str, error: ModuleNotFoundError, *, extra: str = "train") -> VocoderError:
    """The error to raise if `what` needs a package of an extra that is not installed."""
    if (error.name or "").split(".")[0] == "vocoder":
        raise error
    return ConfigError(f"{what} needs {error.name}: pip install 'vocoder[{extra}]'")


def mel_settings(
    preset: str | None, normalisation: str | None, *, model: str = "default"
) -> "MelSpec | None":
    """The mel settings that --preset and --normalisation state; None if neither is given.

    A normalisation changes those of the preset or, without it, of `model`. Raises ConfigError for
    unknown names and unreadable files, CheckpointError if there is no such model.
    """
    from vocoder.checkpoint import GRIFFIN_LIM, find_model, is_builtin, load_config
    from vocoder.features.mel import MelSpec
    from vocoder.io.mel_file import read_spec
    from vocoder.io.statistics import STATISTICS_SUFFIXES, read_statistics

    settings = read_spec(preset) if preset else None
    if normalisation is None:
        return settings
    if settings is None and is_builtin(model, GRIFFIN_LIM):
        settings = MelSpec.preset("hifigan_22k_80")
    settings = settings or load_config(find_model(model)).mel
    path = Path(normalisation)
    if path.suffix.lower() not in STATISTICS_SUFFIXES:
        return settings.normalised(normalisation)
    try:
        statistics = read_statistics(path)
        return dataclasses.replace(settings, mean=statistics["mean"], scale=statistics["scale"])
    except ConfigError as error:
        raise ConfigError(f"--normalisation {error}") from error


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
        metavar="MODEL",
        help="A built-in model (listed by `vocoder info`), a model directory or an ONNX file.",
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
Normalisation = Annotated[
    str | None,
    typer.Option(
        "--normalisation",
        metavar="NAME",
        help="What was done to the mel values: ln, log10, db, linear, keithito, rayhane, … (the "
        "manual lists them), or a file with mean and scale (npy, npz, h5).",
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
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        "--threads",
        metavar="N",
        min=1,
        help="Files at a time, with a core each; default: all cores. A single file has them all.",
    ),
]


class EngineName(StrEnum):
    """What runs the workers of a batch of files."""

    LOCAL = "local"
    RAY = "ray"


Engine = Annotated[
    EngineName,
    typer.Option(help="ray: the Ray cluster of RAY_ADDRESS or of this machine (extra ray)."),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say on stderr how the model runs on this machine.")
]


class PrecisionName(StrEnum):
    """Precisions that a network multiplies in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    AUTO = "auto"


Precision = Annotated[
    PrecisionName,
    typer.Option(
        help="Of products in convolutions and linear layers. bfloat16 needs a CPU or GPU that has "
        "it; `vocoder bench precision` measures what it loses. auto: bfloat16 where that is faster "
        "and loses little."
    ),
]


class RuntimeName(StrEnum):
    """Runtimes that run a network."""

    AUTO = "auto"
    TORCH = "torch"
    ONNX = "onnx"
    OPENVINO = "openvino"


Runtime = Annotated[
    RuntimeName,
    typer.Option(
        help="What runs the network. auto: the fastest that `vocoder tune` measured, else torch; "
        "of an ONNX file, onnx."
    ),
]
