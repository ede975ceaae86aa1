"""How much a member of the ensemble counts."""

from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput, requested_features
from vocoder.errors import ConfigError


class Weighted(nn.Module):
    """The discriminator `discriminator`, whose outputs weigh `weight` together, in all losses.

    With losses that sum over outputs, this is `weight` times the mean over those of this discriminator.
    """

    def __init__(self, discriminator: nn.Module, *, weight: float) -> None:
        super().__init__()
        if weight <= 0:
            raise ConfigError(f"weight is {weight}; it must be positive")
        self.discriminator = discriminator
        self.weight = weight
        self.features = requested_features(discriminator)

    def forward(self, audio: Tensor, **features: Tensor) -> list[DiscriminatorOutput]:
        """Its outputs.   Shape: audio [B, C, T]."""
        outputs: list[DiscriminatorOutput] = self.discriminator(audio, **features)
        share = self.weight / len(outputs)
        return [output._replace(weight=share) for output in outputs]
