"""Weight of a member of the ensemble in all losses."""

from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput, joins_signals, requested_features
from vocoder.errors import ConfigError


class Weighted(nn.Module):
    """Discriminator whose outputs together have the weight `weight` in all losses.

    In losses that sum over outputs, it contributes `weight` times the mean over its outputs. Raises
    ConfigError unless the weight is positive.
    """

    def __init__(self, discriminator: nn.Module, *, weight: float) -> None:
        super().__init__()
        if weight <= 0:
            raise ConfigError(f"weight is {weight}; it must be positive")
        self.discriminator = discriminator
        self.weight = weight
        self.features = requested_features(discriminator)
        self.joins_signals = joins_signals(discriminator)

    def forward(self, audio: Tensor, **features: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: the outputs, weighted.   Shape: audio [B, C, T]."""
        outputs: list[DiscriminatorOutput] = self.discriminator(audio, **features)
        share = self.weight / len(outputs)
        return [output._replace(weight=share) for output in outputs]
