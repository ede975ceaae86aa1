"""Compute time of a bandwidth extender in one call and as a stream, for `vocoder bench extend`.

Compute times are seconds per second of audio. The signal is noise: the work of a network does not
depend on its input. Making the plan, which a model does once, is in none of the times. Devices that
compute asynchronously are waited for.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from vocoder.bench.stream import in_turn, timed
from vocoder.errors import ConfigError
from vocoder.inference.extender import Extender
from vocoder.inference.streams.extension import ExtensionStream, Planned
from vocoder.streaming.plan import Plan

_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100)  # usual ones of narrow recordings


@dataclass(frozen=True, kw_only=True)
class ExtendBenchSettings:
    """What to measure of a bandwidth extender. Raises ConfigError for what cannot be measured."""

    pieces: tuple[float, ...] = (20.0, 100.0, 2000.0)
    """Lengths in milliseconds of the pieces in which streams are pushed."""
    seconds: float = 5.0
    """Length of the noise."""
    repeats: int = 5
    """Number of runs that a median is taken over."""
    sample_rate: int | None = None
    """Sample rate of the recordings; by default the lowest usual one that holds the whole band."""

    def __post_init__(self) -> None:
        if not self.pieces or not all(0 < size < math.inf for size in self.pieces):
            raise ConfigError(f"pieces {list(self.pieces)}: give milliseconds, above 0")
        if self.repeats < 1 or self.seconds < max(self.pieces) / 1000:
            raise ConfigError("a measurement needs one repeat, and noise as long as its pieces")


@dataclass(frozen=True)
class Pieces:
    """Compute time of a stream in pieces of `samples` at `sample_rate`, relative to plain calls.

    `ratio` is the median over pairs (one plain call of the network, then one stream) of the call's
    time divided by the stream's: above 1, the stream is faster; `lowest` and `highest` are the
    extremes. `compute` is the stream's median time. `push_median` and `push_p99` are the median and
    the 99th percentile of the time of a push, divided by the length of a piece: below 1, it keeps
    up with real time.
    """

    milliseconds: float
    samples: int
    sample_rate: int
    ratio: float
    lowest: float
    highest: float
    compute: float
    push_median: float
    push_p99: float


@dataclass(frozen=True, kw_only=True)
class ExtendBenchResult:
    """Everything measured of one bandwidth extender.

    `plain` is the median compute time of the network in one call, `planned` that of the network run
    by its plan, `live` that of the whole of `Extender.stream`, in the first size of piece.
    `lookahead` and `latency` are the plan's, in samples; resampling and crossover add theirs. If a
    network cannot stream, `refused` is the reason; it extends recordings in windows, by plain
    calls, and nothing else is measured.
    """

    model: str
    parameters: int
    sample_rate: int
    hop_length: int
    plain: float
    lookahead: int | None = None
    latency: int | None = None
    refused: str | None = None
    planned: list[Pieces] = field(default_factory=list)
    live: Pieces | None = None


class _Network:
    """The network, run by its plan as a stream. Shape of a piece: [T]."""

    def __init__(self, plan: Plan) -> None:
        self._planned = Planned(plan)

    @torch.inference_mode()
    def push(self, audio: Tensor) -> None:
        made = self._planned.step(audio[None, None].clone())
        if made is not None:
            made.cpu()  # waits until the device has computed it

    @torch.inference_mode()
    def flush(self) -> None:
        self._planned.step(None, last=True)


def measure(extender: Extender, settings: ExtendBenchSettings) -> ExtendBenchResult:
    """Measure one bandwidth extender according to `settings`."""
    hop, rate = extender.generator.hop_length, extender.sample_rate
    audio = _noise(_samples(settings.seconds, rate, hop)).to(extender.device)

    @torch.inference_mode()
    def call() -> None:
        extender.generator(audio[None, None]).cpu()

    calls = [timed(call) for _ in range(settings.repeats + 1)][1:]
    result = ExtendBenchResult(
        model=extender.config.name,
        parameters=extender.num_parameters,
        sample_rate=rate,
        hop_length=hop,
        plain=statistics.median(calls) * rate / audio.shape[-1],
    )
    try:
        plan = extender.plan()
    except ConfigError as error:
        return replace(result, refused=str(error))
    beside = partial(_beside, call, repeats=settings.repeats)
    return replace(
        result,
        lookahead=plan.lookahead,
        latency=plan.latency,
        planned=[
            beside(lambda: _Network(plan), audio, milliseconds=size, sample_rate=rate, hop=hop)
            for size in settings.pieces
        ],
        live=_live(extender, settings, beside),
    )


def _live(
    extender: Extender, settings: ExtendBenchSettings, beside: Callable[..., Pieces]
) -> Pieces:
    """Time a whole stream, from the rate of narrow recordings to the extender's own."""
    cutoff = extender.cutoff_range[0]
    usual = (rate for rate in (*_RATES, extender.sample_rate) if rate >= 2 * cutoff)
    rate = settings.sample_rate or next(usual)
    stream = extender.stream(sample_rate=rate, cutoff=min(cutoff, rate / 2))

    def begin() -> ExtensionStream[Tensor]:
        stream.reset()
        return stream

    audio = _noise(_samples(settings.seconds, rate, 1))
    return beside(begin, audio, milliseconds=settings.pieces[0], sample_rate=rate, hop=1)


def _beside(
    call: Callable[[], object],
    begin: Callable[[], _Network | ExtensionStream[Tensor]],
    audio: Tensor,
    *,
    milliseconds: float,
    sample_rate: int,
    hop: int,
    repeats: int,
) -> Pieces:
    """Time `call` and a stream of `audio` alternately; a shorter last piece does not count."""
    size = _samples(milliseconds / 1000, sample_rate, hop)
    pushes: list[list[float]] = []

    def streamed() -> None:
        stream = begin()
        times = [timed(partial(stream.push, piece)) for piece in torch.split(audio, size)]
        stream.flush()
        pushes.append(times[: len(audio) // size])

    pairs = in_turn(call, streamed, repeats=repeats)
    ratios = [plain / stream for plain, stream in pairs]
    length = torch.tensor(pushes[1:], dtype=torch.float64) * sample_rate / size
    return Pieces(
        milliseconds=milliseconds,
        samples=size,
        sample_rate=sample_rate,
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        compute=statistics.median(stream for _, stream in pairs) * sample_rate / len(audio),
        push_median=length.quantile(0.5).item(),
        push_p99=length.quantile(0.99).item(),
    )


def _samples(seconds: float, sample_rate: int, hop: int) -> int:
    """A duration in samples, rounded up to whole hops."""
    return hop * math.ceil(round(seconds * sample_rate / hop, 6))


def _noise(samples: int) -> Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(0))
