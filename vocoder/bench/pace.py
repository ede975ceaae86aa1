"""A stream in real time, and a player that lives on it."""

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
    """A stream whose frames come in real time: every piece when the one before has been played.

    `first_audio` is the time from the first piece until there is audio. Times of a push: the worst,
    and the one that 99 % stay below. `head_start` is how long after the first audio a player must
    begin so that it never waits; `under_runs` is how often one waits that begins the length of one
    piece after it.
    """

    chunk: int
    minutes: float
    first_audio: float
    push_worst: float
    push_p99: float
    head_start: float
    under_runs: int


class Arrival(NamedTuple):
    """Audio that a player was given: when, and how many samples."""

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
    """Push pieces of `mel`, over and over, when they are due; the plan is made before.

    Raises ConfigError if so many minutes give no audio.
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
    """The least seconds after the first arrival at which a player can begin and never wait."""
    latest, played = 0.0, 0
    for arrival in arrivals:
        latest = max(latest, arrival.time - arrivals[0].time - played / sample_rate)
        played += arrival.samples
    return latest


def under_runs(arrivals: Sequence[Arrival], sample_rate: int, *, wait: float) -> int:
    """How often a player that begins `wait` seconds after the first arrival finds nothing to play.

    It then goes on with what comes next. A gap of less than a sample is none.
    """
    count, empty = 0, arrivals[0].time + wait
    for arrival in arrivals:
        if arrival.time - empty > 1 / sample_rate:
            count, empty = count + 1, arrival.time
        empty += arrival.samples / sample_rate
    return count


def repeated(mel: Tensor, chunk: int) -> Iterator[Tensor]:
    """`mel` over and over without end. Shape: [M, F] → [M, chunk] each."""
    steps, position = torch.arange(chunk), 0
    while True:
        yield mel[:, (position + steps) % mel.shape[-1]]
        position = (position + chunk) % mel.shape[-1]


def seconds_of(vocoder: Vocoder, frames: int) -> float:
    """How much audio so many frames are."""
    return frames * vocoder.spec.hop_length / vocoder.sample_rate
