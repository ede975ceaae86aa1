"""EVA-GAN: a context module of large receptive field over frames, then HiFi-GAN with SiLU."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.generators.base import Generator
from vocoder.nn.conv import Conv1d
from vocoder.nn.convnext import ConvNeXtBackbone
from vocoder.nn.residual import BlockKind, mrf_stages
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm


class EVAGAN(Generator):
    """Context blocks over the mel frames, then upsampling stages with fused residual blocks.

    Published: residual blocks with large kernels before a HiFi-GAN trunk, SiLU in the trunk, about
    200 M weights at 44.1 kHz. Our choice, for want of published figures: the context blocks are
    ConvNeXt's; all sizes. Raises ConfigError for sizes that do not fit each other.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length] in [-1, 1].
    Liao et al. 2024 (EVA-GAN, arXiv 2402.00892), fig. 1.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates`.
        context_channels: Width of the context blocks.
        hidden: Width inside a context block.
        blocks: Number of context blocks.
        kernel_size: Of the convolution in a context block, in frames.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock: "1" (pairs of convolutions) or "2" (single convolutions).
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
    """

    features = ("mel",)

    def __init__(
        self,
        *,
        n_mels: int,
        hop_length: int,
        context_channels: int,
        hidden: int,
        blocks: int,
        kernel_size: int,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        channels: int,
        resblock: BlockKind = "1",
        resblock_kernel_sizes: Sequence[int] = (3, 7, 11),
        resblock_dilations: Sequence[Sequence[int]] = ((1, 3, 5),) * 3,
    ) -> None:
        super().__init__(hop_length=hop_length)
        self.context = ConvNeXtBackbone(
            in_channels=n_mels,
            channels=context_channels,
            hidden=hidden,
            blocks=blocks,
            kernel_size=kernel_size,
        )
        self.conv_pre = weight_norm(Conv1d(context_channels, channels, EDGE_KERNEL))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=hop_length
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.resblocks = mrf_stages(
            widths,
            resblock=resblock,
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=lambda _: nn.SiLU(),
        )
        self.conv_post = weight_norm(Conv1d(widths[-1], 1, EDGE_KERNEL))

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        x = self.conv_pre(self.context(mel))  # [B, C, F]
        for up, mrf in zip(self.ups, self.resblocks, strict=True):
            x = mrf(up(F.silu(x)))  # [B, C / 2, T * rate]
        x = self.conv_post(F.silu(x))  # [B, 1, F * hop]
        return torch.tanh(x)
