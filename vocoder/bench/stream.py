"""Compute time and latency of a vocoder's stream, for `vocoder bench stream`.

All times are in seconds. Every measurement goes through the public calls, `Vocoder` and
`Stream.push`, with their checks and copies, on the mel of noise: the work of a network does not
depend on its input. Making the plan, which a model does once, is in none of the times.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vocoder.bench.pace import Pace, pace, repeated, seconds_of
from vocoder.errors import ConfigError
from vocoder.inference.vocoder import Vocoder


@dataclass(frozen=True, kw_only=True)
class StreamBenchSettings:
    """What to measure of a vocoder's stream. Raises ConfigError for what cannot be measured."""

    chunks: tuple[int, ...] = (32, 4, 1)
    """Sizes in frames of the pieces in which streams are pushed."""
    seconds: float = 10.0
    """Length of the mel, which is repeated where more is needed."""
    repeats: int = 7
    """Number of runs that a median is taken over."""
    long: float = 0.0
    """Minutes of audio of a long stream, in pieces of the first size; 0 leaves it out."""
    pace: float = 0.0
    """Minutes of a stream in real time, in pieces of the first size; 0 leaves it out."""

    def __post_init__(self) -> None:
        if not self.chunks or min(self.chunks) < 1:
            raise ConfigError(f"chunks {list(self.chunks)}: give numbers of frames, from 1 on")
        if self.repeats < 1 or self.seconds <= 0 or min(self.long, self.pace) < 0:
            raise ConfigError(
                "a measurement needs one repeat, some seconds and no negative minutes"
            )


@dataclass(frozen=True)
class Machine:
    """Where times were measured: version of torch, name of the device, number of CPU threads."""

    torch: str
    device: str
    threads: int


@dataclass(frozen=True)
class Latency:
    """Latency of a stream, and compute time of the push that returns its first audio.

    `lookahead` in frames and `samples` of latency are the plan's, and hold at any speed. The first
    audio comes with frame number `first_frame`. `first_push` is the median time of that push in
    streams that get single frames, `first_push_cold` its time in the first such stream, which
    includes the initialisation of the process. `first_push_at_once` is the median if the look-ahead
    and one more frame, or as many as audio needs, come in one push.
    """

    lookahead: int
    lookahead_seconds: float
    samples: int
    seconds: float
    first_frame: int
    first_push: float
    first_push_cold: float
    first_push_at_once: float


@dataclass(frozen=True)
class Overhead:
    """Compute time of a stream in pieces of `chunk` frames, relative to one call.

    `ratio` is the median over pairs (one call, then one stream of the same mel) of the stream's
    time divided by the call's; `lowest` and `highest` are the extremes. `one_shot` and `stream` are
    median seconds of compute per second of audio.
    """

    chunk: int
    ratio: float
    lowest: float
    highest: float
    one_shot: float
    stream: float


@dataclass(frozen=True)
class Flat:
    """Time and memory at the beginning and the end of a stream of `minutes` of audio.

    The stream runs at full speed. The times are medians over the pushes of the first and of the
    last tenth; the resident memory of the process is in bytes, after a tenth and at the end, None
    where the system does not report it.
    """

    chunk: int
    minutes: float
    push_early: float
    push_late: float
    resident_early: int | None
    resident_late: int | None


@dataclass(frozen=True)
class StreamBenchResult:
    """Everything measured of one vocoder: latency, overhead, and optionally long streams."""

    model: str
    parameters: int
    sample_rate: int
    hop_length: int
    latency: Latency
    overhead: list[Overhead] = field(default_factory=list)
    flat: Flat | None = None
    pace: Pace | None = None


def machine(device: torch.device) -> Machine:
    """Describe this machine, with the present number of threads."""
    name = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif cpus.exists():
        facts = (line.partition(":") for line in cpus.read_text().splitlines())
        name = next((value.strip() for key, _, value in facts if "model name" in key), name)
    return Machine(torch.__version__, f"{name} ({device.type})", torch.get_num_threads())


def measure(vocoder: Vocoder, settings: StreamBenchSettings) -> StreamBenchResult:
    """Measure one vocoder according to `settings`; latency comes first, while the model is cold.

    Raises ConfigError for a model that cannot stream, or too few minutes at `pace`.
    """
    mel = noise_mel(vocoder, settings.seconds)
    first = settings.chunks[0]
    return StreamBenchResult(
        model=vocoder.config.name,
        parameters=vocoder.num_parameters,
        sample_rate=vocoder.sample_rate,
        hop_length=vocoder.spec.hop_length,
        latency=latency(vocoder, mel, repeats=settings.repeats),
        overhead=[
            overhead(vocoder, mel, chunk=chunk, repeats=settings.repeats)
            for chunk in settings.chunks
        ],
        flat=flat(vocoder, mel, chunk=first, minutes=settings.long) if settings.long else None,
        pace=pace(vocoder, mel, chunk=first, minutes=settings.pace) if settings.pace else None,
    )


def noise_mel(vocoder: Vocoder, seconds: float) -> Tensor:
    """The mel of fixed noise of a given length, in the format of `vocoder`. Shape: [M, F]."""
    samples = max(1, round(seconds * vocoder.sample_rate))
    noise = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(0))
    return vocoder.mel(noise, sample_rate=vocoder.sample_rate)


def latency(vocoder: Vocoder, mel: Tensor, *, repeats: int) -> Latency:
    """Measure the look-ahead of the plan and the time of the first audio.

    `mel` is repeated where more is needed. Only the first call in a process measures a cold model.
    """
    plan, rate = vocoder.plan(), vocoder.sample_rate
    singly = [first_audio(vocoder, mel, chunk=1) for _ in range(repeats + 1)]
    enough = max(plan.lookahead + 1, singly[0][0])
    at_once = [first_audio(vocoder, mel, chunk=enough) for _ in range(repeats + 1)]
    return Latency(
        lookahead=plan.lookahead,
        lookahead_seconds=plan.lookahead * vocoder.spec.hop_length / rate,
        samples=plan.latency,
        seconds=plan.latency / rate,
        first_frame=singly[0][0],
        first_push=statistics.median(took for _, took in singly[1:]),
        first_push_cold=singly[0][1],
        first_push_at_once=statistics.median(took for _, took in at_once[1:]),
    )


def first_audio(vocoder: Vocoder, mel: Tensor, *, chunk: int) -> tuple[int, float]:
    """Number of frames until a new stream returns audio, and the time of that push."""
    stream, pieces = vocoder.stream(), repeated(mel, chunk)
    while True:
        piece = next(pieces)
        start = time.perf_counter()
        audio = stream.push(piece)
        took = time.perf_counter() - start
        if len(audio):
            return stream.frames, took


def overhead(vocoder: Vocoder, mel: Tensor, *, chunk: int, repeats: int) -> Overhead:
    """Time one call and one stream of `mel` alternately, after a pair that does not count."""
    vocoder.plan()
    pieces: tuple[Tensor, ...] = torch.split(mel, chunk, dim=-1)

    def streamed() -> None:
        stream = vocoder.stream()
        for piece in pieces:
            stream.push(piece)
        stream.flush()

    pairs = in_turn(lambda: vocoder(mel), streamed, repeats=repeats)
    ratios = [stream / one_shot for one_shot, stream in pairs]
    seconds = mel.shape[-1] * vocoder.spec.hop_length / vocoder.sample_rate
    return Overhead(
        chunk=chunk,
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        one_shot=statistics.median(one_shot for one_shot, _ in pairs) / seconds,
        stream=statistics.median(stream for _, stream in pairs) / seconds,
    )


def in_turn(
    one: Callable[[], object], other: Callable[[], object], *, repeats: int
) -> list[tuple[float, float]]:
    """Time two functions alternately, after a pair that does not count: (one, other) in seconds."""
    return [(timed(one), timed(other)) for _ in range(repeats + 1)][1:]


def timed(call: Callable[[], object]) -> float:
    """Time that `call` takes, in seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def flat(vocoder: Vocoder, mel: Tensor, *, chunk: int, minutes: float) -> Flat:
    """Stream `mel` repeatedly for `minutes` of audio, at least ten pushes, at full speed."""
    pushes = max(10, round(60 * minutes / seconds_of(vocoder, chunk)))
    tenth = pushes // 10
    stream, pieces = vocoder.stream(), repeated(mel, chunk)
    times = torch.full([pushes], torch.nan)  # filled, so that its memory is resident at once
    resident = None
    for number in range(pushes):
        piece = next(pieces)
        start = time.perf_counter()
        stream.push(piece)
        times[number] = time.perf_counter() - start
        if number == tenth - 1:
            resident = _resident()
    return Flat(
        chunk=chunk,
        minutes=minutes,
        push_early=times[:tenth].median().item(),
        push_late=times[-tenth:].median().item(),
        resident_early=resident,
        resident_late=_resident(),
    )


def _resident() -> int | None:
    """Resident memory of this process in bytes, where /proc has it."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
