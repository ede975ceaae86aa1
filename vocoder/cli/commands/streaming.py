"""The command that streams from a pipe to a pipe: stream."""

import sys
from contextlib import suppress
from enum import StrEnum
from io import BufferedIOBase, FileIO
from typing import Annotated, TextIO, cast

import typer

from vocoder.cli.options import Device, Model, Preset, Threads
from vocoder.errors import VocoderError


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
    chunk: Annotated[
        int, typer.Option(metavar="N", min=1, help="Frames to compute at once, at most.")
    ] = 32,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Report on stderr the lead over playback.")
    ] = False,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn mel frames on stdin into PCM on stdout, live.

    The audio is that of `vocoder vocode`, mono at the model's rate (see `vocoder info`), and each
    sample is written as soon as it is final. --preset gives the settings of the mels, if they are
    not the model's; griffin-lim takes any.
    """
    source = _piped(sys.stdin, "stdin", "pipe mels in: vocoder stream < mel.npy")
    sink = _piped(sys.stdout, "stdout", "pipe it into a player, or write a file: > audio.pcm")

    import numpy as np

    from vocoder.checkpoint import GRIFFIN_LIM
    from vocoder.cli.pipe import Health, PcmWriter, read_f32, read_npy, run
    from vocoder.inference.vocoder import load
    from vocoder.io.mel_file import read_spec

    settings = read_spec(preset) if preset else None
    vocoder = load(model, device=device, mel=settings if model == GRIFFIN_LIM else None)
    live = vocoder.stream(spec=settings, arrays=np.ndarray)
    read = read_npy if mel_format is MelPipe.NPY else read_f32
    mels = read(cast(BufferedIOBase, source.buffer), spec=settings or vocoder.spec, chunk=chunk)
    health = Health(vocoder.sample_rate, lambda line: typer.echo(line, err=True))
    floats = audio_format is Pcm.F32
    # Without a buffer: at its exit, the interpreter would try again what could not be written.
    with FileIO(sink.fileno(), "wb", closefd=False) as pipe, suppress(BrokenPipeError):
        writer = PcmWriter(pipe, sample_rate=vocoder.sample_rate, floats=floats, wav=wav)
        run(live, mels, writer, health=health if realtime else None)


def _piped(stream: TextIO | None, name: str, fix: str) -> TextIO:
    """A standard stream; VocoderError if nothing is piped there."""
    if stream is None or stream.isatty():
        state = "closed" if stream is None else "a terminal"
        raise VocoderError(f"{name} is {state}; {fix}")
    return stream
