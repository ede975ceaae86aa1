"""Commands that convert files with a model: mel, vocode, resynth, extend."""

import functools
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vocoder.cli.options import (
    AudioFormat,
    AudioFormatOption,
    Device,
    Engine,
    EngineName,
    Inputs,
    Jobs,
    MelFormat,
    MelFormatOption,
    Model,
    Normalisation,
    Output,
    Precision,
    PrecisionName,
    Preset,
    Runtime,
    RuntimeName,
    Verbose,
    mel_settings,
)
from vocoder.cli.verbose import say_how

if TYPE_CHECKING:
    from torch import Tensor

    from vocoder.cli.files.batch import FileBatch
    from vocoder.features.mel import MelSpec
    from vocoder.inference.vocoder import Vocoder


def mel(
    inputs: Inputs,
    output: Output,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Use the mel settings of this model.")
    ] = None,
    preset: Preset = None,
    normalisation: Normalisation = None,
    file_format: MelFormatOption = None,
    jobs: Jobs = None,
    engine: Engine = EngineName.LOCAL,
) -> None:
    """Make mel files from recordings.

    Audio of any format that libsndfile knows, such as wav, flac, mp3, ogg, opus and aiff, is read.
    Channels are averaged and the sample rate is converted. The mel settings are stored in the
    files. Without --model or --preset they are those of the default model.
    """
    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.inference.vocoder import load
    from vocoder.io.audio import READ_SUFFIXES, probe

    settings = mel_settings(preset, normalisation, model=model or "default")
    if normalisation and model:
        model = None  # its settings are in `settings`
    batch = _batch(inputs, READ_SUFFIXES, output, MelFormat, file_format, jobs, engine)
    vocoder = load(model or (GRIFFIN_LIM if settings else "default"), mel=settings)

    spec = {"mel settings": vocoder.spec.to_dict()}
    batch = batch.resume(output, "mel", spec)

    def make(source: Path, target: Path) -> float:
        vocoder.mel_file(source, target)
        info = probe(source)
        return info.samples / info.sample_rate

    raise typer.Exit(batch.run(make))


def vocode(
    inputs: Inputs,
    output: Output,
    model: Model = "default",
    preset: Preset = None,
    normalisation: Normalisation = None,
    file_format: AudioFormatOption = None,
    device: Device = "cpu",
    runtime: Runtime = RuntimeName.AUTO,
    precision: Precision = PrecisionName.FLOAT32,
    jobs: Jobs = None,
    engine: Engine = EngineName.LOCAL,
    verbose: Verbose = False,
) -> None:
    """Turn mel files (npy, npz, pt, safetensors) into audio.

    A mel is [M, F], [F, M] or [1, M, F]. Files of `vocoder mel` contain their settings and are
    converted to those of the model, where that is exact; others are taken to have the settings of
    --preset and --normalisation or, without them, of the model, and refused where they look like
    something else. The model griffin-lim follows the settings of each file.
    """
    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.cli.files.facts import facts
    from vocoder.inference.long.groups import FileGroups
    from vocoder.inference.long.mel_files import MelSource
    from vocoder.inference.vocoder import load
    from vocoder.io.mel_file import SUFFIXES

    settings = mel_settings(preset, normalisation, model=model)
    any_mel = model == GRIFFIN_LIM
    batch = _batch(inputs, SUFFIXES, output, AudioFormat, file_format, jobs, engine, device)
    own = load(
        model,
        device=device,
        mel=settings if any_mel else None,
        runtime=runtime,
        precision=precision,
    )
    if verbose:
        say_how(own)
    stated = {"mel settings": settings and settings.to_dict()}
    batch = batch.resume(output, "vocode", facts(own, model) | stated)
    ahead = [job.source for job in batch.jobs] if engine is EngineName.LOCAL else []
    groups = FileGroups(own, ahead, settings)

    def make(source: Path, target: Path) -> float:
        mel = MelSource(source)
        spec = mel.spec or settings
        if spec is None:
            _require_likely(mel.sample(own.spec), own.spec)
        if any_mel and spec:
            return _griffin_lim(spec, device).file(mel, target) / spec.sample_rate
        return groups.file(mel, target) / own.sample_rate

    raise typer.Exit(batch.run(make, own))


def resynth(
    inputs: Inputs,
    output: Output,
    model: Model = "default",
    preset: Preset = None,
    file_format: AudioFormatOption = None,
    device: Device = "cpu",
    runtime: Runtime = RuntimeName.AUTO,
    precision: Precision = PrecisionName.FLOAT32,
    jobs: Jobs = None,
    engine: Engine = EngineName.LOCAL,
    verbose: Verbose = False,
) -> None:
    """Turn recordings into mels and back (copy synthesis).

    The output has the model's sample rate and the length of the input, in mono. --preset is for
    griffin-lim.
    """
    from vocoder.cli.files.facts import facts
    from vocoder.inference.vocoder import load
    from vocoder.io.audio import READ_SUFFIXES
    from vocoder.io.mel_file import read_spec

    batch = _batch(inputs, READ_SUFFIXES, output, AudioFormat, file_format, jobs, engine, device)
    spec = read_spec(preset) if preset else None
    vocoder = load(model, device=device, mel=spec, runtime=runtime, precision=precision)
    if verbose:
        say_how(vocoder)

    batch = batch.resume(output, "resynth", facts(vocoder, model))

    def make(source: Path, target: Path) -> float:
        return vocoder.resynth_file(source, target) / vocoder.sample_rate

    raise typer.Exit(batch.run(make, vocoder))


def extend(
    inputs: Inputs,
    output: Output,
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="The built-in extender, a model directory or an ONNX file."
        ),
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
    runtime: Runtime = RuntimeName.AUTO,
    precision: Precision = PrecisionName.FLOAT32,
    jobs: Jobs = None,
    engine: Engine = EngineName.LOCAL,
    verbose: Verbose = False,
) -> None:
    """Extend recordings that lack their upper band.

    Telephone, old or low-rate recordings of any length, rate and number of channels. The cutoff is
    measured: the content of a file at 48 kHz may end at 4 kHz. The band below the cutoff is
    preserved. Silent files stay silent.
    """
    from vocoder.cli.files.facts import facts
    from vocoder.inference.extender import load_extender
    from vocoder.io.audio import READ_SUFFIXES

    batch = _batch(inputs, READ_SUFFIXES, output, AudioFormat, file_format, jobs, engine, device)
    extender = load_extender(model, device=device, runtime=runtime, precision=precision)
    if verbose:
        say_how(extender)

    how: dict[str, Any] = {
        "output_rate": output_rate,
        "cutoff": cutoff,
        "preserve_low_band": preserve_low_band,
    }
    batch = batch.resume(output, "extend", facts(extender, model) | how)

    def make(source: Path, target: Path) -> float:
        samples = extender.file(source, target, **how)
        return samples / (output_rate or extender.sample_rate)

    raise typer.Exit(batch.run(make, extender))


@functools.lru_cache(maxsize=64)
def _griffin_lim(spec: "MelSpec", device: str) -> "Vocoder":
    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.inference.vocoder import load

    return load(GRIFFIN_LIM, device=device, mel=spec)


def _require_likely(mel: "Tensor", spec: "MelSpec") -> None:
    """Raise MelMismatchError for a mel that states no settings and does not look like `spec`."""
    from vocoder.errors import MelMismatchError
    from vocoder.features.mel_check import check_mel

    found = check_mel(mel, spec)
    if found:
        raise MelMismatchError(
            f"the mel {found.explanation} (where settings are stated, it is vocoded all the same)"
        )


def _batch(
    inputs: list[str],
    suffixes: Iterable[str],
    output: Path,
    formats: type[StrEnum],
    chosen: StrEnum | None,
    jobs: int | None,
    engine: EngineName,
    device: str = "cpu",
) -> "FileBatch":
    from vocoder.cli.files.batch import prepare
    from vocoder.cli.files.sources import find_sources, plan

    sources, problems = find_sources(inputs, suffixes)
    planned = plan(sources, output, formats=list(formats), chosen=chosen)
    return prepare(planned, problems, jobs=jobs, device=device, engine=engine)
