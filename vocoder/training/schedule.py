"""Schedules of learning rates and adversarial training, as functions of the step alone."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from vocoder.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class WarmupExponential:
    """Learning rate factor by step: linear warm-up, hold at 1, then exponential decay.

    HiFi-GAN's 0.999 per epoch is `every` = steps in an epoch; BigVGAN's 0.9999996 per step is
    `every` = 1.

    >>> schedule = WarmupExponential(warmup_steps=1, decay=0.5)
    >>> [schedule.factor(step) for step in range(4)]
    [0.5, 1.0, 0.5, 0.25]
    """

    warmup_steps: int = 0
    """Steps of the linear warm-up to 1."""
    hold_steps: int = 0
    """Steps after the warm-up in which the factor stays 1."""
    decay: float = 1.0
    """Factor by which the learning rate falls in `every` steps."""
    every: int = 1
    """Steps over which the rate falls by `decay`."""
    floor: float = 0.0
    """Least factor of the decay."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        steps = min(self.warmup_steps, self.hold_steps, self.every - 1)
        if steps < 0 or not 0.0 < self.decay <= 1.0:
            raise ConfigError(
                "schedule needs warmup_steps and hold_steps >= 0, every >= 1 and 0 < decay <= 1, "
                f"got {self}"
            )

    def factor(self, step: int) -> float:
        """Factor of the base learning rate at `step` (from 0)."""
        warmup = min(1.0, (step + 1) / (self.warmup_steps + 1))
        decay_steps = max(0, step - self.warmup_steps - self.hold_steps)
        decay = math.pow(self.decay, decay_steps / self.every)
        return warmup * max(decay, self.floor)


class Phase(NamedTuple):
    """Which networks are updated in a step, and the factor of the adversarial loss weights."""

    discriminators: bool
    """Whether the discriminators are updated and used."""
    generator: bool
    """Whether the generator is updated."""
    adversarial_weight: float
    """Factor of the weights of the adversarial losses, from 0 to 1."""

    @property
    def networks(self) -> list[str]:
        """Names of the networks that are updated, in order."""
        return ["discriminators"] * self.discriminators + ["generator"] * self.generator


@dataclass(frozen=True, kw_only=True)
class AdversarialSchedule:
    """Which networks are updated by step: the generator, then the discriminators, then both.

    Discriminators are used from step `start` on (None: never). For `warmup` steps they are trained
    while the generator is frozen; then the adversarial weights rise linearly over `ramp` steps, and
    the generator is updated at every `generator_every`-th.
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
        update = joint >= 0 and (joint + 1) % self.generator_every == 0
        return Phase(discriminators=True, generator=update, adversarial_weight=adversarial_weight)
