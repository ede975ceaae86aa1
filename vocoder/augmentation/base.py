"""Base classes of augmentations, and the adaptation of their strength."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError

_INTERVAL = 4  # discriminator updates between two changes of the strength, in both papers


class Augmentation(nn.Module, ABC):
    """Base of augmentations: real and fake signals are changed alike before they are scored.

    The same random decisions apply to item b of every signal. They are drawn on the CPU from
    torch's global generator, so that they do not depend on the device. Gradients flow through. A
    subclass names in `features` the features [B, …, F] that it depends on.
    """

    features: tuple[str, ...] = ()

    def forward(self, signals: Sequence[Tensor], features: Mapping[str, Tensor]) -> list[Tensor]:
        """Augment signals of one shape alike, in float32.   Shape: [B, C, T] each → same."""
        with torch.autocast(signals[0].device.type, enabled=False):
            stacked = torch.stack([signal.float() for signal in signals])
            return list(self.augment(stacked, features).unbind())

    @abstractmethod
    def augment(self, x: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Augment a stack of S signals.   Shape: [S, B, C, T] → same."""

    @abstractmethod
    def adapt(self, real: list[DiscriminatorOutput]) -> None:
        """Adapt the strength to the outputs on augmented recordings, after every update."""


class AdaptiveStrength(Augmentation):
    """Base of augmentations whose strength `p` grows while the discriminators overfit.

    Every four updates `p` rises if the mean sign of (logit - `boundary`), over real items, exceeds
    `target`, else it falls, and is clipped to [0, `p_max`]. An item's logit is its mean over
    outputs and positions. A relativistic loss has no boundary, so this rule does not suit it.

    Karras et al. 2020 (ADA), sec. 3, its r_t; Wang et al. 2023 (Diffusion-GAN), sec. 3.

    Args:
        boundary: Logit between real and fake: 0.5 with least squares, 0 with other losses.
        target: Mean sign above which the strength rises.
        ramp_items: Items of all processes within which `p` moves from 0 to 1 if it always rises.
        p: Strength at the start.
        p_max: Largest strength, at most 1.
    """

    p: Tensor
    tally: Tensor

    def __init__(
        self, *, boundary: float, target: float, ramp_items: int, p: float, p_max: float
    ) -> None:
        super().__init__()
        if ramp_items < 1:
            raise ConfigError(f"ramp_items is {ramp_items}; it must be positive")
        if not 0.0 <= p <= p_max <= 1.0:
            raise ConfigError(f"p is {p}; it must lie between 0 and {p_max} (at most 1)")
        self.boundary, self.target = boundary, target
        self.ramp_items, self.p_max = ramp_items, p_max
        self.register_buffer("p", torch.tensor(float(p)))
        # Since `p` last moved: the sum of signs, the number of items and of updates.
        self.register_buffer("tally", torch.zeros(3))

    @torch.no_grad()
    def adapt(self, real: list[DiscriminatorOutput]) -> None:
        """Count how many recordings were classified as real; every four updates, move `p`."""
        logits = torch.stack([output.logits.float().mean(dim=1) for output in real]).mean(dim=0)
        # Both comparisons are false for a NaN, which therefore does not turn `p` into one.
        signs = (logits > self.boundary).float() - (logits < self.boundary).float()
        counted = torch.stack([signs.sum(), signs.new_tensor(len(signs))])
        if dist.is_initialized():  # items of all processes
            dist.all_reduce(counted)
        self.tally += torch.cat([counted, counted.new_ones(1)])
        recognised, items, updates = self.tally.tolist()
        if updates < _INTERVAL:
            return
        direction = 1.0 if recognised / items > self.target else -1.0
        self.p.add_(direction * items / self.ramp_items).clamp_(0.0, self.p_max)
        self.tally.zero_()
