"""The command that streams from a pipe to a pipe: stream."""

import sys
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from io import BufferedIOBase, FileIO
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from vocoder.cli.options import (
    Device,
    Model,
    Normalisation,
    Preset,
    Runtime,
    RuntimeName,
    Threads,
    Verbose,
    mel_settings,
)
from vocoder.cli.verbose import say_how
from vocoder.errors import ConfigError, MelMismatchError, VocoderError
from vocoder.threads import default_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vocoder.features.mel import MelSpec
    from vocoder.inference.vocoder import Vocoder


class MelPipe(StrEnum):
    """Formats of mel frames that we read from a pipe."""

    NPY = "npy"
    F32 = "f32"


class Pcm(StrEnum):
    """Formats of samples that we write to a pipe."""

    S16 = "s16"
    F32 = "f32"


def stream(
    model: Model = "default",
    mel_format: Annotated[
        MelPipe, typer.Option(help="npy: arrays [M, f]; f32: raw little-endian, frame by frame.")
    ] = MelPipe.NPY,
    audio_format: Annotated[Pcm, typer.Option(help="Little-endian samples.")] = Pcm.S16,
    wav: Annotated[bool, typer.Option(help="Put a WAV header in front, of open length.")] = False,
    preset: Preset = None,
    normalisation: Normalisation = None,
    chunk: Annotated[
        int, typer.Option(metavar="N", min=1, help="Frames to compute at once, at most.")
    ] = 32,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Report on stderr the lead over playback.")
    ] = False,
    device: Device = "cpu",
    runtime: Runtime = RuntimeName.AUTO,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Turn mel frames on stdin into PCM on stdout, live.

    The audio is that of `vocoder vocode`, mono at the model's rate (see `vocoder info`), and each
    sample is written as soon as it is final. --preset and --normalisation give the settings
    of the mels, if they are not the model's; griffin-lim takes any.
    """
    source = _piped(sys.stdin, "stdin", "pipe mels in: vocoder stream < mel.npy")
    sink = _piped(sys.stdout, "stdout", "pipe it into a player, or write a file: > audio.pcm")

    import numpy as np

    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.cli.pipe import Health, PcmWriter, read_f32, read_npy, run
    from vocoder.inference.vocoder import load

    if runtime not in (RuntimeName.AUTO, RuntimeName.TORCH):
        raise ConfigError(f"--runtime {runtime}: streams run in torch only")
    settings = mel_settings(preset, normalisation, model=model)
    any_mel = settings if model == GRIFFIN_LIM else None
    vocoder = load(model, device=device, mel=any_mel, runtime="torch")
    if verbose:
        say_how(vocoder)
    if threads is None:
        _set_threads(vocoder, chunk)
    live = vocoder.stream(spec=settings, arrays=np.ndarray)
    read = read_npy if mel_format is MelPipe.NPY else read_f32
    spec = settings or vocoder.spec
    check = None if settings else _checker(spec)
    mels = read(cast(BufferedIOBase, source.buffer), spec=spec, chunk=chunk, check=check)
    health = Health(vocoder.sample_rate, lambda line: typer.echo(line, err=True))
    floats = audio_format is Pcm.F32
    # Without a buffer: at its exit, the interpreter would try again what could not be written.
    with FileIO(sink.fileno(), "wb", closefd=False) as pipe, suppress(BrokenPipeError):
        writer = PcmWriter(pipe, sample_rate=vocoder.sample_rate, floats=floats, wav=wav)
        try:
            run(live, mels, writer, health=health if realtime else None)
        finally:
            writer.clipping.warn()


def _set_threads(vocoder: "Vocoder", chunk: int) -> None:
    """Use as many threads as suit a stream in pieces of `chunk` frames."""
    import torch

    from vocoder.inference.threads import operation_threads

    seconds = chunk * vocoder.spec.hop_length / vocoder.sample_rate
    torch.set_num_threads(operation_threads(vocoder, default_threads(), seconds=seconds))


def _checker(spec: "MelSpec") -> "Callable[[NDArray[Any]], None]":
    """A function for every mel as it arrives, which raises if it does not look like `spec`.

    It looks at the frames so far, when they are 32 or more and when they have doubled, up to 160.
    """
    import numpy as np
    import torch

    from vocoder.features.mel_check import check_mel

    frames, wanted = np.empty((spec.n_mels, 0), dtype=np.float32), 32

    def check(mel: "NDArray[Any]") -> None:
        nonlocal frames, wanted
        if wanted > 160 or not np.isfinite(mel).all():
            return
        frames = np.concatenate([frames, mel], axis=1, dtype=np.float32)
        if frames.shape[1] >= wanted:
            wanted = 2 * frames.shape[1]
            if found := check_mel(torch.from_numpy(frames), spec):
                raise MelMismatchError(f"stdin: the mel {found.explanation}")

    return check


def _piped(stream: TextIO | None, name: str, fix: str) -> TextIO:
    """A standard stream; VocoderError if nothing is piped there."""
    if stream is None or stream.isatty():
        state = "closed" if stream is None else "a terminal"
        raise VocoderError(f"{name} is {state}; {fix}")
    return stream
