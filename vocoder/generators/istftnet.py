"""iSTFTNet: HiFi-GAN's first stages, and an inverse STFT in place of the last ones."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.stft import pad_reflect
from vocoder.generators.base import Generator
from vocoder.nn.activation import EXIT_SLOPE, SLOPE, leaky_relu
from vocoder.nn.conv import Conv1d
from vocoder.nn.head import ConvISTFTHead, columns_per_frame
from vocoder.nn.residual import BlockKind, mrf_stages
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm


class ISTFTNet(Generator):
    """Upsampling stages of HiFi-GAN that predict a short-window spectrogram, then an inverse STFT.

    One column is reflected in front, so that the centered transform gives whole hops. Published are
    V1's C8C8I (rates 8, 8, then 16/4, as in the paper) and that the same is done to V2 and V3,
    whose rates here are our choice. Raises ConfigError for sizes that do not fit each other.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length].
    Kaneko et al. 2022 (iSTFTNet, arXiv 2203.02395), sec. 3.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates` and `istft_hop_length`.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock: "1" (pairs of convolutions) or "2" (single convolutions).
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
        istft_n_fft: Window of the inverse STFT in samples.
        istft_hop_length: Hop of the inverse STFT in samples.
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
        istft_n_fft: int = 16,
        istft_hop_length: int = 4,
    ) -> None:
        super().__init__(hop_length=hop_length)
        columns = columns_per_frame(
            upsample_rates, istft_hop_length=istft_hop_length, hop_length=hop_length
        )
        self.conv_pre = weight_norm(Conv1d(n_mels, channels, EDGE_KERNEL))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=columns
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.resblocks = mrf_stages(
            widths,
            resblock=resblock,
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=leaky_relu,
        )
        self.head = ConvISTFTHead(widths[-1], n_fft=istft_n_fft, hop_length=istft_hop_length)

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        x = self.conv_pre(mel)  # [B, C, F]
        for up, mrf in zip(self.ups, self.resblocks, strict=True):
            x = mrf(up(F.leaky_relu(x, SLOPE)))  # [B, C / 2, T * rate]
        x = pad_reflect(F.leaky_relu(x, EXIT_SLOPE), 1, 0)
        audio: Tensor = self.head(x)  # [B, 1, F * hop]
        return audio
