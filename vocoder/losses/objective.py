"""What both sides minimise: named terms and, here only, their weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import AdversarialLoss
from vocoder.losses.balancer import Balancer
from vocoder.losses.feature_matching import FeatureMatching

Discriminator = Callable[[Tensor], list[DiscriminatorOutput]]
"""The discriminators as a function of audio [B, C, T] alone."""


class Regulariser(Protocol):
    """A term of the discriminators that needs gradients of the score itself.

    It is computed at every `every`-th step, and counts that many times then.
    """

    every: int

    def __call__(self, discriminators: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
        """Unweighted scalar."""


class Objective(nn.Module):
    """The weighted sums of all terms of a training.

    The generator's terms are "adversarial" and "feature_matching" where those are given, the keys
    of `reconstruction`, `auxiliary` (names of losses that the generator computes about itself) and
    the keys of `penalties` (functions of the generator's weights). The discriminators' are the game
    itself, with weight 1, and `regularisers`. `weights` must name exactly these, otherwise
    ConfigError. A `balancer` makes the weights mean shares of the gradient.
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float],
        reconstruction: Mapping[str, nn.Module],
        adversarial: AdversarialLoss | None = None,
        feature_matching: FeatureMatching | None = None,
        auxiliary: Sequence[str] = (),
        penalties: Mapping[str, Callable[[nn.Module], Tensor]] | None = None,
        regularisers: Mapping[str, Regulariser] | None = None,
        balancer: Balancer | None = None,
    ) -> None:
        super().__init__()
        self.regularisers, self.penalties = dict(regularisers or {}), dict(penalties or {})
        if adversarial is None:
            idle = ["feature_matching"] * (feature_matching is not None) + [*self.regularisers]
            if idle:
                raise ConfigError(
                    f"{', '.join(idle)} is given without adversarial: add it or drop both"
                )
        given = {"adversarial": adversarial, "feature_matching": feature_matching}
        against = [name for name, loss in given.items() if loss is not None]
        own = [*reconstruction, *auxiliary, *self.penalties, *self.regularisers]
        if len({*given, *own}) < len(given) + len(own):
            raise ConfigError(f"two losses have the same name among {[*given, *own]}")
        names = [*against, *own]
        if weights.keys() != set(names):
            raise ConfigError(f"weights name {sorted(weights)}, but losses are {sorted(names)}")
        self.weights = {name: weights[name] for name in names if name not in self.regularisers}
        self.strength = {name: weights[name] for name in self.regularisers}
        self.reconstruction = nn.ModuleDict(dict(reconstruction))
        self.adversarial, self.feature_matching = adversarial, feature_matching
        strange = sorted(set(balancer.terms) - {*against, *reconstruction}) if balancer else []
        if strange:
            raise ConfigError(f"balancer.terms name {strange}, which do not judge the audio")
        self.balancer = balancer
        self._against = frozenset(against)

    @property
    def learns_alone(self) -> bool:
        """Whether there is a term without the discriminators."""
        return bool(self.weights.keys() - self._against)

    def reconstruct(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Terms that compare signals, by name.   Shape: [B, C, T], [B, C, T]."""
        return {name: loss(fake, real) for name, loss in self.reconstruction.items()}

    def penalise(self, generator: nn.Module) -> dict[str, Tensor]:
        """Terms about the generator's weights, by name."""
        return {name: penalty(generator) for name, penalty in self.penalties.items()}

    def adversarial_terms(
        self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]
    ) -> dict[str, Tensor]:
        """Terms that compare outputs, by name; none without a game."""
        terms = {}
        if self.adversarial is not None:
            terms["adversarial"] = self.adversarial.generator(fake, real)
        if self.feature_matching is not None:
            terms["feature_matching"] = self.feature_matching(fake, real)
        return terms

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """What the discriminators minimise in the game; ConfigError without one."""
        if self.adversarial is None:
            raise ConfigError("the objective has no adversarial loss to train discriminators with")
        return self.adversarial.discriminator(real, fake)

    def regularise(
        self, discriminators: Discriminator, real: Tensor, fake: Tensor, *, step: int
    ) -> dict[str, Tensor]:
        """Weighted terms of the regularisers that are due at `step`, by name.

        Shape: [B, C, T], [B, C, T].
        """
        return {
            name: self.strength[name] * regulariser.every * regulariser(discriminators, real, fake)
            for name, regulariser in self.regularisers.items()
            if step % regulariser.every == 0
        }

    def total(
        self,
        terms: Mapping[str, Tensor],
        *,
        adversarial_weight: float = 1.0,
        fake: Tensor | None = None,
    ) -> Tensor:
        """Weighted sum of all terms of the generator, or of all but the adversary's.

        The weights of the adversary's terms are multiplied by `adversarial_weight`. With a balancer, whose
        result has the right gradient but no meaning as a value, `fake` is what the terms judge. Any
        other set of names is a ConfigError.
        """
        playing = terms.keys() & self._against
        expected = self.weights.keys() - (frozenset() if playing else self._against)
        if terms.keys() != expected or not terms:
            raise ConfigError(
                f"terms are {sorted(terms)}, but the objective needs {sorted(expected)}"
            )
        factors = dict.fromkeys(self._against, adversarial_weight)
        weights = {name: self.weights[name] * factors.get(name, 1.0) for name in terms}
        if self.balancer is not None:
            if fake is None:
                raise ConfigError("a balanced objective needs the audio that its terms judge")
            balanced: Tensor = self.balancer(terms, weights, fake)
            return balanced
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
