"""NSF-HiFiGAN: HiFi-GAN with a harmonic-plus-noise source that sets pitch and phase."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.features.mel import MelSpec
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.nn.activation import EXIT_SLOPE, SLOPE, leaky_relu
from vocoder.nn.conv import Conv1d
from vocoder.nn.pitch import PitchEstimator
from vocoder.nn.residual import BlockKind, mrf_stages
from vocoder.nn.source import HarmonicSource, source_convs
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm


class NSFHiFiGAN(PitchedGenerator):
    """HiFi-GAN with the source signal added after the upsampling of each stage, at its rate.

    Published (github.com/openvpi/SingingVocoders, nsf_HiFigan) is the layout with its figures for
    singing at 44.1 kHz. Ours are the estimator, so that a mel is enough, and the source's phase,
    interpolated between frames unless `held_f0`. Raises ConfigError for sizes that do not fit each
    other.

    Shape: mel [B, M, F], f0 [B, F] in Hz → audio [B, 1, F * hop_length] in [-1, 1].
    Wang et al. 2019 (NSF, arXiv 1904.12088); Kong et al. 2020 (HiFi-GAN).

    Args:
        mel: Settings of the mel spectrograms, whose hop is the product of `upsample_rates`.
        pitch: Estimates F0 where none is given.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock: "1" (pairs of convolutions) or "2" (single convolutions).
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
        held_f0: Whether F0 is constant for each frame, as published.
    """

    def __init__(
        self,
        *,
        mel: MelSpec,
        pitch: PitchEstimator,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        channels: int,
        resblock: BlockKind,
        resblock_kernel_sizes: Sequence[int],
        resblock_dilations: Sequence[Sequence[int]],
        held_f0: bool = False,
    ) -> None:
        super().__init__(mel=mel, pitch=pitch)
        self.source = HarmonicSource(
            sample_rate=mel.sample_rate, hop_length=mel.hop_length, held=held_f0
        )
        self.conv_pre = weight_norm(Conv1d(mel.n_mels, channels, EDGE_KERNEL))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=mel.hop_length
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.noise_convs = source_convs(1, widths, upsample_rates)
        self.resblocks = mrf_stages(
            widths,
            resblock=resblock,
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=leaky_relu,
        )
        self.conv_post = weight_norm(Conv1d(widths[-1], 1, EDGE_KERNEL))

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        source = self.source(self.estimate(mel) if f0 is None else f0)  # [B, 1, F * hop]
        x = self.conv_pre(mel)  # [B, C, F]
        for up, conv, mrf in zip(self.ups, self.noise_convs, self.resblocks, strict=True):
            x = mrf(up(F.leaky_relu(x, SLOPE)) + conv(source))  # [B, C / 2, T * rate]
        x = self.conv_post(F.leaky_relu(x, EXIT_SLOPE))  # [B, 1, F * hop]
        return torch.tanh(x)
