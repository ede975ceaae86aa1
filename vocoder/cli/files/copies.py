"""Copies of recordings by a model, timed: what `vocoder evaluate --model` scores.

They are made in a process of their own, since a process in which a model has run has threads, and
is then no longer copied to score several files at a time.
"""

import functools
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from vocoder.errors import VocoderError
from vocoder.evaluation.comparison import Copies
from vocoder.threads import default_threads

if TYPE_CHECKING:
    from torch import Tensor

BASELINES = ("resampling", "replication")
"""What extends a narrow band without a network, instead of the name of a model."""

_BASELINE_RATE = 48000
Make = Callable[["Tensor", int], tuple["Tensor", int, float]]
"""(audio [C, T], sample rate) → audio, its rate, seconds that it took."""


def make_copies(
    model: str, recordings: Sequence[tuple[str, Path]], folder: Path, *, cutoff: float | None
) -> Copies:
    """Write copies of recordings by a model into a folder, and say how fast that was.

    A vocoder makes them from the mels of the channels. With a cutoff, an extender or one
    of `BASELINES` makes them from narrow-band copies, at twice the cutoff. The time is that of the
    model alone, with all cores, after a first call that does not count. A recording that cannot be
    read or copied has none. Raises VocoderError if the model cannot be loaded or copies nothing.

    Args:
        model: What `vocoder.load` or `vocoder.load_extender` takes, or a baseline.
        recordings: Names, relative and without suffix, and paths.
        folder: Where the copies go, NAME.wav.
        cutoff: Highest frequency in Hz of the narrow band; None for copy synthesis.
    """
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawned) as process:
        return process.submit(_copies, model, recordings, folder, cutoff).result()


def _copies(
    model: str, recordings: Sequence[tuple[str, Path]], folder: Path, cutoff: float | None
) -> Copies:
    """What the process does; `make_copies` says what that is."""
    import torch

    from vocoder.io.audio import read_audio, write_audio

    torch.set_num_threads(default_threads())
    make = _vocoder(model) if cutoff is None else _extender(model, cutoff)
    speeds: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name, path in recordings:
        try:
            audio, rate = read_audio(path)
            if not speeds:
                make(audio, rate)
            copy, copy_rate, took = make(audio, rate)
        except VocoderError as error:
            reasons[name] = str(error)
            continue
        write_audio(folder / f"{name}.wav", copy, copy_rate)
        speeds[name] = copy.shape[-1] / copy_rate / took
    if reasons and not speeds:
        raise VocoderError(f"{model} copies none of the recordings: {next(iter(reasons.values()))}")
    return Copies(model=model, threads=torch.get_num_threads(), speeds=speeds, reasons=reasons)


def _vocoder(model: str) -> Make:
    from vocoder.cli.files.batch import compile_now
    from vocoder.inference.vocoder import load

    vocoder = load(model)
    compile_now(vocoder)

    def make(audio: "Tensor", rate: int) -> "tuple[Tensor, int, float]":
        import torch

        from vocoder.io.audio import resample_soxr

        samples = resample_soxr(audio, rate, vocoder.sample_rate).shape[-1]
        mels = [vocoder.mel(channel, sample_rate=rate) for channel in audio]
        begin = time.perf_counter()
        made = torch.stack([vocoder(mel) for mel in mels])
        took = time.perf_counter() - begin
        return made[:, :samples], vocoder.sample_rate, took

    return make


def _extender(model: str, cutoff: float) -> Make:
    if model in BASELINES:
        return functools.partial(_baseline, model, cutoff)
    from vocoder.cli.files.batch import compile_now
    from vocoder.inference.extender import load_extender

    extender = load_extender(model)
    compile_now(extender)

    def make(audio: "Tensor", rate: int) -> "tuple[Tensor, int, float]":
        narrow = _narrow(audio, rate, cutoff)
        begin = time.perf_counter()
        made = extender(narrow, sample_rate=round(2 * cutoff))
        return made, extender.sample_rate, time.perf_counter() - begin

    return make


def _baseline(name: str, cutoff: float, audio: "Tensor", rate: int) -> "tuple[Tensor, int, float]":
    """The narrow band, resampled, with or without its copy above.

    At 48 kHz or more, so that lower rates are reached by the same filter as from other extenders.
    """
    from vocoder.evaluation.replication import replicate_band
    from vocoder.io.audio import resample_soxr

    narrow = _narrow(audio, rate, cutoff)
    rate = max(rate, _BASELINE_RATE)
    begin = time.perf_counter()
    made = resample_soxr(narrow, round(2 * cutoff), rate)
    if name == "replication":
        made = replicate_band(made, sample_rate=rate, cutoff=0.97 * cutoff)
    return made, rate, time.perf_counter() - begin


def _narrow(audio: "Tensor", rate: int, cutoff: float) -> "Tensor":
    from vocoder.io.audio import resample_soxr

    narrow_rate = round(2 * cutoff)
    if rate <= narrow_rate:
        raise VocoderError(
            f"a recording at {rate} Hz has nothing above {cutoff:g} Hz to extend; choose a lower "
            "--cutoff or leave it out"
        )
    return resample_soxr(audio, rate, narrow_rate)
