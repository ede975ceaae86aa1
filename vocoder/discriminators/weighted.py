"""How much a member of the ensemble counts."""

from torch import Tensor, nn

from vocoder.discriminators.verdict import Verdict, asked_features
from vocoder.errors import ConfigError


class Weighted(nn.Module):
    """The discriminator `judge`, whose verdicts weigh `weight` together, in all losses.

    With losses that sum over verdicts, this is `weight` times the mean over those of this judge.
    """

    def __init__(self, judge: nn.Module, *, weight: float) -> None:
        super().__init__()
        if weight <= 0:
            raise ConfigError(f"weight is {weight}; it must be positive")
        self.judge = judge
        self.weight = weight
        self.features = asked_features(judge)

    def forward(self, audio: Tensor, **features: Tensor) -> list[Verdict]:
        """Its verdicts.   Shape: audio [B, C, T]."""
        verdicts: list[Verdict] = self.judge(audio, **features)
        share = self.weight / len(verdicts)
        return [verdict._replace(weight=share) for verdict in verdicts]
