"""HiFi-GAN: transposed convolutions from mel frames to samples, with residual blocks between."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.generators.base import Generator
from vocoder.nn.activation import EXIT_SLOPE, SLOPE, leaky_relu
from vocoder.nn.conv import edge_conv
from vocoder.nn.residual import BlockKind, mrf_stages
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm


class HiFiGAN(Generator):
    """Upsampling stages, each followed by the mean of residual blocks with different kernels.

    `causal` is ours. Weights are initialised as by torch: weight norm undoes the N(0, 0.01) of the
    original code. Raises ConfigError for sizes that do not fit each other.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length] in [-1, 1].
    Kong et al. 2020 (HiFi-GAN, arXiv 2010.05646), sec. 2.2.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates`.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock: "1" (pairs of convolutions, the paper's V1 and V2) or "2" (single ones, V3).
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
        causal: Whether no output depends on a later frame.
        reflect: Whether signals are extended by their reflection, as in SpeechBrain, or by zeros.
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
        causal: bool = False,
        reflect: bool = False,
    ) -> None:
        super().__init__(hop_length=hop_length)
        edges = {"causal": causal, "reflect": reflect}
        self.conv_pre = weight_norm(edge_conv(n_mels, channels, EDGE_KERNEL, **edges))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=hop_length, causal=causal
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.resblocks = mrf_stages(
            widths,
            resblock=resblock,
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=leaky_relu,
            **edges,
        )
        self.conv_post = weight_norm(edge_conv(widths[-1], 1, EDGE_KERNEL, **edges))

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        x = self.conv_pre(mel)  # [B, C, F]
        for up, mrf in zip(self.ups, self.resblocks, strict=True):
            x = mrf(up(F.leaky_relu(x, SLOPE)))  # [B, C / 2, T * rate]
        x = self.conv_post(F.leaky_relu(x, EXIT_SLOPE))  # [B, 1, F * hop]
        return torch.tanh(x)
