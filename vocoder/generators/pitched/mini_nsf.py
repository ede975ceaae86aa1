"""Mini-NSF-HiFiGAN: HiFi-GAN with one sine as its source, added at a low rate."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.nn.activation import EXIT_SLOPE, SLOPE, leaky_relu
from vocoder.nn.conv import Conv1d
from vocoder.nn.pitch import PitchEstimator
from vocoder.nn.residual import BlockKind, mrf_stages
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm

_STAGE = 2  # number of stages after which the source is added


class MiniNSFHiFiGAN(PitchedGenerator):
    """HiFi-GAN with a sine of frequency F0 added after its second stage, at the rate there.

    F0 is interpolated linearly between frames and should be so across unvoiced ones. Raises
    ConfigError for sizes that do not fit each other.

    Shape: mel [B, M, F], f0 [B, F] in Hz → audio [B, 1, F * hop_length] in [-1, 1].
    github.com/openvpi/SingingVocoders (nsf_HiFigan with mini_nsf); Kong et al. 2020 (HiFi-GAN).

    Args:
        mel: Settings of the mel spectrograms, whose hop is the product of `upsample_rates`.
        pitch: Estimates F0 where none is given.
        upsample_rates: Upsampling factor of each stage, at least two.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock: "1" (pairs of convolutions) or "2" (single convolutions).
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
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
    ) -> None:
        super().__init__(mel=mel, pitch=pitch)
        if len(upsample_rates) < _STAGE:
            raise ConfigError(f"upsample_rates {list(upsample_rates)}; give at least {_STAGE}")
        self.source_hop = math.prod(upsample_rates[:_STAGE])
        self.source_rate = mel.sample_rate / math.prod(upsample_rates[_STAGE:])
        self.conv_pre = weight_norm(Conv1d(mel.n_mels, channels, EDGE_KERNEL))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=mel.hop_length
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.source_conv = nn.Conv1d(1, widths[_STAGE - 1], 1)
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
        f0 = self.estimate(mel) if f0 is None else f0
        with torch.no_grad():
            sine = self.sine(f0)  # [B, 1, F * source_hop]
        x = self.conv_pre(mel)  # [B, C, F]
        for stage, (up, mrf) in enumerate(zip(self.ups, self.resblocks, strict=True), start=1):
            x = up(F.leaky_relu(x, SLOPE))  # [B, C / 2, T * rate]
            x = mrf(x + self.source_conv(sine) if stage == _STAGE else x)
        x = self.conv_post(F.leaky_relu(x, EXIT_SLOPE))  # [B, 1, F * hop]
        return torch.tanh(x)

    def sine(self, f0: Tensor) -> Tensor:
        """A unit sine whose frequency goes linearly from the F0 of each frame to that of the next.

        It is that of a frame at its first sample, and constant in the last frame.

        Shape: [B, F] in Hz → [B, 1, F * source_hop].
        """
        hz = f0.double()[:, None]
        step = F.pad(hz, (0, 1), mode="replicate")[..., 1:] - hz
        held, step = (x.repeat_interleave(self.source_hop, dim=-1) for x in (hz, step))
        share = (torch.ones_like(held).cumsum(-1) - 1.0) % self.source_hop / self.source_hop
        turns = ((held + step * share) / self.source_rate).cumsum(-1)
        return torch.sin(2.0 * math.pi * (turns - turns.round())).to(f0.dtype)
