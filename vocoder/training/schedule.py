"""Learning rate as a pure function of the step, so that resuming needs only the step."""

import math
from dataclasses import dataclass

from vocoder.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class WarmupExponential:
    """Linear warm-up to 1 over `warmup_steps`, then times `decay` every `every` steps.

    HiFi-GAN's 0.999 per epoch is `every` = steps in an epoch; BigVGAN's 0.9999996 per step is
    `every` = 1. The factor never falls below `floor`.
    """

    warmup_steps: int = 0
    decay: float = 1.0
    every: int = 1
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.warmup_steps < 0 or self.every < 1 or not 0.0 < self.decay <= 1.0:
            raise ConfigError(
                f"schedule needs warmup_steps >= 0, every >= 1 and 0 < decay <= 1, got {self}"
            )

    def factor(self, step: int) -> float:
        """What to multiply the base learning rate with at `step` (from 0)."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        decayed = math.pow(self.decay, max(0, step - self.warmup_steps) / self.every)
        return warm * max(decayed, self.floor)
