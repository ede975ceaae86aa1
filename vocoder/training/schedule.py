"""Schedules as pure functions of the step, so that resuming needs only the step."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from vocoder.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class WarmupExponential:
    """Linear warm-up to 1 over `warmup_steps`, then times `decay` every `every` steps.

    HiFi-GAN's 0.999 per epoch is `every` = steps in an epoch; BigVGAN's 0.9999996 per step is
    `every` = 1. In between the factor stays 1 for `hold_steps`. It never falls below `floor`.

    >>> schedule = WarmupExponential(warmup_steps=1, decay=0.5)
    >>> [schedule.factor(step) for step in range(4)]
    [0.5, 1.0, 0.5, 0.25]
    """

    warmup_steps: int = 0
    hold_steps: int = 0
    decay: float = 1.0
    every: int = 1
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        steps = min(self.warmup_steps, self.hold_steps, self.every - 1)
        if steps < 0 or not 0.0 < self.decay <= 1.0:
            raise ConfigError(
                "schedule needs warmup_steps and hold_steps >= 0, every >= 1 and 0 < decay <= 1, "
                f"got {self}"
            )

    def factor(self, step: int) -> float:
        """What to multiply the base learning rate with at `step` (from 0)."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        falling = max(0, step - self.warmup_steps - self.hold_steps)
        decayed = math.pow(self.decay, falling / self.every)
        return warm * max(decayed, self.floor)


class Phase(NamedTuple):
    """Which networks learn in a step, and the factor of the adversarial weights."""

    discriminators: bool
    generator: bool
    adversarial_weight: float


@dataclass(frozen=True, kw_only=True)
class AdversarialSchedule:
    """Which networks learn at which step: the generator, then the discriminators, then both.

    Discriminators take part from step `start` on (None: never). For `warmup` steps they learn
    while the generator is frozen; then the adversarial weights rise linearly over `ramp` steps, and
    the generator learns at every `generator_every`-th.
    """

    start: int | None = 0
    warmup: int = 0
    ramp: int = 0
    generator_every: int = 1

    def at(self, step: int) -> Phase:
        """The phase of `step` (from 0)."""
        if self.start is None or step < self.start:
            return Phase(discriminators=False, generator=True, adversarial_weight=0.0)
        joint = step - self.start - self.warmup  # steps of both; negative during the warm-up
        adversarial_weight = min(1.0, max(0, joint + 1) / (self.ramp + 1))
        learns = joint >= 0 and (joint + 1) % self.generator_every == 0
        return Phase(discriminators=True, generator=learns, adversarial_weight=adversarial_weight)
