"""Balancer: weights of losses as shares of the gradient, independent of their scale."""

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vocoder.errors import ConfigError

_EPS = 1e-12


class Balancer(nn.Module):
    """Rescales the gradient of each term to its share of `total_norm`, by a mean of past norms.

    Each of `terms` names a function of the generator's output; its gradient there is divided by the
    running mean (with `decay`) of its own norm, and multiplied by weight / sum of weights. So a
    weight is the share of its term, also when the scale of the loss changes. Terms that do not
    depend on the output keep their plain weights. A gradient's norm is the mean over items of the
    batch. Raises ConfigError without terms, unless 0 <= decay < 1, and for a norm that is not
    positive.

    Défossez et al. 2022 (EnCodec, arXiv 2210.13438), sec. 3.4.
    """

    means: Tensor
    ages: Tensor

    def __init__(
        self, terms: Sequence[str], *, total_norm: float = 1.0, decay: float = 0.999
    ) -> None:
        super().__init__()
        if not terms or not 0.0 <= decay < 1.0 or total_norm <= 0.0:
            raise ConfigError(
                f"balancer has terms {list(terms)}, decay {decay} and total_norm {total_norm}; "
                "name at least one term, with 0 <= decay < 1 and a positive norm"
            )
        self.terms, self.total_norm, self.decay = tuple(terms), total_norm, decay
        self.register_buffer("means", torch.zeros(len(self.terms)))
        self.register_buffer("ages", torch.zeros(len(self.terms)))  # sums of the mean's weights

    def forward(
        self, losses: Mapping[str, Tensor], weights: Mapping[str, float], fake: Tensor
    ) -> Tensor:
        """Scalar whose gradient is the balanced one.   Shape: fake [B, C, T]."""
        balanced = [name for name in self.terms if name in losses]
        gradients = {name: _gradient(losses[name], fake) for name in balanced}
        whole = sum(weights[name] for name in balanced)
        direction = torch.zeros_like(fake)
        for name, gradient in gradients.items():
            share = weights[name] / whole if whole else 0.0
            direction += share * self.total_norm / self._norm(name, gradient) * gradient
        plain = [weights[name] * loss for name, loss in losses.items() if name not in gradients]
        return torch.stack([(fake * direction).sum(), *plain]).sum()

    def _norm(self, name: str, gradient: Tensor) -> Tensor:
        """Running mean of this term's norm, including the present one."""
        norms = gradient.flatten(1).norm(dim=1)
        norm = norms.mean()
        if dist.is_initialized():
            # As in one process: there the gradient of an item is that of a mean over all items.
            counted = torch.stack([norms.sum() * len(norms), norms.new_tensor(len(norms))])
            dist.all_reduce(counted)
            norm = counted[0] / counted[1].square()
        place = self.terms.index(name)
        self.means[place] = self.decay * self.means[place] + norm
        self.ages[place] = self.decay * self.ages[place] + 1.0
        return self.means[place] / self.ages[place] + _EPS


def _gradient(loss: Tensor, fake: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, fake, retain_graph=True)
    return gradient
