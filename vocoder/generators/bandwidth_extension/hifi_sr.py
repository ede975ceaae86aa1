"""HiFi-SR: a transformer from the narrow-band mel to a full-band latent, then HiFi-GAN."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.bandwidth_extension.mossformer import MaskNet
from vocoder.generators.base import BandwidthExtender
from vocoder.nn.activation import Snake
from vocoder.nn.conv import Conv1d
from vocoder.nn.residual import mrf_stages
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm


class HiFiSR(BandwidthExtender):
    """`MaskNet` from the log-mel of the narrow band to a latent, then HiFi-GAN with `Snake`.

    The network depends on the whole recording at once and cannot stream. It generates all of the
    audio, the narrow band included. Raises ConfigError for sizes that do not fit each other, and
    for a centered `mel`.

    Shape: narrowband [B, 1, T] → same, T a multiple of `mel.hop_length`, in [-1, 1].
    Zhao et al. 2025 (HiFi-SR, arXiv 2501.10045).

    Args:
        mel: Settings of the mels; their hop is the product of `upsample_rates`.
        hidden: Width of the mask net.
        blocks: Number of its blocks.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
        cutoff_range: Lowest and highest cutoff of the input in Hz.
    """

    def __init__(
        self,
        *,
        mel: MelSpec,
        hidden: int = 512,
        blocks: int = 24,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        channels: int,
        resblock_kernel_sizes: Sequence[int],
        resblock_dilations: Sequence[Sequence[int]],
        cutoff_range: Sequence[float],
    ) -> None:
        super().__init__(hop_length=mel.hop_length, cutoff_range=cutoff_range)
        if mel.padding != "same":
            raise ConfigError(
                f"generator.mel.padding is {mel.padding!r}, which adds a frame; use 'same'"
            )
        self.mel = MelSpectrogram(mel)
        self.mask_net = MaskNet(mel.n_mels, channels=hidden, blocks=blocks)
        self.conv_pre = weight_norm(Conv1d(mel.n_mels, channels, EDGE_KERNEL))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=mel.hop_length
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.activations = nn.ModuleList(Snake(width) for width in [channels, *widths])
        self.resblocks = mrf_stages(
            widths,
            resblock="1",
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=Snake,
        )
        self.conv_post = weight_norm(Conv1d(widths[-1], 1, EDGE_KERNEL))

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        x = self.conv_pre(self.mask_net(self.mel.compute(narrowband)))  # [B, C, F]
        *before, last = self.activations
        for activation, up, mrf in zip(before, self.ups, self.resblocks, strict=True):
            x = mrf(up(activation(x)))  # [B, C / 2, T * rate]
        return torch.tanh(self.conv_post(last(x)))  # [B, 1, F * hop]
