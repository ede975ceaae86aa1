"""What the generator minimises: named terms and, here only, their weights."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vocoder.discriminators.verdict import Verdict
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import Game
from vocoder.losses.feature_matching import FeatureMatching


class Objective(nn.Module):
    """The weighted sum of all terms of a training.

    Terms are "adversarial" and "feature_matching" where those are given, the keys of
    `reconstruction`, and `auxiliary`: names of losses that the generator computes about itself.
    `weights` must name exactly these, otherwise ConfigError.
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float],
        reconstruction: Mapping[str, nn.Module],
        adversarial: Game | None = None,
        feature_matching: FeatureMatching | None = None,
        auxiliary: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if feature_matching is not None and adversarial is None:
            raise ConfigError("feature_matching is given without adversarial: add it or drop both")
        given = {"adversarial": adversarial, "feature_matching": feature_matching}
        against = [name for name, loss in given.items() if loss is not None]
        own = [*reconstruction, *auxiliary]
        if len({*given, *own}) < len(given) + len(own):
            raise ConfigError(f"two losses have the same name among {[*given, *own]}")
        names = [*against, *own]
        if weights.keys() != set(names):
            raise ConfigError(f"weights name {sorted(weights)}, but losses are {sorted(names)}")
        self.weights = dict(weights)
        self.reconstruction = nn.ModuleDict(dict(reconstruction))
        self.adversarial = adversarial
        self.feature_matching = feature_matching
        self._against = frozenset(against)

    def reconstruct(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Terms that compare signals, by name.   Shape: [B, C, T], [B, C, T]."""
        return {name: loss(fake, real) for name, loss in self.reconstruction.items()}

    def adversary(self, fake: list[Verdict], real: list[Verdict]) -> dict[str, Tensor]:
        """Terms that compare verdicts, by name; none without a game."""
        terms = {}
        if self.adversarial is not None:
            terms["adversarial"] = self.adversarial.generator(fake)
        if self.feature_matching is not None:
            terms["feature_matching"] = self.feature_matching(fake, real)
        return terms

    def discriminator(self, real: list[Verdict], fake: list[Verdict]) -> Tensor:
        """What the discriminators minimise; ConfigError without a game."""
        if self.adversarial is None:
            raise ConfigError("the objective has no adversarial loss to train discriminators with")
        return self.adversarial.discriminator(real, fake)

    def total(self, terms: Mapping[str, Tensor], *, adversary: float = 1.0) -> Tensor:
        """Weighted sum of all terms, or of all but the adversary's.

        The weights of the adversary's terms are multiplied by `adversary`. Any other set of names
        is a ConfigError.
        """
        playing = terms.keys() & self._against
        expected = self.weights.keys() - (frozenset() if playing else self._against)
        if terms.keys() != expected or not terms:
            raise ConfigError(
                f"terms are {sorted(terms)}, but the objective needs {sorted(expected)}"
            )
        factors = dict.fromkeys(self._against, adversary)
        return torch.stack(
            [self.weights[name] * factors.get(name, 1.0) * term for name, term in terms.items()]
        ).sum()
