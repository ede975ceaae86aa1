"""Results of `vocoder bench infer` as rows of headings and cells."""

from collections.abc import Mapping
from dataclasses import replace

from vocoder.bench.infer.measure import InferBenchResult, InferBenchSettings, Measured
from vocoder.bench.infer.memory import PeakMemory
from vocoder.bench.infer.ways import Way
from vocoder.bench.stream import Machine
from vocoder.bench.table import milliseconds

_NONE = "–"
_FIGURES = (
    "× real time",
    "reference",
    "ratio (quartiles)",
    "of the bound",
    "first audio",
    "start",
    "memory",
    "difference",
)


def conditions(machine: Machine, settings: InferBenchSettings, bounds: Mapping[int, float]) -> str:
    """Caption: the machine, what all rows share, the bound, and what ratios are."""
    way = replace(settings.inputs()[0], precision=settings.precisions[0])
    shared = [text for text, varies in _choices(way, settings).values() if not varies]
    products = ", ".join(
        f"{bound / 1e9:.0f} GFLOP/s on {_threads(count)}" for count, bound in bounds.items()
    )
    return (
        f"torch {machine.torch}, {machine.device}; {', '.join(shared)}; "
        f"medians of {settings.rounds} pairs with the reference: PyTorch, operation by operation "
        f"(its figures in parentheses); bound: float32 matrix products, {products}"
    )


def facts(result: InferBenchResult, settings: InferBenchSettings) -> list[dict[str, str]]:
    """Headings → cells of every run of a model; the headings depend on the settings alone."""
    return [
        {
            "GFLOP per s of audio": f"{result.operations / 1e9:.3g}"
            if result.operations
            else _NONE,
            "runs as": run.measured.path if run.measured else f"{run.way.runtime}: {run.refused}",
            **{
                name: text for name, (text, varies) in _choices(run.way, settings).items() if varies
            },
            **(_figures(run.measured) if run.measured else dict.fromkeys(_FIGURES, _NONE)),
        }
        for run in result.runs
    ]


def _figures(found: Measured) -> dict[str, str]:
    times, first = found.times, found.first_audio
    cells = (
        f"{found.speed:.3g}",
        f"{found.reference_speed:.3g}",
        f"{times.ratio:.2f} ({times.lower:.2f}–{times.upper:.2f})",
        f"{found.share:.0%} ({found.reference_share:.0%})" if found.share else _NONE,
        _NONE if first is None else milliseconds(first),
        milliseconds(found.start),
        f"{_megabytes(found.memory)} ({_megabytes(found.reference_memory)})",
        f"{times.difference:.0e}",
    )
    return dict(zip(_FIGURES, cells, strict=True))


def _choices(way: Way, settings: InferBenchSettings) -> dict[str, tuple[str, bool]]:
    """Heading → the value of one way as text, and whether rows differ in it."""
    return {
        "precision": (way.precision, len(settings.precisions) > 1),
        "threads": (_threads(way.threads), len(settings.threads) > 1),
        "batch": (f"batch {way.batch}", len(settings.batches) > 1),
        "length": (f"{way.seconds:g} s", len(settings.seconds) > 1),
    }


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _megabytes(memory: PeakMemory | None) -> str:
    return _NONE if memory is None else f"{memory.peak / 1e6:.0f} MB"
