"""FA-GAN: HiFi-GAN's layout, upsampled by deconvolutions without artefacts of their own."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.generators.twin import TwinDeconvolution
from vocoder.nn.activation import SLOPE, leaky_relu
from vocoder.nn.conv import Conv1d, ConvTranspose1d
from vocoder.nn.residual import BlockKind, mrf_stages
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm


class FAGAN(Generator):
    """Stages of anti-aliased twin deconvolution, each followed by fused residual blocks.

    Published: an "anti-aliased twin deconvolution module" upsamples, to avoid the high-frequency
    artefacts of plain deconvolution, and a loss compares real and imaginary parts
    (`vocoder.losses.complex`). Our choice, for want of published figures: how the module works
    (`TwinDeconvolution`); that only the last `anti_aliased` stages low-pass, since the first ones
    need images to make audio of frames (with the low-pass in every stage it hardly learned); and
    HiFi-GAN's sizes. A constant mel gives a constant, never a tone at the frame rate. Raises
    ConfigError for sizes that do not fit.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length] in [-1, 1].
    Shen et al. 2024 (FA-GAN, arXiv 2407.04575), abstract and sec. 1.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates`.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's deconvolution.
        channels: Before the first stage; each stage halves them.
        resblock: "1" (pairs of convolutions) or "2" (single convolutions).
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
        anti_aliased: Number of last stages that low-pass their output.
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
        resblock: BlockKind,
        resblock_kernel_sizes: Sequence[int],
        resblock_dilations: Sequence[Sequence[int]],
        anti_aliased: int = 1,
    ) -> None:
        super().__init__(hop_length=hop_length)
        stages = len(upsample_rates)
        if not 0 <= anti_aliased <= stages:
            raise ConfigError(
                f"anti_aliased is {anti_aliased}; there are {stages} upsample_rates, "
                f"so choose from 0 to {stages}"
            )
        self.conv_pre = weight_norm(Conv1d(n_mels, channels, EDGE_KERNEL))
        deconvs = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=hop_length
        )
        self.ups = nn.ModuleList(
            TwinDeconvolution(
                cast(ConvTranspose1d, deconv), anti_aliased=stage >= stages - anti_aliased
            )
            for stage, deconv in enumerate(deconvs)
        )
        widths = stage_widths(channels, stages)
        self.resblocks = mrf_stages(
            widths,
            resblock=resblock,
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=leaky_relu,
        )
        self.conv_post = weight_norm(Conv1d(widths[-1], 1, EDGE_KERNEL))

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        x = self.conv_pre(mel)  # [B, C, F]
        for up, mrf in zip(self.ups, self.resblocks, strict=True):
            x = mrf(up(F.leaky_relu(x, SLOPE)))  # [B, C / 2, T * rate]
        x = self.conv_post(F.leaky_relu(x, SLOPE))  # [B, 1, F * hop]
        return torch.tanh(x)
