"""Gradient penalties on discriminators, and a penalty that keeps filters orthogonal."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from vocoder.errors import ConfigError
from vocoder.losses.objective import Discriminator

_FLOOR = 1e-12


def squared_slope(discriminators: Discriminator, audio: Tensor) -> Tensor:
    """Squared norm of the score's gradient with respect to each signal, with a graph.

    The score of a signal is one number: over all outputs, their weight times the sum of
    logits / sqrt(N), where N is how many logits the output has. For a single logit that is the
    logit. In a map each logit has a limited receptive field, so the squared norm of the gradient of
    their sum grows in proportion to N: the root makes the result independent of the length of the
    signal. Computed in float32.

    Shape: [B, C, T] → [B].
    """
    audio = audio.detach().float().requires_grad_()
    with torch.enable_grad(), torch.autocast(audio.device.type, enabled=False):
        outputs = discriminators(audio)
        sums = [each.weight / each.logits.shape[1] ** 0.5 * each.logits.sum() for each in outputs]
        score = torch.stack(sums).sum()
        (slope,) = torch.autograd.grad(score, audio, create_graph=True)
    return slope.square().flatten(1).sum(1)


class _Penalty(ABC):
    """Base of regularisers that are computed at every `every`-th step."""

    def __init__(self, *, every: int = 1) -> None:
        if every < 1:
            raise ConfigError(f"every is {every}; it must be at least 1")
        self.every = every

    @abstractmethod
    def __call__(self, discriminators: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
        """Mean over signals, a scalar.   Shape: [B, C, T], [B, C, T]."""


class GradientPenalty(_Penalty):
    """Gradient penalty of WGAN-GP: mean (norm of the slope - 1)² between real and fake signals.

    All outputs together are the critic. The slope of each item is taken at a random point on the
    line from its real to its fake signal. Published weight 10.
    Gulrajani et al. 2017 (WGAN-GP), eq. 3.
    """

    def __call__(self, discriminators: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
        """Mean over signals, a scalar.   Shape: [B, C, T], [B, C, T]."""
        place = torch.rand(real.shape[0], 1, 1, device=real.device)
        squared = squared_slope(discriminators, torch.lerp(real.float(), fake.float(), place))
        # A critic that is flat has a norm without a derivative.
        return (squared.clamp(min=_FLOOR).sqrt() - 1.0).square().mean()


class R1(_Penalty):
    """R1 penalty: mean `squared_slope` at real signals; its weight is the papers' gamma / 2.

    Mescheder et al. 2018, eq. 9; computed every 16 steps in Karras et al. 2020 (StyleGAN2).
    """

    def __call__(self, discriminators: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
        """Mean over signals, a scalar.   Shape: [B, C, T], [B, C, T]."""
        return squared_slope(discriminators, real).mean()


class R2(_Penalty):
    """R2 penalty: mean `squared_slope` at fake signals; its weight is the papers' gamma / 2.

    Mescheder et al. 2018, eq. 10; Huang et al. 2024 (R3GAN).
    """

    def __call__(self, discriminators: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
        """Mean over signals, a scalar.   Shape: [B, C, T], [B, C, T]."""
        return squared_slope(discriminators, fake).mean()


class OrthogonalPenalty:
    """Orthogonality penalty: squared inner products of a layer's filters, summed over all layers.

    Layers are convolutions (transposed ones, too) and linear ones. Each pair of different filters
    counts in both orders. Filters of different groups have different inputs and are not compared;
    lengths are free. Raises ConfigError for a network without such layers.
    Brock et al. 2017; in the off-diagonal form of Brock et al. 2019 (BigGAN), eq. 3.
    """

    def __call__(self, network: nn.Module) -> Tensor:
        """Scalar, in float32."""
        layers = [m for m in network.modules() if isinstance(m, nn.Linear | _ConvNd)]
        if not layers:
            raise ConfigError(f"{type(network).__name__} has no convolution or linear layer")
        return torch.stack([_overlap(_filters(layer)) for layer in layers]).sum()


def _overlap(filters: Tensor) -> Tensor:
    with torch.autocast(filters.device.type, enabled=False):
        gram = filters @ filters.mT  # [groups, filters, filters]
        return 2.0 * gram.triu(1).square().sum()


def _filters(layer: nn.Linear | _ConvNd) -> Tensor:
    """Weights of each output channel by group.   Shape: [groups, filters, taps]."""
    if isinstance(layer, nn.Linear):
        return layer.weight[None]
    by_group = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:])
    return (by_group.transpose(1, 2) if layer.transposed else by_group).flatten(2)
