"""Objectives of generator and discriminators: named terms and, only here, their weights."""

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
    """Interface of a term of the discriminators that needs gradients of their scores.

    It is computed at every `every`-th step, and then multiplied by `every`.
    """

    every: int

    def __call__(self, discriminators: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
        """Unweighted scalar."""


class Objective(nn.Module):
    """Weighted sums of all loss terms of generator and discriminators in a training.

    The generator's terms are "adversarial" and "feature_matching" where those are given, the keys
    of `reconstruction`, the names in `auxiliary` and the keys of `penalties`. The discriminators'
    are the adversarial loss, with weight 1, and the keys of `regularisers`. `weights` must name
    exactly these, otherwise ConfigError.

    Args:
        weights: Weight of every term.
        reconstruction: Losses (fake, real) → scalar.
        adversarial: Loss over discriminator outputs; None trains without discriminators.
        feature_matching: Loss over their feature maps; needs `adversarial`.
        auxiliary: Names of losses that the generator computes in its own forward pass.
        penalties: Functions of the generator's weights.
        regularisers: Terms of the discriminators; need `adversarial`.
        balancer: If given, the weights of its terms are shares of the gradient.
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
            unused = ["feature_matching"] * (feature_matching is not None) + [*self.regularisers]
            if unused:
                raise ConfigError(
                    f"{', '.join(unused)} is given without adversarial: add it or drop both"
                )
        given = {"adversarial": adversarial, "feature_matching": feature_matching}
        adversarial_names = [name for name, loss in given.items() if loss is not None]
        own = [*reconstruction, *auxiliary, *self.penalties, *self.regularisers]
        if len({*given, *own}) < len(given) + len(own):
            raise ConfigError(f"two losses have the same name among {[*given, *own]}")
        names = [*adversarial_names, *own]
        if weights.keys() != set(names):
            raise ConfigError(f"weights name {sorted(weights)}, but losses are {sorted(names)}")
        self.weights = {name: weights[name] for name in names if name not in self.regularisers}
        self.strength = {name: weights[name] for name in self.regularisers}
        self.reconstruction = nn.ModuleDict(dict(reconstruction))
        self.adversarial, self.feature_matching = adversarial, feature_matching
        balanceable = {*adversarial_names, *reconstruction}
        unknown = sorted(set(balancer.terms) - balanceable) if balancer else []
        if unknown:
            raise ConfigError(
                f"balancer.terms name {unknown}, which are not losses of the generator's audio; "
                f"choose from {sorted(balanceable)}"
            )
        self.balancer = balancer
        self._adversarial_names = frozenset(adversarial_names)

    @property
    def learns_alone(self) -> bool:
        """Whether the generator has a term that needs no discriminators."""
        return bool(self.weights.keys() - self._adversarial_names)

    def reconstruct(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Terms that compare signals, by name.   Shape: [B, C, T], [B, C, T]."""
        return {name: loss(fake, real) for name, loss in self.reconstruction.items()}

    def penalise(self, generator: nn.Module) -> dict[str, Tensor]:
        """Penalties on the generator's weights, by name."""
        return {name: penalty(generator) for name, penalty in self.penalties.items()}

    def adversarial_terms(
        self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]
    ) -> dict[str, Tensor]:
        """Terms that compare outputs, by name; none without an adversarial loss."""
        terms = {}
        if self.adversarial is not None:
            terms["adversarial"] = self.adversarial.generator(fake, real)
        if self.feature_matching is not None:
            terms["feature_matching"] = self.feature_matching(fake, real)
        return terms

    def discriminator(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> Tensor:
        """Adversarial loss of the discriminators; ConfigError if the objective has none."""
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
        """Weighted sum of all terms of the generator, or of all but the adversarial ones.

        The weights of "adversarial" and "feature_matching" are multiplied by `adversarial_weight`.
        A balancer needs `fake`, the audio that the terms were computed from; its result has the
        right gradient, but no meaning as a value. Any other set of names is a ConfigError.
        """
        adversarial = terms.keys() & self._adversarial_names
        expected = self.weights.keys() - (frozenset() if adversarial else self._adversarial_names)
        if terms.keys() != expected or not terms:
            raise ConfigError(
                f"terms are {sorted(terms)}, but the objective needs {sorted(expected)}"
            )
        factors = dict.fromkeys(self._adversarial_names, adversarial_weight)
        weights = {name: self.weights[name] * factors.get(name, 1.0) for name in terms}
        if self.balancer is not None:
            if fake is None:
                raise ConfigError(
                    "an objective with a balancer needs the audio that its terms are computed "
                    "from; pass it as fake"
                )
            balanced: Tensor = self.balancer(terms, weights, fake)
            return balanced
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
