"""Speed, memory and gradients of the training step of a system, for `vocoder bench train`.

The trainer and the straightforward step run in turn on the same crops. Times are in seconds,
memory in bytes.
"""

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import torch
from torch import Tensor, nn

from vocoder.bench.infer.compare import PairedTimes, compare
from vocoder.bench.infer.memory import PeakMemory, resident
from vocoder.bench.infer.ways import threads
from vocoder.bench.train.clock import Clock, medians
from vocoder.bench.train.reference import StraightforwardStep
from vocoder.bench.train.timed import TimedTrainer, opened
from vocoder.build import trust, trusted
from vocoder.data.segments import Batch
from vocoder.errors import ConfigError

_STEPS = 2  # for the memory: the first makes the state of the optimizers
_READS = 3


@dataclass(frozen=True, kw_only=True)
class TrainBenchSettings:
    """What to measure of training. Raises ConfigError for what cannot be measured."""

    overrides: tuple[str, ...]
    """Settings as for `vocoder train`."""
    rounds: int = 5
    """Number of pairs of steps that a median is taken over."""
    threads: int = 1
    """Threads of PyTorch."""
    memory: bool = True
    """Whether to measure memory, in a new process for either step."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if min(self.rounds, self.threads) < 1:
            raise ConfigError("rounds and threads are numbers from 1 on")
        if not any(each.startswith("system=") for each in self.overrides):
            raise ConfigError("add system=…, such as hifigan_v1; `vocoder systems` lists them")


@dataclass(frozen=True, kw_only=True)
class TrainBenchResult:
    """Everything measured of one system.

    `phases` and `reference_phases` are median times; `data` is that of reading a batch in this
    process. `differences` are, by network, those of the gradients of the first step: the norm of
    ours − reference, over that of the reference.
    """

    model: str
    parameters: dict[str, int]
    batch_size: int
    segment: int
    times: PairedTimes
    phases: dict[str, float]
    reference_phases: dict[str, float]
    data: float
    differences: dict[str, float]
    memory: PeakMemory | None = None
    reference_memory: PeakMemory | None = None


def measure(settings: TrainBenchSettings) -> TrainBenchResult:
    """Measure the system of these settings. Raises VocoderError where it cannot be trained."""
    with threads(settings.threads), opened(settings.overrides) as (trainer, system):
        reference = StraightforwardStep(trainer, system, Clock(trainer.device))
        batch = trainer.segments[0]
        apart = _differences(trainer, reference, batch)
        trainer.clock.steps.clear()
        reference.clock.steps.clear()
        times = compare(
            lambda: _total(reference.step(batch, 1)),
            {"trainer": lambda: _total(trainer.train_step(batch))},
            settings.rounds,
        )["trainer"]
        result = TrainBenchResult(
            model=system.name,
            parameters={name: _count(trainer.modules[name]) for name in trainer.optimizers},
            batch_size=len(batch.audio),
            segment=batch.audio.shape[-1],
            times=times,
            phases=medians(trainer.clock.steps[1:]),
            reference_phases=medians(reference.clock.steps[1:]),
            data=_reading(trainer),
            differences=apart,
            memory=peak_memory(settings, "trainer") if settings.memory else None,
            reference_memory=peak_memory(settings, "reference") if settings.memory else None,
        )
    return result


def check(settings: TrainBenchSettings) -> dict[str, float]:
    """Differences of the gradients in float64, by network, as in `TrainBenchResult`."""
    with threads(settings.threads), opened(settings.overrides) as (trainer, system):
        for module in (trainer.features, *trainer.modules.values()):
            module.double()
        reference = StraightforwardStep(trainer, system, Clock(trainer.device))
        batch = trainer.segments[0]
        return _differences(trainer, reference, batch._replace(audio=batch.audio.double()))


def peak_memory(settings: TrainBenchSettings, which: str) -> PeakMemory | None:
    """Memory of a process that makes some steps, and before them; None where it is not reported.

    `which` is "trainer" or "reference". Raises ConfigError if the process ends early.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_memory, settings, which, trusted()).result()
        except BrokenProcessPool as error:
            raise ConfigError("a process ended early, perhaps out of memory") from error


def _memory(settings: TrainBenchSettings, which: str, modules: Sequence[str]) -> PeakMemory | None:
    """Measure in this process, which trusts `modules`."""
    for module in modules:
        trust(module)
    with threads(settings.threads), opened(settings.overrides) as (trainer, system):
        batch = trainer.segments[0]
        reference = None
        if which == "reference":
            reference = StraightforwardStep(trainer, system, Clock(trainer.device))
        loaded = resident(trainer.device, peak=False)
        for step in range(_STEPS):
            if reference:
                reference.step(batch, step)
            else:
                trainer.train_step(batch)
        peak = resident(trainer.device, peak=True)
    return None if loaded is None or peak is None else PeakMemory(peak, loaded)


def _differences(
    trainer: TimedTrainer, reference: StraightforwardStep, batch: Batch
) -> dict[str, float]:
    """Make the first step of both and compare their gradients, by network."""
    reference.kept = True
    reference.step(batch, trainer.step)
    trainer.train_step(batch)
    expected, reference.gradients, reference.kept = reference.gradients, {}, False
    return {
        name: _apart(dict(trainer.modules[name].named_parameters()), gradients)
        for name, gradients in expected.items()
    }


def _apart(parameters: Mapping[str, nn.Parameter], expected: Mapping[str, Tensor]) -> float:
    """Norm of the difference of all gradients of a network, relative to their norm."""
    apart, size = 0.0, 0.0
    for name, value in expected.items():
        made = parameters[name].grad
        if made is None:
            raise ConfigError(f"{name} got no gradient, but has one in the straightforward step")
        apart += float((made - value).double().square().sum())
        size += float(value.double().square().sum())
    return math.sqrt(apart / size) if size else math.sqrt(apart)


def _total(losses: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([losses[name].detach().float() for name in sorted(losses)])


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _reading(trainer: TimedTrainer) -> float:
    """Time of reading a batch in this process, the least of several."""
    found = []
    for step in range(_READS):
        start = time.perf_counter()
        trainer.segments[step]
        found.append(time.perf_counter() - start)
    return min(found)
