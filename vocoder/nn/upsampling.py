"""Upsampling from frames to samples, as in HiFi-GAN and its descendants."""

import math
from collections.abc import Sequence

from torch import nn

from vocoder.errors import ConfigError
from vocoder.nn.conv import ConvTranspose1d
from vocoder.nn.weight_norm import weight_norm

EDGE_KERNEL = 7  # of the convolutions before the first stage and after the last


def stage_widths(channels: int, stages: int) -> list[int]:
    """Channels after each of `stages` stages that halve them; ConfigError if one cannot."""
    if channels < 1 or channels % 2**stages:
        raise ConfigError(
            f"channels {channels} cannot be halved once per upsample rate; "
            f"use a multiple of {2**stages}"
        )
    return [channels >> stage for stage in range(1, stages + 1)]


def require_product(rates: Sequence[int], hop_length: int) -> None:
    """Raise ConfigError unless the product of `rates` is `hop_length`."""
    if math.prod(rates) != hop_length:
        raise ConfigError(
            f"upsample_rates {list(rates)} upsample by {math.prod(rates)} but hop_length is "
            f"{hop_length}; choose rates whose product is {hop_length}"
        )


def upsampling_layers(
    channels: int,
    rates: Sequence[int],
    kernel_sizes: Sequence[int],
    *,
    hop_length: int,
    causal: bool = False,
) -> nn.ModuleList:
    """Make weight-normed transposed convolutions, one per rate, each halving the channels.

    Raises ConfigError for sizes that do not fit each other.

    Args:
        channels: Before the first convolution.
        rates: Upsampling factors.
        kernel_sizes: One per rate.
        hop_length: Product of the rates.
        causal: Whether no output depends on a later input.
    """
    require_product(rates, hop_length)
    if len(rates) != len(kernel_sizes):
        raise ConfigError(
            f"{len(rates)} upsample_rates but {len(kernel_sizes)} upsample_kernel_sizes; "
            "give one kernel size per rate"
        )
    widths = [channels, *stage_widths(channels, len(rates))]
    sizes = zip(widths, widths[1:], kernel_sizes, rates, strict=False)
    return nn.ModuleList(
        weight_norm(
            ConvTranspose1d(in_channels, out_channels, kernel_size, stride=rate, causal=causal)
        )
        for in_channels, out_channels, kernel_size, rate in sizes
    )
