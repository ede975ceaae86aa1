"""Commands that convert files with a model: mel, vocode, resynth, extend."""

import functools
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.cli.options import (
    AudioFormat,
    AudioFormatOption,
    Device,
    Inputs,
    MelFormat,
    MelFormatOption,
    Model,
    Normalisation,
    Output,
    Preset,
    Threads,
    mel_settings,
)

if TYPE_CHECKING:
    from torch import Tensor

    from vocoder.features.mel import MelSpec


def mel(
    inputs: Inputs,
    output: Output,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Use the mel settings of this model.")
    ] = None,
    preset: Preset = None,
    normalisation: Normalisation = None,
    file_format: MelFormatOption = None,
    threads: Threads = None,
) -> None:
    """Make mel files from recordings.

    Audio of any format that libsndfile knows, such as wav, flac, mp3, ogg, opus and aiff, is read.
    Channels are averaged and the sample rate is converted. The mel settings are stored in the
    files. Without --model or --preset they are those of the default model.
    """
    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.inference.vocoder import load
    from vocoder.io.audio import READ_SUFFIXES, read_audio
    from vocoder.io.mel_file import write_mel

    settings = mel_settings(preset, normalisation, model=model or "default")
    if normalisation and model:
        model = None  # its settings are in `settings`
    vocoder = load(model or (GRIFFIN_LIM if settings else "default"), mel=settings)

    def make(source: Path, target: Path) -> float:
        audio, sample_rate = read_audio(source)
        write_mel(target, vocoder.mel(audio, sample_rate=sample_rate), vocoder.spec)
        return audio.shape[-1] / sample_rate

    _run_batch(inputs, READ_SUFFIXES, output, MelFormat, file_format, make)


def vocode(
    inputs: Inputs,
    output: Output,
    model: Model = "default",
    preset: Preset = None,
    normalisation: Normalisation = None,
    file_format: AudioFormatOption = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn mel files (npy, npz, pt, pth, safetensors) into audio.

    A mel is [M, F], [F, M] or [1, M, F]. Files of `vocoder mel` contain their settings and are
    converted to those of the model, where that is exact; others are taken to have the settings of
    --preset and --normalisation or, without them, of the model, and refused where they look like
    something else. The model griffin-lim follows the settings of each file.
    """
    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.inference.vocoder import load
    from vocoder.io.audio import write_audio
    from vocoder.io.mel_file import SUFFIXES, read_mel

    settings = mel_settings(preset, normalisation, model=model)
    any_mel = model == GRIFFIN_LIM
    own = load(model, device=device, mel=settings if any_mel else None)
    fitting = functools.cache(lambda spec: load(model, device=device, mel=spec))

    def make(source: Path, target: Path) -> float:
        mel, stated = read_mel(source)
        spec = stated or settings
        if spec is None:
            _require_likely(mel, own.spec)
        vocoder = fitting(spec) if any_mel and spec else own
        audio = vocoder(mel, spec=spec)
        write_audio(target, audio, vocoder.sample_rate)
        return len(audio) / vocoder.sample_rate

    _run_batch(inputs, SUFFIXES, output, AudioFormat, file_format, make)


def resynth(
    inputs: Inputs,
    output: Output,
    model: Model = "default",
    preset: Preset = None,
    file_format: AudioFormatOption = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn recordings into mels and back into audio (copy synthesis).

    The output has the model's sample rate and the length of the input, in mono. --preset is for
    griffin-lim.
    """
    from vocoder.inference.vocoder import load
    from vocoder.io.audio import READ_SUFFIXES, read_audio, write_audio
    from vocoder.io.mel_file import read_spec

    vocoder = load(model, device=device, mel=read_spec(preset) if preset else None)

    def make(source: Path, target: Path) -> float:
        audio, sample_rate = read_audio(source)
        write_audio(target, vocoder.resynth(audio, sample_rate=sample_rate), vocoder.sample_rate)
        return audio.shape[-1] / sample_rate

    _run_batch(inputs, READ_SUFFIXES, output, AudioFormat, file_format, make)


def extend(
    inputs: Inputs,
    output: Output,
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="The built-in extender, or a model directory.")
    ] = "extender",
    output_rate: Annotated[
        int | None,
        typer.Option(metavar="HZ", min=1, help="Sample rate of the output; default: the model's."),
    ] = None,
    cutoff: Annotated[
        float | None,
        typer.Option(
            metavar="HZ", min=1, help="Highest frequency of the content; default: measured."
        ),
    ] = None,
    preserve_low_band: Annotated[
        bool,
        typer.Option(
            help="Below the cutoff, keep the recording as it is, or take the model's output."
        ),
    ] = True,
    file_format: AudioFormatOption = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Extend the bandwidth of recordings that lack their upper band.

    Telephone, old or low-rate recordings of any length, rate and number of channels. The cutoff is
    measured: the content of a file at 48 kHz may end at 4 kHz. The band below the cutoff is
    preserved. Silent files stay silent.
    """
    from vocoder.inference.extender import load_extender
    from vocoder.io.audio import READ_SUFFIXES

    extender = load_extender(model, device=device)

    def make(source: Path, target: Path) -> float:
        samples = extender.file(
            source,
            target,
            output_rate=output_rate,
            cutoff=cutoff,
            preserve_low_band=preserve_low_band,
        )
        return samples / (output_rate or extender.sample_rate)

    _run_batch(inputs, READ_SUFFIXES, output, AudioFormat, file_format, make)


def _require_likely(mel: "Tensor", spec: "MelSpec") -> None:
    """Raise MelMismatchError for a mel that states no settings and does not look like `spec`."""
    from vocoder.errors import MelMismatchError
    from vocoder.features.mel_check import check_mel
    from vocoder.features.mel_conversion import layout

    found = check_mel(layout(mel, spec), spec)
    if found:
        raise MelMismatchError(
            f"the mel {found.explanation} (where settings are stated, it is vocoded all the same)"
        )


def _run_batch(
    inputs: list[str],
    suffixes: Iterable[str],
    output: Path,
    formats: type[StrEnum],
    chosen: StrEnum | None,
    make: Callable[[Path, Path], float],
) -> None:
    from vocoder.cli.batch import find_sources, plan, run

    sources, problems = find_sources(inputs, suffixes)
    planned = plan(sources, output, formats=list(formats), chosen=chosen)
    raise typer.Exit(run(planned.jobs, make, problems=problems + planned.problems))
