"""All augmentations of a training, applied one after the other."""

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from vocoder.augmentation.base import Augmentation
from vocoder.discriminators.output import DiscriminatorOutput


class Augmentations(nn.ModuleDict):
    """Augmentations by name, applied in order; without any the signals stay as they are."""

    def __init__(self, modules: Mapping[str, Augmentation]) -> None:
        super().__init__(dict(modules))

    def forward(self, signals: Sequence[Tensor], features: Mapping[str, Tensor]) -> list[Tensor]:
        """Augment several signals alike.   Shape: [B, C, T] each → same."""
        for member in self._members():
            signals = member(signals, features)
        return list(signals)

    def adapt(self, real: list[DiscriminatorOutput]) -> None:
        """Adapt the strength of every member to the outputs on augmented recordings."""
        for member in self._members():
            member.adapt(real)

    def _members(self) -> list[Augmentation]:
        return cast(list[Augmentation], list(self.values()))
