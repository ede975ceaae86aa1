"""Bandwidth extension of HiFi-GAN's authors: an unconditional WaveNet over the recording."""

import math
from collections.abc import Mapping, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.base import BandwidthExtender
from vocoder.nn.conv import same_padding
from vocoder.nn.wavenet import FoldedLayer, GatedLayer
from vocoder.nn.weight_norm import weight_norm

_GROWTH = 3  # of the dilation from layer to layer


class HiFiGANBWE(BandwidthExtender):
    """Gated dilated layers over the recording, taken as silent beyond its start and end.

    Within a stack the dilation triples from layer to layer, starting at 1. The last layer's `out`,
    whose result is not used, exists because published weights contain it. Raises ConfigError for
    sizes that do not fit.

    Shape: narrowband [B, 1, T] → audio [B, 1, T] in [-1, 1].
    Su et al. 2021 (Bandwidth extension is all you need), in the sizes of
    github.com/brentspell/hifi-gan-bwe, 1.06 M weights.

    Args:
        layers: Number of gated layers, a multiple of `stacks`.
        stacks: Number of stacks that the layers form.
        kernel_size: Of the dilated convolutions; an odd number.
        channels: Of all layers.
        cutoff_range: Lowest and highest cutoff of the input in Hz.
        resampling: The filter by which recordings were brought to the network's rate in training:
            arguments of `vocoder.dsp.resample.resample`.
    """

    def __init__(
        self,
        *,
        layers: int = 16,
        stacks: int = 2,
        kernel_size: int = 3,
        channels: int = 128,
        cutoff_range: Sequence[float],
        resampling: Mapping[str, float],
    ) -> None:
        super().__init__(hop_length=1, cutoff_range=cutoff_range, resampling=resampling)
        if min(layers, stacks) < 1 or layers % stacks:
            raise ConfigError(f"{layers} layers do not form {stacks} stacks; use a multiple")
        dilations = [_GROWTH ** (layer % (layers // stacks)) for layer in range(layers)]
        self.conv_pre = weight_norm(nn.Conv1d(1, channels, 1))
        self.layers = nn.ModuleList(
            GatedLayer(
                channels,
                gate_channels=channels,
                skip_channels=channels,
                kernel_size=kernel_size,
                dilation=dilation,
            )
            for dilation in dilations
        )
        self.conv_post = weight_norm(nn.Conv1d(channels, 1, 1))
        self.reach = sum(same_padding(kernel_size, dilation) for dilation in dilations)

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        # As far as the layers reach: no sample depends on the zeros that they pad themselves, which
        # differ from silence, because `conv_pre` maps silence to its bias.
        x, total = self.layers[0](self.conv_pre(F.pad(narrowband, (self.reach, self.reach))))
        for layer in self.layers[1:]:
            x, skip = layer(x)
            total = total + skip
        audio = torch.tanh(self.conv_post(total * math.sqrt(1.0 / len(self.layers))))
        return audio[..., self.reach : -self.reach]

    def freeze(self) -> Self:
        """Prepare for inference as `Generator.freeze` does, with `conv_post` folded into layers."""
        super().freeze()
        layers = [layer for layer in self.layers if isinstance(layer, GatedLayer)]
        if layers:  # not frozen before
            post = self.conv_post.weight[..., 0]
            self.layers = nn.ModuleList(
                FoldedLayer(layer, depth=depth, post=post) for depth, layer in enumerate(layers)
            )
            self.conv_post.weight = nn.Parameter(post.new_ones(1, 1, 1))
        return self.requires_grad_(False)
