"""Gated dilated convolutions, as in WaveNet and the generators derived from it."""

import math

import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.nn.conv import same_padding
from vocoder.nn.weight_norm import weight_norm


class GatedLayer(nn.Module):
    """Gated dilated convolution with a residual and a skip output; not causal.

    Shape: [B, C, T], condition [B, A, T] → residual [B, C, T], skip [B, S, T].
    van den Oord et al. 2016 (WaveNet), sec. 2.3; Yamamoto et al. 2020 (Parallel WaveGAN).

    Args:
        channels: Of the input and the residual output.
        gate_channels: Of the convolution: one half is the signal, the other its gate.
        skip_channels: Of the skip output.
        kernel_size: Taps; an odd number.
        dilation: Distance between taps in samples.
        condition_channels: Of a condition that is added to signal and gate, if there is one.
    """

    def __init__(
        self,
        channels: int,
        *,
        gate_channels: int,
        skip_channels: int,
        kernel_size: int,
        dilation: int,
        condition_channels: int | None = None,
    ) -> None:
        super().__init__()
        if gate_channels % 2:
            raise ConfigError(f"gate_channels is {gate_channels}; it must be even")
        padding = same_padding(kernel_size, dilation)
        self.conv = weight_norm(
            nn.Conv1d(channels, gate_channels, kernel_size, dilation=dilation, padding=padding)
        )
        self.condition: nn.Conv1d | None = None
        if condition_channels:
            conv = nn.Conv1d(condition_channels, gate_channels, 1, bias=False)
            self.condition = weight_norm(conv)
        self.out = weight_norm(nn.Conv1d(gate_channels // 2, channels, 1))
        self.skip = weight_norm(nn.Conv1d(gate_channels // 2, skip_channels, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the residual output, for the next layer, and the skip output, to be summed."""
        both = self.conv(x)
        if self.condition is not None:
            both = both + self.condition(condition)
        signal, gate = both.chunk(2, dim=1)
        y = torch.tanh(signal) * torch.sigmoid(gate)
        return (self.out(y) + x) * math.sqrt(0.5), self.skip(y)


class FoldedLayer(nn.Module):
    """Inference form of a `GatedLayer` without condition, with less arithmetic.

    tanh(a) is 2 sigmoid(2 a) - 1, so one function, and the faster one, serves both halves. Its
    factors and the square roots of all layers so far are folded into the weights: `x` after `depth`
    layers is that of the original ones times 2^(depth / 2). `skip` is `post` [O, S] times that of
    `layer`, for sums that a linear layer follows. Takes over the layer's weights.

    Shape: [B, C, T] → residual [B, C, T], skip [B, O, T].
    """

    @torch.no_grad()
    def __init__(self, layer: GatedLayer, *, depth: int, post: Tensor) -> None:
        super().__init__()
        self.conv, self.out, self.skip = layer.conv, layer.out, layer.skip
        level = math.sqrt(0.5) ** depth
        twice = post.new_ones(self.conv.out_channels, 1)
        twice[: len(twice) // 2] = 2.0
        _scale(self.conv, level * twice[..., None], twice[:, 0])
        _scale(self.out, 2.0 / level, 1.0 / level)
        assert self.skip.bias is not None
        self.skip.weight = nn.Parameter(2.0 * (post @ self.skip.weight[..., 0])[..., None])
        self.skip.bias = nn.Parameter(post @ self.skip.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the residual output, for the next layer, and the skip output, to be summed."""
        signal, gate = torch.sigmoid(self.conv(x)).chunk(2, dim=1)
        y = (signal - 0.5) * gate
        return self.out(y) + x, self.skip(y)


def _scale(conv: nn.Conv1d, weight: Tensor | float, bias: Tensor | float) -> None:
    assert conv.bias is not None
    # New weights: others may still hold the old ones.
    conv.weight = nn.Parameter(conv.weight * weight)
    conv.bias = nn.Parameter(conv.bias * bias)
