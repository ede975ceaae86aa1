"""Speed, first audio and memory of a model by several ways, for `vocoder bench infer`.

Every way stands beside the reference: the same weights in PyTorch, operation by operation, run in
turn with it. Times are in seconds, work is in floating-point operations, memory in bytes.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.bench.infer.compare import PairedTimes, compare, finished
from vocoder.bench.infer.memory import PeakMemory, peak_memory
from vocoder.bench.infer.ways import PRECISIONS, RUNTIMES, Way, call_of, length, opened, threads
from vocoder.bench.infer.work import matrix_bound, operations
from vocoder.bench.stream import first_audio, noise_mel
from vocoder.errors import ConfigError, VocoderError
from vocoder.export.engines import require_runtime
from vocoder.inference.extender import Extender
from vocoder.inference.vocoder import Vocoder


@dataclass(frozen=True, kw_only=True)
class InferBenchSettings:
    """What to measure of inference. Raises ConfigError for what cannot be measured."""

    runtimes: tuple[str, ...] = ("torch",)
    """Runtimes: torch, onnx, openvino."""
    precisions: tuple[str, ...] = ("float32",)
    """Precisions: float32, bfloat16, int8."""
    threads: tuple[int, ...] = (1,)
    """Numbers of CPU threads."""
    batches: tuple[int, ...] = (1,)
    """Numbers of items that are computed at once."""
    seconds: tuple[float, ...] = (4.0,)
    """Lengths of audio."""
    rounds: int = 7
    """Number of pairs of runs that a median is taken over."""
    memory: bool = True
    """Whether to measure memory, in a new process for every way."""
    device: str = "cpu"
    """Where models run."""

    def __post_init__(self) -> None:
        for what, given, known in (
            ("runtime", self.runtimes, RUNTIMES),
            ("precision", self.precisions, PRECISIONS),
        ):
            for name in given:
                if name not in known:
                    raise ConfigError(f"there is no {what} {name!r}; give {', '.join(known)}")
        for name in self.runtimes:
            if name != "torch":
                require_runtime(name)
        if min(*self.threads, *self.batches, self.rounds) < 1:
            raise ConfigError("threads, batches and rounds are numbers from 1 on")
        if not all(0 < seconds < float("inf") for seconds in self.seconds):
            raise ConfigError(f"lengths {list(self.seconds)}: give seconds, above 0")

    def inputs(self) -> list[Way]:
        """The reference for every number of threads, batch and length."""
        each = itertools.product(self.threads, self.batches, self.seconds)
        return [Way(threads=n, batch=b, seconds=s, device=self.device) for n, b, s in each]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one way to run a model, beside the reference on the same input.

    `path` says how the network ran. `speed` and `reference_speed` are seconds of audio per second,
    `share` and `reference_share` the operations of the network per second, relative to those of
    float32 matrix products. `start` is the time from loading the model to its first audio, with
    all that is compiled. `first_audio` is the compute time of a stream until it returns audio,
    given its look-ahead and one more frame at once; None for extenders and for networks that cannot
    stream. Memory is None where it was not measured.
    """

    path: str
    times: PairedTimes
    speed: float
    reference_speed: float
    share: float
    reference_share: float
    start: float
    first_audio: float | None
    memory: PeakMemory | None = None
    reference_memory: PeakMemory | None = None


@dataclass(frozen=True)
class InferRun:
    """One way to run a model: its figures, or if it is not to be had, `refused` with the reason."""

    way: Way
    measured: Measured | None = None
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class InferBenchResult:
    """Everything measured of one model.

    `operations` is its work for a second of audio, 0 where PyTorch does not run it (ONNX files).
    """

    model: str
    parameters: int
    sample_rate: int
    operations: float
    runs: list[InferRun] = field(default_factory=list)


class _Ready(NamedTuple):
    """A model that has been called once, and the time from loading it until then."""

    model: Vocoder | Extender
    call: Callable[[], Tensor]
    start: float


def bounds(settings: InferBenchSettings) -> dict[int, float]:
    """Float32 matrix products: operations per second of this machine, by number of threads."""
    found = {}
    for count in settings.threads:
        with threads(count):
            found[count] = matrix_bound(torch.device(settings.device))
    return found


def measure(
    name: str, settings: InferBenchSettings, bound: Mapping[int, float]
) -> InferBenchResult:
    """Measure the model that `name` loads; `bound` is that of `bounds`. Raises VocoderError."""
    second = Way(seconds=1.0, device=settings.device)
    model = opened(name, second)
    work = operations(call_of(model, second)) / length(model, second)
    return InferBenchResult(
        model=model.config.name,
        parameters=model.num_parameters,
        sample_rate=model.sample_rate,
        operations=work,
        runs=[
            run
            for reference in settings.inputs()
            for run in _beside(name, reference, settings, work / bound[reference.threads])
        ],
    )


def _beside(name: str, reference: Way, settings: InferBenchSettings, cost: float) -> list[InferRun]:
    """Measure every runtime and precision on one input.

    `cost` is the least time for a second of audio at the speed of matrix products.
    """
    both = itertools.product(settings.runtimes, settings.precisions)
    ways = [replace(reference, runtime=runtime, precision=value) for runtime, value in both]
    runs: dict[Way, InferRun] = {}
    ready: dict[Way, _Ready] = {}
    with threads(reference.threads):
        for way in ways:
            try:
                ready[way] = _started(name, way)
            except VocoderError as error:
                runs[way] = InferRun(way, refused=str(error))
            except Exception as error:  # each runtime has its own classes of errors
                reason = str(error).strip().split("\n", 1)[0][:200]
                runs[way] = InferRun(way, refused=f"{type(error).__name__}: {reason}")
        written = opened(name, reference)
        audio = reference.batch * length(written, reference)
        calls = {way: each.call for way, each in ready.items()}
        for way, times in compare(call_of(written, reference), calls, settings.rounds).items():
            model = ready[way].model
            found = Measured(
                path=model.network.path,
                times=times,
                speed=audio / times.seconds,
                reference_speed=audio / times.reference,
                share=cost * audio / times.seconds,
                reference_share=cost * audio / times.reference,
                start=ready[way].start,
                first_audio=_first_audio(model, settings.rounds),
            )
            runs[way] = InferRun(way, found)
    ordered = [runs[way] for way in ways]
    return _with_memory(name, ordered, reference) if settings.memory else ordered


def _started(name: str, way: Way) -> _Ready:
    """Load a model and call it once, which compiles it."""
    start = time.perf_counter()
    model = opened(name, way)
    call = call_of(model, way)
    finished(call())
    return _Ready(model, call, time.perf_counter() - start)


def _with_memory(name: str, runs: list[InferRun], reference: Way) -> list[InferRun]:
    """The runs, with the memory that each and the reference take."""
    written = peak_memory(name, reference)
    filled = []
    for run in runs:
        if run.measured:
            memory = peak_memory(name, run.way)
            found = replace(run.measured, memory=memory, reference_memory=written)
            run = replace(run, measured=found)
        filled.append(run)
    return filled


def _first_audio(model: Vocoder | Extender, repeats: int) -> float | None:
    """Median compute time until a stream returns audio, after one that does not count."""
    if isinstance(model, Extender):
        return None
    try:
        frames = model.plan().lookahead + 1
    except ConfigError:
        return None
    mel = noise_mel(model, 1.0)
    times = [first_audio(model, mel, chunk=frames)[1] for _ in range(repeats + 1)]
    return statistics.median(times[1:])
