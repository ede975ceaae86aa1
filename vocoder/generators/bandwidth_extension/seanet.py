"""SEANet: a U-Net in the time domain, here with a condition."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.nn.conv import Conv1d
from vocoder.nn.residual import DilatedBlock
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm

_DILATIONS = (1, 3, 9)


class SEANet(nn.Module):
    """Residual U-Net from signal to signal, with a condition that enters at its bottleneck.

    `channels` is the width of the bottleneck, which has a step every `hop_length` samples; each of
    the `upsample_rates` halves it in the decoder, and the encoder is symmetric to that. Our choice:
    where the condition enters, residual steps of one convolution each, and wide kernels at the
    bottleneck. Raises ConfigError for sizes that do not fit each other.

    Shape: signal [B, 1, F * hop_length], condition [B, A, F] → [B, 1, F * hop_length].
    Tagliasacchi et al. 2020 (SEANet, arXiv 2009.02095), sec. 2.
    """

    def __init__(
        self,
        *,
        condition_channels: int,
        hop_length: int,
        channels: int,
        upsample_rates: Sequence[int],
    ) -> None:
        super().__init__()
        kernel_sizes = [2 * rate for rate in upsample_rates]
        self.ups = upsampling_layers(channels, upsample_rates, kernel_sizes, hop_length=hop_length)
        widths = stage_widths(channels, len(upsample_rates))
        self.conv_pre = weight_norm(Conv1d(1, widths[-1], EDGE_KERNEL))
        self.down_blocks = nn.ModuleList(map(_block, reversed(widths)))
        self.downs = nn.ModuleList(
            weight_norm(nn.Conv1d(width, 2 * width, 2 * rate, rate, padding=(rate + 1) // 2))
            for width, rate in zip(reversed(widths), reversed(upsample_rates), strict=True)
        )
        self.condition = weight_norm(Conv1d(condition_channels, channels, EDGE_KERNEL))
        self.bottom = weight_norm(Conv1d(channels, channels, EDGE_KERNEL))
        self.up_blocks = nn.ModuleList(map(_block, widths))
        self.conv_post = weight_norm(Conv1d(widths[-1], 1, EDGE_KERNEL))

    def forward(self, signal: Tensor, condition: Tensor) -> Tensor:
        """Add the network's output to the signals."""
        x: Tensor = self.conv_pre(signal)
        skips = []
        for block, down in zip(self.down_blocks, self.downs, strict=True):
            x = block(x)
            skips.append(x)
            x = down(F.elu(x))  # [B, 2 C, T / rate]
        x = self.bottom(F.elu(x + self.condition(condition)))  # [B, channels, F]
        for up, block, skip in zip(self.ups, self.up_blocks, reversed(skips), strict=True):
            x = block(up(F.elu(x)) + skip)  # [B, C / 2, T * rate]
        change: Tensor = self.conv_post(F.elu(x))
        return signal + change


def _block(channels: int) -> nn.Module:
    return DilatedBlock(channels, kernel_size=3, dilations=_DILATIONS, activation=_elu)


def _elu(_: int) -> nn.Module:
    return nn.ELU()
