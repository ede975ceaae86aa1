"""HiFTNet: iSTFTNet with a harmonic-plus-noise source, in the time-frequency domain."""

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.stft import pad_reflect, stft
from vocoder.features.mel import MelSpec
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.kernels.chunk_invariant import make_chunk_invariant
from vocoder.nn.activation import EXIT_SLOPE, SLOPE, Snake
from vocoder.nn.conv import Conv1d
from vocoder.nn.head import ConvISTFTHead, columns_per_frame
from vocoder.nn.pitch import PitchEstimator
from vocoder.nn.residual import DilatedPairBlock, mrf_stages
from vocoder.nn.source import HarmonicSource, source_convs
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm

SOURCE_KERNELS = (7, 11)  # of the source's residual blocks: all stages but the last, the last
SOURCE_DILATIONS = (1, 3, 5)
_ROUNDING = 1e-6  # of an imaginary part, relative to the largest bin


class HiFTNet(PitchedGenerator):
    """Upsampling stages that add the source's spectrogram, then an inverse STFT.

    The source's short-window spectrogram, magnitude and phase, is brought to the rate of every
    stage by a strided convolution and refined by a residual block. Raises ConfigError for sizes
    that do not fit each other.

    Shape: mel [B, M, F], f0 [B, F] in Hz → audio [B, 1, F * hop_length].
    Li et al. 2023 (HiFTNet, arXiv 2309.09493), sec. 2.

    Args:
        mel: Settings of the mels; their hop is prod(`upsample_rates`) * `istft_hop_length`.
        pitch: Estimates F0 where none is given: `JDC`, as published, or another.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
        istft_n_fft: Window of the source's STFT and of the inverse STFT in samples.
        istft_hop_length: Hop of both in samples.
    """

    def __init__(
        self,
        *,
        mel: MelSpec,
        pitch: PitchEstimator,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        channels: int,
        resblock_kernel_sizes: Sequence[int],
        resblock_dilations: Sequence[Sequence[int]],
        istft_n_fft: int = 16,
        istft_hop_length: int = 4,
    ) -> None:
        super().__init__(mel=mel, pitch=pitch)
        columns = columns_per_frame(
            upsample_rates, istft_hop_length=istft_hop_length, hop_length=mel.hop_length
        )
        self.source = HarmonicSource(sample_rate=mel.sample_rate, hop_length=mel.hop_length)
        self.conv_pre = weight_norm(Conv1d(mel.n_mels, channels, EDGE_KERNEL))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=columns
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.noise_convs = source_convs(istft_n_fft + 2, widths, upsample_rates)
        kernels = [SOURCE_KERNELS[0]] * (len(widths) - 1) + [SOURCE_KERNELS[1]]
        self.noise_res = nn.ModuleList(
            DilatedPairBlock(width, kernel_size=size, dilations=SOURCE_DILATIONS, activation=Snake)
            for width, size in zip(widths, kernels, strict=True)
        )
        self.resblocks = mrf_stages(
            widths,
            resblock="1",
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=Snake,
        )
        self.head = ConvISTFTHead(widths[-1], n_fft=istft_n_fft, hop_length=istft_hop_length)

    def freeze(self) -> Self:
        """Prepare for inference as `Generator.freeze` does, and make the source chunk-invariant.

        Otherwise rounding would change the phase of its faint bins in a stream.
        """
        super().freeze()
        make_chunk_invariant(self.source)
        return self

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        spectrum = self._analysis(self.source(self.estimate(mel) if f0 is None else f0))
        x = self.conv_pre(mel)  # [B, C, F]
        last = len(self.ups) - 1
        for stage, (up, conv, refine, mrf) in enumerate(
            zip(self.ups, self.noise_convs, self.noise_res, self.resblocks, strict=True)
        ):
            x = up(F.leaky_relu(x, SLOPE))  # [B, C / 2, T * rate]
            # The spectrogram has a column at both ends, one more than hops.
            x = pad_reflect(x, 1, 0) if stage == last else x
            x = mrf(x + refine(conv(spectrum)))
        audio: Tensor = self.head(F.leaky_relu(x, EXIT_SLOPE))  # [B, 1, F * hop]
        return audio

    def _analysis(self, source: Tensor) -> Tensor:
        """Magnitude and phase. Shape: [B, 1, T] → [B, n_fft + 2, T / istft_hop_length + 1]."""
        head = self.head
        bins = stft(source[:, 0], head.window, hop_length=head.hop_length, padding="center")
        magnitude = bins.abs()
        # With reflect padding the first and last spectrum are real: there, rounding must not choose
        # between pi and -pi.
        real = bins.imag.abs() <= _ROUNDING * magnitude.amax(dim=1, keepdim=True)
        phase = torch.atan2(torch.where(real, 0.0, bins.imag), bins.real)
        return torch.cat([magnitude, phase], dim=1)
