"""Adversarial losses of generator and discriminators, unweighted, over discriminator outputs."""

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
    """Interface of an adversarial loss: outputs for real and fake signals to unweighted scalars."""

    def generator(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """Loss of the generator; the outputs on `real` carry no gradient."""

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """Loss of the discriminators."""


class OverOutputs:
    """Base of losses over outputs: the sum or mean of one loss per output times its weight."""

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
    """Adversarial loss of the logits for real and fake signals, one pair of outputs at a time."""

    def generator(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """Loss of the generator, over outputs."""
        return self.reduce([self._generator(b, a) for a, b in _logits(real, fake)], fake)

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """Loss of the discriminators, over outputs; ConfigError for those that are `Sliced`."""
        if any(output.direction is not None for output in (*real, *fake)):
            raise ConfigError(
                f"the adversarial loss {type(self).__name__} does not train the last layer of "
                "Sliced discriminators; use the loss Slicing, or the discriminators without Sliced"
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
    """Adversarial loss of each logit alone; the generator's has the label real for fakes."""

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return self._as_real(fake).mean()

    def _discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return self._as_real(real).mean() + self._as_fake(fake).mean()

    @staticmethod
    @abstractmethod
    def _as_real(logits: Tensor) -> Tensor:
        """Loss of every logit with the label real."""

    @staticmethod
    @abstractmethod
    def _as_fake(logits: Tensor) -> Tensor:
        """Loss of every logit with the label fake."""


class LeastSquares(_Pointwise):
    """Least-squares loss: real logits towards 1, fake ones towards 0, without the factor 1/2.

    Mao et al. 2017 (LSGAN); Kong et al. 2020 (HiFi-GAN), eq. 1 and 2.
    """

    @staticmethod
    def _as_real(logits: Tensor) -> Tensor:
        return (1.0 - logits).square()

    @staticmethod
    def _as_fake(logits: Tensor) -> Tensor:
        return logits.square()


class Hinge(_Pointwise):
    """Hinge loss: real logits above 1, fake ones below -1, for the generator above 1.

    Lim and Ye 2017 (Geometric GAN); the generator's form is that of Siuzdak 2024 (Vocos).
    """

    @staticmethod
    def _as_real(logits: Tensor) -> Tensor:
        return F.relu(1.0 - logits)

    @staticmethod
    def _as_fake(logits: Tensor) -> Tensor:
        return F.relu(1.0 + logits)


class UnboundedHinge(Hinge):
    """Hinge loss of the discriminators; the generator maximises its mean logit without bound.

    Lim and Ye 2017 (Geometric GAN); Kumar et al. 2019 (MelGAN), eq. 1 and 2.
    """

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return -fake.mean()


class NonSaturating(_Pointwise):
    """Cross-entropy of the logits; the generator minimises -log D, not log(1 - D).

    Goodfellow et al. 2014, sec. 3.
    """

    @staticmethod
    def _as_real(logits: Tensor) -> Tensor:
        return F.softplus(-logits)

    @staticmethod
    def _as_fake(logits: Tensor) -> Tensor:
        return F.softplus(logits)


class Wasserstein(_Pointwise):
    """Wasserstein loss: the gap between the mean logits of real and fake, without a lower bound.

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
    """Relativistic loss: cross-entropy of the difference of real and fake logits, position-wise.

    Converges with `regularisers.R1` and `R2`, each at half the papers' gamma.
    Jolicoeur-Martineau 2019 (RpGAN); Huang et al. 2024 (R3GAN), sec. 2.
    """

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.softplus(real - fake).mean()

    def _discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()


class RelativisticLeastSquares(LeastSquares):
    """Least-squares loss plus a truncated relativistic term over the logits that lag the most.

    The lead is the difference of fake and real logits for the generator, of real and fake ones for
    the discriminators. The term is the mean squared distance to the median lead, over positions
    below it. It is at most `truncation`, above which it has no gradient, so that outliers of bad
    pairs do not count.
    Li et al. 2022 (TPRLS GAN), as in Li et al. 2023 (HiFTNet).
    """

    def __init__(self, *, truncation: float = 0.04, reduction: Reduction = "sum") -> None:
        super().__init__(reduction=reduction)
        if truncation <= 0:
            raise ConfigError(f"truncation is {truncation}; it must be positive")
        self.truncation = truncation

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return super()._generator(fake, real) + self._lag(fake - real)

    def _discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return super()._discriminator(real, fake) + self._lag(real - fake)

    def _lag(self, lead: Tensor) -> Tensor:
        below = (lead - lead.median()).clamp(max=0.0)
        places = (below < 0).sum().clamp(min=1)  # there are none if all leads are equal
        return (below.square().sum() / places).clamp(max=self.truncation)


class Slicing(OverOutputs):
    """SAN's loss: soft, monotone least squares for logits, a Wasserstein gap for the direction.

    All discriminators must be `vocoder.discriminators.slicing.Sliced`, otherwise ConfigError.
    Takida et al. 2024 (SAN); Shibuya et al. 2024 (BigVSAN).
    """

    def generator(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """Loss of the generator, over outputs: that of fake logits with the label real."""
        return self.reduce([_softly_real(b) for _, b in _logits(real, fake)], fake)

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """Loss of the discriminators, over outputs: of the logits, plus that of the direction."""
        separate = [_softly_real(a) + F.softplus(b).square().mean() for a, b in _logits(real, fake)]
        gaps = [
            _softly_real(_direction(a)) - _softly_real(_direction(b))
            for a, b in zip(real, fake, strict=True)
        ]
        return self.reduce(separate, fake) + self.reduce(gaps, fake)


def _softly_real(logits: Tensor) -> Tensor:
    return F.softplus(1.0 - logits).square().mean()


def _direction(output: DiscriminatorOutput) -> Tensor:
    if output.direction is None:
        raise ConfigError(
            "the adversarial loss Slicing needs discriminators with a sliced last layer; "
            "wrap each of them in vocoder.discriminators.slicing.Sliced"
        )
    return output.direction.float()
