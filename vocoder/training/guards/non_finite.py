"""Steps with a loss or gradient that is not finite: skipped, rolled back, and at last refused."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vocoder.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """What a run does about steps whose losses or gradients are not finite.

    Such a step changes nothing. configs/trainer has the values.
    """

    rollback_after: int
    """Such steps in a row after which the networks of an earlier training state are taken."""
    stop_after: int
    """Such steps in a row after which the run ends."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.rollback_after <= self.stop_after:
            raise ConfigError(
                f"trainer.guard has rollback_after {self.rollback_after} and stop_after "
                f"{self.stop_after}; set 1 <= rollback_after <= stop_after (equal: no rollback)"
            )


def spread(total: Tensor, losses: Mapping[str, Tensor]) -> Tensor:
    """`total`, unchanged if all losses are finite, else NaN with a gradient of NaN alone.

    So the norm of the gradient, which is exchanged between ranks, tells everything about a step.
    """
    return total * (1.0 + 0.0 * torch.stack([*losses.values()]).detach().float().sum())


class NonFiniteGuard:
    """Decides whether a step counts: `skipped` is the number of those in a row that did not.

    `norms` are those of the last gradients, by network.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self.settings, self.skipped = settings, 0
        self.norms: dict[str, float] = {}

    def accepts(
        self,
        step: int,
        norms: Mapping[str, Tensor],
        losses: Mapping[str, Tensor],
        files: Sequence[str],
    ) -> bool:
        """Whether all gradient `norms`, by network, are finite; otherwise the step is logged.

        Reading them is the one time in a step that the CPU waits for the device. Raises ConfigError
        for the `stop_after`-th such step in a row.
        """
        values = torch.stack([*norms.values()]).tolist()
        self.norms = dict(zip(norms, values, strict=True))
        if all(math.isfinite(norm) for norm in values):
            self.skipped = 0
            return True
        self.skipped += 1
        bad = [name for name, loss in losses.items() if not loss.isfinite()]
        log.warning(
            "step %d skipped, nothing is changed: gradient norms are %s; losses that are not "
            "finite: %s; files: %s",
            step + 1,
            ", ".join(f"{name} {norm:.4g}" for name, norm in self.norms.items()),
            ", ".join(bad) or "none",
            ", ".join(files),
        )
        if self.skipped >= self.settings.stop_after:
            raise ConfigError(
                f"{self.skipped} steps in a row had no finite gradient (last files: "
                f"{', '.join(files)}); lower optim.*.optimizer.lr or set optim.*.clip"
            )
        return False

    @property
    def wants_rollback(self) -> bool:
        """Whether an earlier state is to be taken now: after every `rollback_after` such steps."""
        return self.skipped > 0 and self.skipped % self.settings.rollback_after == 0
