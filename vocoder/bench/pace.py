"""A stream in real time, and how often a player of its audio runs empty."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.inference.vocoder import Vocoder


@dataclass(frozen=True)
class Pace:
    """Timing of a stream whose frames arrive in real time, in pieces of `chunk` frames.

    `first_audio` is the time from the first piece to the first audio, `push_worst` and `push_p99`
    are the maximum and the 99th percentile of the time of a push. `head_start` is how long after
    the first audio a player must begin to run without a gap; `under_runs` is how often a player
    runs empty that begins the length of one piece after it.
    """

    chunk: int
    minutes: float
    first_audio: float
    push_worst: float
    push_p99: float
    head_start: float
    under_runs: int


class Arrival(NamedTuple):
    """Audio that a player received: the time in seconds, and the number of samples."""

    time: float
    samples: int


def pace(
    vocoder: Vocoder,
    mel: Tensor,
    *,
    chunk: int,
    minutes: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Pace:
    """Push `mel` in pieces, repeated without end, at the times at which they are due.

    The model's plan is made before. Raises ConfigError if there is no audio in that time.

    Args:
        vocoder: The model.
        mel: Mel spectrogram [M, F].
        chunk: Frames in a piece.
        minutes: Duration of the measurement.
        clock: Returns the time in seconds.
        sleep: Waits for a number of seconds.
    """
    stream, pieces, period = vocoder.stream(), repeated(mel, chunk), seconds_of(vocoder, chunk)
    times: list[float] = []
    arrivals: list[Arrival] = []
    begin = clock()
    for number in range(max(1, round(60 * minutes / period))):
        piece = next(pieces)
        sleep(max(0.0, begin + number * period - clock()))
        start = clock()
        audio = stream.push(piece)
        end = clock()
        times.append(end - start)
        if len(audio):
            arrivals.append(Arrival(end, len(audio)))
    if not arrivals:
        raise ConfigError(
            f"{vocoder.config.name}: {minutes:g} minutes at pace give no audio: "
            f"it looks {stream.plan.lookahead} frames ahead"
        )
    return Pace(
        chunk=chunk,
        minutes=minutes,
        first_audio=arrivals[0].time - begin,
        push_worst=max(times),
        push_p99=torch.tensor(times, dtype=torch.float64).quantile(0.99).item(),
        head_start=head_start(arrivals, vocoder.sample_rate),
        under_runs=under_runs(arrivals, vocoder.sample_rate, wait=period),
    )


def head_start(arrivals: Sequence[Arrival], sample_rate: int) -> float:
    """Smallest delay in seconds after the first arrival at which a player runs without a gap."""
    latest, played = 0.0, 0
    for arrival in arrivals:
        latest = max(latest, arrival.time - arrivals[0].time - played / sample_rate)
        played += arrival.samples
    return latest


def under_runs(arrivals: Sequence[Arrival], sample_rate: int, *, wait: float) -> int:
    """How often a player runs empty that begins `wait` seconds after the first arrival.

    It continues with the next audio that arrives. A gap of less than a sample does not count.
    """
    count, empty = 0, arrivals[0].time + wait
    for arrival in arrivals:
        if arrival.time - empty > 1 / sample_rate:
            count, empty = count + 1, arrival.time
        empty += arrival.samples / sample_rate
    return count


def repeated(mel: Tensor, chunk: int) -> Iterator[Tensor]:
    """Iterate over pieces of `mel`, repeated without end. Shape: [M, F] → [M, chunk] each."""
    steps, position = torch.arange(chunk), 0
    while True:
        yield mel[:, (position + steps) % mel.shape[-1]]
        position = (position + chunk) % mel.shape[-1]


def seconds_of(vocoder: Vocoder, frames: int) -> float:
    """Duration in seconds of the audio of a number of mel frames."""
    return frames * vocoder.spec.hop_length / vocoder.sample_rate
