"""Outputs of discriminators, and the ensemble that collects them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """Scores and feature maps that one sub-discriminator computes for a batch of signals.

    `logits` [B, N] are the scores, high for real. `feature_maps` are what feature matching
    compares; which ones is the paper's choice, in HiFi-GAN every layer including the last.
    `direction` holds the logits that alone train the direction of a sliced last layer
    (`vocoder.discriminators.slicing`); None without one. The losses multiply the terms of this
    output by `weight`.
    """

    logits: Tensor
    feature_maps: list[Tensor]
    direction: Tensor | None = None
    weight: float = 1.0


def requested_features(module: nn.Module) -> tuple[str, ...]:
    """Names of the features that a discriminator or augmentation takes; for most, none."""
    return getattr(module, "features", ())


class Discriminators(nn.ModuleDict):
    """Ensemble of discriminators by name: audio and features to the outputs of all members.

    Each member maps audio [B, C, T] to a list of outputs. A conditional member names in its
    attribute `features` which features it takes besides, by keyword.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(dict(modules))

    def forward(self, audio: Tensor, features: Mapping[str, Tensor]) -> list[DiscriminatorOutput]:
        """Outputs of all members in order.   Shape: [B, C, T] → N outputs."""
        return [
            output
            for member in self.values()
            for output in member(audio, **{n: features[n] for n in requested_features(member)})
        ]


class ConvDiscriminator(nn.Module):
    """Convolutions with leaky ReLU of slope 0.1 and a last linear one, whose output is the logits.

    The feature maps are the outputs of all layers, including the logits. With `first_map` False
    the first convolution's is left out, as in Vocos and AP-BWE.

    Shape: [B, C, …] → logits [B, N], feature maps [B, C', …].   Kong et al. 2020, sec. 2.3.
    """

    def __init__(
        self, convs: Iterable[nn.Module], conv_post: nn.Module, *, first_map: bool = True
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = conv_post
        self.first_map = first_map

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Score one view of the signal."""
        feature_maps = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            feature_maps.append(x)
        feature_maps.append(self.conv_post(x))
        return DiscriminatorOutput(
            feature_maps[-1].flatten(1), feature_maps if self.first_map else feature_maps[1:]
        )
