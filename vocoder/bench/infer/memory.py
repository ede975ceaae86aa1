"""Peak memory of one call, in a process of its own."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from vocoder.bench.infer.compare import finished
from vocoder.bench.infer.ways import Way, call_of, opened, threads
from vocoder.build import trust, trusted
from vocoder.errors import ConfigError


@dataclass(frozen=True)
class PeakMemory:
    """Memory in bytes: of a process that loads a model and calls it once, and before that call.

    On a GPU it is what torch has allocated there; on a CPU the resident memory of the process.
    """

    peak: int
    loaded: int


def peak_memory(name: str, way: Way) -> PeakMemory | None:
    """Measure a call in a new process, so that nothing else is in the figure.

    None where the system does not report it (/proc). Raises ConfigError if the process ends early,
    as it does without enough memory.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measured, name, way, trusted()).result()
        except BrokenProcessPool as error:
            raise ConfigError(f"{name}: its process ended early, perhaps out of memory") from error


def measured(name: str, way: Way, modules: Sequence[str]) -> PeakMemory | None:
    """Measure a call in this process, which trusts `modules`."""
    for module in modules:
        trust(module)
    with threads(way.threads):
        call = call_of(opened(name, way), way)
        device = torch.device(way.device)
        loaded = resident(device, peak=False)
        finished(call())
        peak = resident(device, peak=True)
    return None if loaded is None or peak is None else PeakMemory(peak, loaded)


def resident(device: torch.device, *, peak: bool) -> int | None:
    """Memory of this process on a device in bytes, now or at most so far; None if not reported."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
    return _resident("VmHWM" if peak else "VmRSS")


def _resident(field: str) -> int | None:
    """Resident memory of this process in bytes, now (VmRSS) or at most so far (VmHWM)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    facts = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return 1024 * int(facts[field].split()[0])
