"""Results of `vocoder bench precision` as rows of headings and cells."""

from vocoder.bench.infer.precision import PrecisionBenchResult, PrecisionBenchSettings, PrecisionRun
from vocoder.bench.stream import Machine

_NONE = "–"
_FIGURES = (
    "× real time",
    "reference",
    "ratio (quartiles)",
    "difference",
    "LSD",
    "PESQ-wb",
    "PESQ-wb, float32",
    "largest fall",
)


def conditions(machine: Machine, settings: PrecisionBenchSettings, recordings: int) -> str:
    """Caption: the machine, and what figures are."""
    count = "1 thread" if settings.threads == 1 else f"{settings.threads} threads"
    return (
        f"torch {machine.torch}, {machine.device}; {count}; speed on {settings.seconds:g} s of "
        f"noise, medians of {settings.rounds} pairs with PyTorch in float32 as written; difference "
        f"(of the peak), log-spectral distance and PESQ-wb on {recordings} recordings"
    )


def facts(result: PrecisionBenchResult) -> list[dict[str, str]]:
    """Headings → cells of every precision of a model."""
    return [
        {
            "precision": run.precision,
            "runs as": run.path or f"refused: {run.refused}",
            **dict(zip(_FIGURES, _figures(run), strict=True)),
        }
        for run in result.runs
    ]


def _figures(run: PrecisionRun) -> tuple[str, ...]:
    times, loss = run.times, run.loss
    if times is None or loss is None:
        return (_NONE,) * len(_FIGURES)
    return (
        f"{run.speed:.3g}",
        f"{run.reference_speed:.3g}",
        f"{times.ratio:.2f} ({times.lower:.2f}–{times.upper:.2f})",
        f"{loss.difference:.0e}",
        f"{loss.distance:.2f} dB",
        *(_NONE if x is None else f"{x:.3f}" for x in (loss.pesq, loss.reference_pesq, loss.fall)),
    )
