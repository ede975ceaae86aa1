"""Time of the phases of a training step."""

import statistics
import time
from collections.abc import Mapping, Sequence

import torch

PHASES = (
    "features",
    "generator forward",
    "discriminators forward",
    "discriminators backward",
    "generator's losses",
    "generator backward",
    "optimizers",
    "other",
)
"""The phases. The losses of the generator include the passes through the discriminators."""


class Clock:
    """Adds the time since it was last asked to a phase; waits for the device before."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.steps: list[dict[str, float]] = []

    def start(self) -> None:
        """Begin a step."""
        self.steps.append(dict.fromkeys(PHASES, 0.0))
        self._last = self._now()

    def lap(self, phase: str) -> None:
        """Add the time since the last call to a phase of this step."""
        now = self._now()
        self.steps[-1][phase] += now - self._last
        self._last = now

    def _now(self) -> float:
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize(self.device)
        return time.perf_counter()


def medians(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Median time of each phase over steps, in seconds."""
    return {phase: statistics.median(step[phase] for step in steps) for phase in PHASES}
