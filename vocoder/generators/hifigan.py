"""HiFi-GAN: transposed convolutions from mel frames to samples, refined at every rate."""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.nn.conv import ConvTranspose1d, same_padding
from vocoder.nn.residual import DilatedBlock, DilatedPairBlock
from vocoder.nn.weight_norm import weight_norm

SLOPE = 0.1
# The published networks leave the last stage with torch's default slope instead.
EXIT_SLOPE = 0.01
EDGE_KERNEL = 7

BLOCKS = {"1": DilatedPairBlock, "2": DilatedBlock}


def _leaky_relu(channels: int) -> nn.Module:
    return nn.LeakyReLU(SLOPE)


class HiFiGAN(Generator):
    """Stages of upsampling, each followed by the mean of residual blocks with unlike kernels.

    Stage i upsamples by `upsample_rates[i]` and halves the `channels`. `resblock` is "1" (pairs of
    convolutions, the paper's V1 and V2) or "2" (single convolutions, V3); block j has kernel
    `resblock_kernel_sizes[j]` and one residual step per entry of `resblock_dilations[j]`. Weights
    start at torch's default: weight norm undoes the N(0, 0.01) of the original code. Raises
    ConfigError for sizes that do not fit each other.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length] in [-1, 1].
    Kong et al. 2020 (HiFi-GAN, arXiv 2010.05646), sec. 2.2.
    """

    features = ("mel",)

    def __init__(
        self,
        *,
        n_mels: int = 80,
        hop_length: int,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        channels: int,
        resblock: Literal["1", "2"],
        resblock_kernel_sizes: Sequence[int],
        resblock_dilations: Sequence[Sequence[int]],
    ) -> None:
        super().__init__(hop_length=hop_length)
        _check_rates(hop_length, upsample_rates, upsample_kernel_sizes, channels)
        _check_blocks(resblock, resblock_kernel_sizes, resblock_dilations)
        edge = same_padding(EDGE_KERNEL)
        self.kernels = len(resblock_kernel_sizes)
        self.conv_pre = weight_norm(nn.Conv1d(n_mels, channels, EDGE_KERNEL, padding=edge))
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel_size in zip(upsample_rates, upsample_kernel_sizes, strict=True):
            up = ConvTranspose1d(channels, channels // 2, kernel_size, stride=rate)
            self.ups.append(weight_norm(up))
            channels //= 2
            for size, dilations in zip(resblock_kernel_sizes, resblock_dilations, strict=True):
                block = BLOCKS[resblock](
                    channels, kernel_size=size, dilations=dilations, activation=_leaky_relu
                )
                self.resblocks.append(block)
        self.conv_post = weight_norm(nn.Conv1d(channels, 1, EDGE_KERNEL, padding=edge))

    def forward(self, mel: Tensor) -> Tensor:
        """Audio of a batch of log-mel spectrograms."""
        x = self.conv_pre(mel)  # [B, C, F]
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))  # [B, C / 2, T * rate]
            blocks = self.resblocks[stage * self.kernels : (stage + 1) * self.kernels]
            x = reduce(add, (block(x) for block in blocks)) / self.kernels
        x = self.conv_post(F.leaky_relu(x, EXIT_SLOPE))  # [B, 1, F * hop]
        return torch.tanh(x)


def _check_rates(
    hop_length: int, rates: Sequence[int], kernel_sizes: Sequence[int], channels: int
) -> None:
    if math.prod(rates) != hop_length:
        raise ConfigError(
            f"upsample_rates {list(rates)} upsample by {math.prod(rates)} but hop_length is "
            f"{hop_length}; choose rates whose product is {hop_length}"
        )
    if len(rates) != len(kernel_sizes):
        raise ConfigError(
            f"{len(rates)} upsample_rates but {len(kernel_sizes)} upsample_kernel_sizes; "
            "give one kernel size per rate"
        )
    if channels < 1 or channels % 2 ** len(rates):
        raise ConfigError(
            f"channels {channels} cannot be halved once per upsample rate; "
            f"use a multiple of {2 ** len(rates)}"
        )


def _check_blocks(
    resblock: str, kernel_sizes: Sequence[int], dilations: Sequence[Sequence[int]]
) -> None:
    if resblock not in BLOCKS:
        raise ConfigError(f"resblock is {resblock!r}; choose from {sorted(BLOCKS)}")
    if not kernel_sizes or len(kernel_sizes) != len(dilations):
        raise ConfigError(
            f"{len(kernel_sizes)} resblock_kernel_sizes but {len(dilations)} resblock_dilations; "
            "give one list of dilations per kernel size, and at least one"
        )
