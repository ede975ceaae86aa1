"""The games that generator and discriminators play: unweighted losses over verdicts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.discriminators.verdict import Verdict
from vocoder.errors import ConfigError

Reduction = Literal["sum", "mean"]


class Game(Protocol):
    """What the trainer asks of an adversarial loss; both give a scalar."""

    def generator(self, fake: list[Verdict]) -> Tensor:
        """What the generator minimises."""

    def discriminator(self, real: list[Verdict], fake: list[Verdict]) -> Tensor:
        """What the discriminators minimise."""


class OverVerdicts:
    """Turns one number per verdict into one loss, as their sum or their mean."""

    def __init__(self, *, reduction: Reduction = "sum") -> None:
        if reduction not in ("sum", "mean"):
            raise ConfigError(f"reduction is {reduction!r}; choose from ('sum', 'mean')")
        self.reduction = reduction

    def reduce(self, losses: Sequence[Tensor]) -> Tensor:
        """Combine the losses of all verdicts into a scalar."""
        stacked = torch.stack(list(losses))
        return stacked.sum() if self.reduction == "sum" else stacked.mean()


class _Pointwise(OverVerdicts, ABC):
    """A game that scores each logit by itself; the generator wants its logits taken for real."""

    def generator(self, fake: list[Verdict]) -> Tensor:
        """Mean score of fakes as if they were real, over verdicts."""
        return self.reduce([self._as_real(verdict.logits.float()).mean() for verdict in fake])

    def discriminator(self, real: list[Verdict], fake: list[Verdict]) -> Tensor:
        """Mean score of reals as real plus of fakes as fake, over verdicts."""
        pairs = zip(real, fake, strict=True)
        return self.reduce(
            [
                self._as_real(a.logits.float()).mean() + self._as_fake(b.logits.float()).mean()
                for a, b in pairs
            ]
        )

    @staticmethod
    @abstractmethod
    def _as_real(logits: Tensor) -> Tensor:
        """Score of every logit for being taken for real; zero is best."""

    @staticmethod
    @abstractmethod
    def _as_fake(logits: Tensor) -> Tensor:
        """Score of every logit for being taken for fake; zero is best."""


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

    def generator(self, fake: list[Verdict]) -> Tensor:
        """Mean of the negated logits, over verdicts; no lower bound."""
        return self.reduce([-verdict.logits.float().mean() for verdict in fake])
