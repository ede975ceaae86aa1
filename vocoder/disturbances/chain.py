"""All disturbances of a training, one after the other."""

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from vocoder.discriminators.verdict import Verdict
from vocoder.disturbances.base import Disturbance


class Disturbances(nn.ModuleDict):
    """Disturbances by name, applied in order; none leave the signals as they are."""

    def __init__(self, modules: Mapping[str, Disturbance]) -> None:
        super().__init__(dict(modules))

    def forward(self, signals: Sequence[Tensor], features: Mapping[str, Tensor]) -> list[Tensor]:
        """Disturb several signals alike.   Shape: [B, C, T] each → same."""
        for member in self._members():
            signals = member(signals, features)
        return list(signals)

    def adapt(self, real: list[Verdict]) -> None:
        """Let every member fit its strength to the verdicts on disturbed recordings."""
        for member in self._members():
            member.adapt(real)

    def _members(self) -> list[Disturbance]:
        return cast(list[Disturbance], list(self.values()))
