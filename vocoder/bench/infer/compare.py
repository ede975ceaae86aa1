"""Times of several ways to compute one result, each in pairs with a reference.

A machine that is busy with other things slows both runs of a pair alike, so the median of the
ratios of pairs stays meaningful where separate times would not.
"""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

Call = Callable[[], Tensor]
_Name = TypeVar("_Name", bound=Hashable)
_PAUSE = 0.01  # in seconds: threads of the run before may wait for work without sleeping


@dataclass(frozen=True)
class PairedTimes:
    """Times in seconds of a candidate and of the reference, run in turn.

    `ratio` is the median over pairs of the reference's time divided by the candidate's: above 1,
    the candidate is faster. `lower` and `upper` are its quartiles. `seconds` and `reference` are
    the medians of both. `difference` is max |candidate − reference| / max |reference|.
    """

    ratio: float
    lower: float
    upper: float
    seconds: float
    reference: float
    difference: float
    pairs: list[tuple[float, float]] = field(default_factory=list, repr=False)


def compare(
    reference: Call,
    candidates: Mapping[_Name, Call],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[_Name, PairedTimes]:
    """Time every candidate in `rounds` pairs with the reference; the order of each is swapped.

    All run once before, which does not count. Outputs must have one shape.

    Args:
        reference: Computes what the candidates compute.
        candidates: Other ways, by name.
        rounds: Number of pairs of every candidate, from 1 on.
        clock: Returns the time in seconds.
        sleep: Waits for a number of seconds.
    """
    timed = partial(_timed, clock=clock, sleep=sleep)
    expected = finished(reference())
    apart = {name: difference(call(), expected) for name, call in candidates.items()}
    pairs: dict[_Name, list[tuple[float, float]]] = {name: [] for name in candidates}
    for number in range(rounds):
        for name, call in candidates.items():
            if number % 2:
                took, base = timed(call), timed(reference)
            else:
                base, took = timed(reference), timed(call)
            pairs[name].append((base, took))
    return {name: _summary(pairs[name], apart[name]) for name in candidates}


def difference(made: Tensor, expected: Tensor) -> float:
    """Largest difference of two results of one shape, relative to the peak of the second."""
    if made.shape != expected.shape:
        raise ValueError(f"shapes differ: {list(made.shape)}, {list(expected.shape)}")
    expected = expected.double()
    return float((made.double() - expected).abs().max() / expected.abs().max())


def finished(made: Tensor) -> Tensor:
    """Wait until the device has computed a result."""
    made.reshape(-1)[:1].cpu()
    return made


def _timed(call: Call, *, clock: Callable[[], float], sleep: Callable[[float], None]) -> float:
    sleep(_PAUSE)
    start = clock()
    finished(call())
    return clock() - start


def _summary(pairs: list[tuple[float, float]], apart: float) -> PairedTimes:
    ratios = torch.tensor([base / took for base, took in pairs], dtype=torch.float64)
    lower, ratio, upper = ratios.quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
    return PairedTimes(
        ratio=ratio,
        lower=lower,
        upper=upper,
        seconds=statistics.median(took for _, took in pairs),
        reference=statistics.median(base for base, _ in pairs),
        difference=apart,
        pairs=pairs,
    )
