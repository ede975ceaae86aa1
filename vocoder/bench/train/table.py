"""Results of `vocoder bench train` as headings and cells."""

from vocoder.bench.infer.memory import PeakMemory
from vocoder.bench.stream import Machine
from vocoder.bench.table import where
from vocoder.bench.train.clock import PHASES
from vocoder.bench.train.measure import TrainBenchResult, TrainBenchSettings


def conditions(machine: Machine, settings: TrainBenchSettings) -> str:
    """Caption: the machine, and what ratios and parentheses are."""
    return (
        f"{where(machine)}; medians of {settings.rounds} pairs with the straightforward step of "
        "public code (its figures in parentheses); memory is that of a process beyond its networks"
    )


def facts(result: TrainBenchResult) -> dict[str, str]:
    """Headings → cells of one system."""
    times, phases, others = result.times, result.phases, result.reference_phases
    return {
        "crops": f"{result.batch_size} × {result.segment}",
        "crops/s": f"{result.batch_size / times.seconds:.3g} "
        f"({result.batch_size / times.reference:.3g})",
        "ratio (quartiles)": f"{times.ratio:.2f} ({times.lower:.2f}–{times.upper:.2f})",
        "step, ms": _pair(times.seconds, times.reference),
        **{phase: _pair(phases[phase], others[phase]) for phase in PHASES},
        "reading the data": f"{1e3 * result.data:.1f}",
        "memory, MB": f"{_megabytes(result.memory)} ({_megabytes(result.reference_memory)})",
        "difference of gradients": ", ".join(f"{v:.0e}" for v in result.differences.values()),
    }


def _pair(seconds: float, reference: float) -> str:
    return f"{1e3 * seconds:.0f} ({1e3 * reference:.0f})"


def _megabytes(memory: PeakMemory | None) -> str:
    return "–" if memory is None else f"{(memory.peak - memory.loaded) / 1e6:.0f}"
