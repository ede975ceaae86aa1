"""Projected discriminators: small networks on randomly mixed maps of a frozen backbone."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.discriminators.melgan_scale import HiddenMapDiscriminator
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.nn.weight_norm import normalise

_SLOPE = 0.2
_STRIDE = 4
_KERNEL = 2 * _STRIDE + 1


class Backbone(nn.Module, ABC):
    """Base of frozen networks that discriminators are projected on: audio to maps at all scales.

    `widths` are the channels of the maps. Subclasses define what the maps are.

    Shape: audio [B, C, T] → maps [B, widths[i], T_i], finest first.
    """

    widths: tuple[int, ...]

    @abstractmethod
    def forward(self, audio: Tensor) -> list[Tensor]:
        """Maps at every scale."""


class RandomConvolution(nn.Module):
    """Convolution with fixed random weights, without bias; it preserves the variance.

    The weights are drawn again at every construction and are not part of the state. They come from
    numpy's frozen legacy generator, the same numbers in every version (NEP 19), which torch does
    not promise: a training that is resumed elsewhere has the same projections.

    Shape: [B, in_channels, T] → [B, out_channels, ceil(T / stride)].

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Kernel size, odd.
        stride: Stride in samples.
        rng: Generator that the weights are drawn from.
    """

    weight: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        rng: np.random.RandomState,
    ) -> None:
        super().__init__()
        weight = rng.standard_normal((out_channels, in_channels, kernel)) / math.sqrt(
            in_channels * kernel
        )
        self.register_buffer("weight", torch.from_numpy(weight).float(), persistent=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, with zeros outside."""
        return F.conv1d(x, self.weight, stride=self.stride, padding=self.weight.shape[-1] // 2)


class RandomFeatures(Backbone):
    """Backbone of random strided convolutions with leaky ReLU: maps at falling rates.

    Each map has a quarter of the rate of the one before. With the default `widths` every map has at
    least twice as many values as the audio, so that different signals have different maps although
    the weights are random. Needs no download.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        seed: int = 0,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        if min(widths, default=0) < 1:
            raise ConfigError(f"widths {list(widths)} must be positive")
        self.widths = tuple(widths)
        rng = np.random.RandomState(seed)
        self.convs = nn.ModuleList(
            RandomConvolution(in_channels, out_channels, _KERNEL, _STRIDE, rng=rng)
            for in_channels, out_channels in zip((audio_channels, *widths), widths, strict=False)
        )
        # Leaky ReLU leaves this much of the power of symmetric noise.
        self.gain = math.sqrt(2.0 / (1.0 + _SLOPE**2))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Maps of all scales, with about the power of the audio."""
        maps = []
        for conv in self.convs:
            audio = self.gain * F.leaky_relu(conv(audio), _SLOPE)
            maps.append(audio)
        return maps


class Mixing(nn.Module):
    """Random projections across channels, then from every coarser scale into the next finer one.

    Map i of the result has `channels` * 2**i channels and the length of map i of the input.
    """

    def __init__(self, widths: Sequence[int], *, channels: int, seed: int) -> None:
        super().__init__()
        mixed = [channels * 2**scale for scale in range(len(widths))]
        rng = np.random.RandomState(seed)
        self.across_channels = nn.ModuleList(
            RandomConvolution(in_channels, out_channels, 1, rng=rng)
            for in_channels, out_channels in zip(widths, mixed, strict=True)
        )
        self.across_scales = nn.ModuleList(
            RandomConvolution(coarse, fine, 3, rng=rng)
            for fine, coarse in zip(mixed, mixed[1:], strict=False)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Mix maps, given finest first."""
        mixed = [mix(x) for mix, x in zip(self.across_channels, maps, strict=True)]
        for fine in reversed(range(len(self.across_scales))):
            length = mixed[fine].shape[-1]
            coarse = F.interpolate(mixed[fine + 1].float(), size=length, mode="linear")
            mixed[fine] = mixed[fine] + self.across_scales[fine](coarse)
        return mixed


class Projected(nn.Module):
    """Projected discriminator: one on each scale of a frozen backbone's randomly mixed maps.

    Only the sub-discriminators learn; the gradient reaches the audio through the frozen networks.
    Published for images (Sauer et al. 2021, Projected GANs): the frozen pre-trained network, both
    random mixings, one discriminator per scale, all ending at one resolution, spectral norm. Our
    choice for audio: one-dimensional convolutions, `RandomFeatures` where no `backbone` is given,
    no batch norm in the discriminators (it would mix the items of a batch), hidden maps for feature
    matching.

    `channels` is the width of the finest mixed map. `seed` fixes all random weights. Takes signals
    of any length; a given backbone must take `audio_channels` itself. 5.26 M weights at the
    defaults.
    """

    def __init__(
        self,
        *,
        backbone: Backbone | None = None,
        channels: int = 64,
        seed: int = 0,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels is {channels}; it must be positive")
        if backbone is None:
            backbone = RandomFeatures(seed=seed, audio_channels=audio_channels)
        if not isinstance(backbone, Backbone):
            raise ConfigError(f"backbone is {type(backbone).__name__}; give a Backbone")
        self.backbone = backbone.requires_grad_(False)
        self.mixing = Mixing(backbone.widths, channels=channels, seed=seed + 1)
        widths = [channels * 2**scale for scale in range(len(backbone.widths))]
        self.discriminators = nn.ModuleList(_discriminator(widths[i:]) for i in range(len(widths)))
        self.train()

    def train(self, mode: bool = True) -> "Projected":
        """Set the mode of the discriminators; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per scale, the finest first.   Shape: audio [B, C, T]."""
        maps = self.mixing(self.backbone(audio))
        return [
            discriminator(x) for discriminator, x in zip(self.discriminators, maps, strict=True)
        ]


def _discriminator(widths: Sequence[int]) -> HiddenMapDiscriminator:
    """Convolutions from the rate of a map down to that of the coarsest, whose width is the last."""
    convs = [nn.Conv1d(widths[0], widths[0], 3, padding=1)]
    convs += [
        nn.Conv1d(in_channels, out_channels, _KERNEL, _STRIDE, _STRIDE)
        for in_channels, out_channels in zip(widths, widths[1:], strict=False)
    ]
    convs += [nn.Conv1d(widths[-1], 1, 3, padding=1)]
    *hidden, last = (normalise(conv, "spectral") for conv in convs)
    return HiddenMapDiscriminator(hidden, last)
