"""Gated dilated convolutions, as WaveNet and the generators after it use them."""

import math

import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.nn.conv import same_padding
from vocoder.nn.weight_norm import weight_norm


class GatedLayer(nn.Module):
    """One dilated convolution with a gate, that sees a condition and answers twice.

    Half of the `gate_channels` are the signal, the others let it pass. Not causal.

    Shape: [B, C, T], condition [B, A, T] → onward [B, C, T], skip [B, S, T].
    van den Oord et al. 2016 (WaveNet), sec. 2.3; Yamamoto et al. 2020 (Parallel WaveGAN).
    """

    def __init__(
        self,
        channels: int,
        *,
        gate_channels: int,
        skip_channels: int,
        condition_channels: int,
        kernel_size: int,
        dilation: int,
    ) -> None:
        super().__init__()
        if gate_channels % 2:
            raise ConfigError(f"gate_channels is {gate_channels}; it must be even")
        padding = same_padding(kernel_size, dilation)
        self.conv = weight_norm(
            nn.Conv1d(channels, gate_channels, kernel_size, dilation=dilation, padding=padding)
        )
        self.condition = weight_norm(nn.Conv1d(condition_channels, gate_channels, 1, bias=False))
        self.out = weight_norm(nn.Conv1d(gate_channels // 2, channels, 1))
        self.skip = weight_norm(nn.Conv1d(gate_channels // 2, skip_channels, 1))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """What goes on to the next layer, and what goes straight to the end."""
        signal, gate = (self.conv(x) + self.condition(condition)).chunk(2, dim=1)
        y = torch.tanh(signal) * torch.sigmoid(gate)
        return (self.out(y) + x) * math.sqrt(0.5), self.skip(y)
