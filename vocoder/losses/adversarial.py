"""The games that generator and discriminators play: unweighted losses over outputs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError

Reduction = Literal["sum", "mean"]


class AdversarialLoss(Protocol):
    """What the trainer asks of an adversarial loss; both give a scalar."""

    def generator(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """What the generator minimises; the outputs on `real` carry no gradient."""

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """What the discriminators minimise."""


class OverOutputs:
    """Turns one number per output into one loss: the sum or mean of number times weight."""

    def __init__(self, *, reduction: Reduction = "sum") -> None:
        if reduction not in ("sum", "mean"):
            raise ConfigError(f"reduction is {reduction!r}; choose from ('sum', 'mean')")
        self.reduction = reduction

    def reduce(self, losses: Sequence[Tensor], outputs: Sequence[DiscriminatorOutput]) -> Tensor:
        """Combine the losses of `outputs` into a scalar."""
        pairs = zip(losses, outputs, strict=True)
        stacked = torch.stack([output.weight * loss for loss, output in pairs])
        return stacked.sum() if self.reduction == "sum" else stacked.mean()


class _Pairwise(OverOutputs, ABC):
    """A game about the logits of real and fake signals, one pair of outputs at a time."""

    def generator(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """The generator's loss, over outputs."""
        return self.reduce([self._generator(b, a) for a, b in _logits(real, fake)], fake)

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """The discriminators' loss, over outputs; ConfigError for those that are `Sliced`."""
        if any(output.direction is not None for output in (*real, *fake)):
            raise ConfigError(
                f"Sliced discriminators: in the game {type(self).__name__} their last layer would "
                "learn nothing; play Slicing or use them without Sliced"
            )
        return self.reduce([self._discriminator(a, b) for a, b in _logits(real, fake)], fake)

    @abstractmethod
    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar from two maps of logits [B, N]."""

    @abstractmethod
    def _discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Scalar from two maps of logits [B, N]."""


def _logits(
    real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
) -> list[tuple[Tensor, Tensor]]:
    return [(a.logits.float(), b.logits.float()) for a, b in zip(real, fake, strict=True)]


class _Pointwise(_Pairwise):
    """A game that scores each logit by itself; the generator wants its logits taken for real."""

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return self._as_real(fake).mean()

    def _discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return self._as_real(real).mean() + self._as_fake(fake).mean()

    @staticmethod
    @abstractmethod
    def _as_real(logits: Tensor) -> Tensor:
        """Score of every logit for being taken for real; low is good."""

    @staticmethod
    @abstractmethod
    def _as_fake(logits: Tensor) -> Tensor:
        """Score of every logit for being taken for fake; low is good."""


class LeastSquares(_Pointwise):
    """Real towards 1, fake towards 0, squared, without the factor 1/2.

    Mao et al. 2017 (LSGAN); Kong et al. 2020 (HiFi-GAN), eq. 1 and 2.
    """

    @staticmethod
    def _as_real(logits: Tensor) -> Tensor:
        return (1.0 - logits).square()

    @staticmethod
    def _as_fake(logits: Tensor) -> Tensor:
        return logits.square()


class Hinge(_Pointwise):
    """Real above 1, fake below -1; the generator, too, is content above 1.

    Lim and Ye 2017 (Geometric GAN); the generator's form is that of Siuzdak 2024 (Vocos).
    """

    @staticmethod
    def _as_real(logits: Tensor) -> Tensor:
        return F.relu(1.0 - logits)

    @staticmethod
    def _as_fake(logits: Tensor) -> Tensor:
        return F.relu(1.0 + logits)


class UnboundedHinge(Hinge):
    """`Hinge` for the discriminators; the generator raises its logits without end.

    Lim and Ye 2017 (Geometric GAN); Kumar et al. 2019 (MelGAN), eq. 1 and 2.
    """

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return -fake.mean()


class NonSaturating(_Pointwise):
    """Cross-entropy of logits; the generator minimises -log D, not log(1 - D).

    Goodfellow et al. 2014, sec. 3.
    """

    @staticmethod
    def _as_real(logits: Tensor) -> Tensor:
        return F.softplus(-logits)

    @staticmethod
    def _as_fake(logits: Tensor) -> Tensor:
        return F.softplus(logits)


class Wasserstein(_Pointwise):
    """The gap between the mean logits of real and fake; neither loss has a lower bound.

    It measures a distance only for slopes of at most one: add `regularisers.GradientPenalty`.
    Arjovsky et al. 2017; Gulrajani et al. 2017 (WGAN-GP), eq. 3; Donahue et al. 2019 (WaveGAN).
    """

    @staticmethod
    def _as_real(logits: Tensor) -> Tensor:
        return -logits

    @staticmethod
    def _as_fake(logits: Tensor) -> Tensor:
        return logits


class Relativistic(_Pairwise):
    """Cross-entropy of the difference between the logits of real and fake at the same place.

    Converges with `regularisers.R1` and `R2`, each at half the papers' gamma.
    Jolicoeur-Martineau 2019 (RpGAN); Huang et al. 2024 (R3GAN), sec. 2.
    """

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.softplus(real - fake).mean()

    def _discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()


class RelativisticLeastSquares(LeastSquares):
    """`LeastSquares` plus a term for the places where a side is behind by more than usual.

    There, the mean squared distance to the median lead is at most `truncation`, beyond which it
    gives no gradient: outliers of bad pairs don't count.
    Li et al. 2022 (TPRLS GAN), as in Li et al. 2023 (HiFTNet).
    """

    def __init__(self, *, truncation: float = 0.04, reduction: Reduction = "sum") -> None:
        super().__init__(reduction=reduction)
        if truncation <= 0:
            raise ConfigError(f"truncation is {truncation}; it must be positive")
        self.truncation = truncation

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return super()._generator(fake, real) + self._behind(fake - real)

    def _discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return super()._discriminator(real, fake) + self._behind(real - fake)

    def _behind(self, lead: Tensor) -> Tensor:
        below = (lead - lead.median()).clamp(max=0.0)
        places = (below < 0).sum().clamp(min=1)  # there are none if all leads are equal
        return (below.square().sum() / places).clamp(max=self.truncation)


class Slicing(OverOutputs):
    """Soft, monotone least squares for features; for the last layer's direction, a Wasserstein gap.

    All discriminators must be `vocoder.discriminators.slicing.Sliced`, otherwise ConfigError.
    Takida et al. 2024 (SAN); Shibuya et al. 2024 (BigVSAN).
    """

    def generator(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """Mean score of fakes as if they were real, over outputs."""
        return self.reduce([_softly_real(b) for _, b in _logits(real, fake)], fake)

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """Scores of reals as real and fakes as fake; for the direction, the gap of their scores."""
        features = [_softly_real(a) + F.softplus(b).square().mean() for a, b in _logits(real, fake)]
        gaps = [
            _softly_real(_direction(a)) - _softly_real(_direction(b))
            for a, b in zip(real, fake, strict=True)
        ]
        return self.reduce(features, fake) + self.reduce(gaps, fake)


def _softly_real(logits: Tensor) -> Tensor:
    return F.softplus(1.0 - logits).square().mean()


def _direction(output: DiscriminatorOutput) -> Tensor:
    if output.direction is None:
        raise ConfigError(
            "the game Slicing needs discriminators whose last layer learns its direction apart; "
            "wrap each of them in vocoder.discriminators.slicing.Sliced"
        )
    return output.direction.float()
