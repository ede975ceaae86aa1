"""HiFi-GAN's bandwidth extension: a WaveNet without condition from narrow to wide recordings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

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
    """Gated layers over the recording, which is silent before its start and after its end.

    The `layers` form `stacks`; within each the dilation triples from layer to layer, starting at 1.
    The last layer's `out`, whose result nobody takes, is there because published weights have it.
    Raises ConfigError for sizes that do not fit.

    Shape: narrowband [B, 1, T] → audio [B, 1, T] in [-1, 1].
    Su et al. 2021 (Bandwidth extension is all you need), in the sizes of
    github.com/brentspell/hifi-gan-bwe, 1.06 M weights.
    """

    resampling: ClassVar[Mapping[str, Any]] = {
        "zeros": 16,
        "rolloff": 0.945,
        "beta": 14.769656459379492,
    }

    def __init__(
        self,
        *,
        layers: int = 16,
        stacks: int = 2,
        kernel_size: int = 3,
        channels: int = 128,
        cutoff_range: Sequence[float],
    ) -> None:
        super().__init__(hop_length=1, cutoff_range=cutoff_range)
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
        """The recording with an upper band."""
        # As far as the layers reach: no sample sees the zeros that they add themselves, which are
        # no silence to them, because silence comes out of `conv_pre` as its bias.
        x, total = self.layers[0](self.conv_pre(F.pad(narrowband, (self.reach, self.reach))))
        for layer in self.layers[1:]:
            x, skip = layer(x)
            total = total + skip
        audio = torch.tanh(self.conv_post(total * math.sqrt(1.0 / len(self.layers))))
        return audio[..., self.reach : -self.reach]

    def freeze(self) -> Self:
        """As of every generator; and `conv_post`, being linear, goes into the layers."""
        super().freeze()
        layers = [layer for layer in self.layers if isinstance(layer, GatedLayer)]
        if layers:  # not frozen before
            post = self.conv_post.weight[..., 0]
            self.layers = nn.ModuleList(
                FoldedLayer(layer, depth=depth, post=post) for depth, layer in enumerate(layers)
            )
            self.conv_post.weight = nn.Parameter(post.new_ones(1, 1, 1))
        return self.requires_grad_(False)
