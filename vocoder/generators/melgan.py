"""MelGAN: transposed convolutions with residual stacks, for the full band or for sub-bands."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.pqmf import pqmf_filters, pqmf_synthesis
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.nn.conv import ReflectConv1d
from vocoder.nn.upsampling import stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm

SLOPE = 0.2


class ResidualStack(nn.Module):
    """Dilated and pointwise convolution, added to a learned shortcut.

    Shape: [B, C, T] → same.   Kumar et al. 2019 (MelGAN), sec. 2.1.
    """

    def __init__(self, channels: int, *, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.conv = weight_norm(ReflectConv1d(channels, channels, kernel_size, dilation=dilation))
        self.mix = weight_norm(nn.Conv1d(channels, channels, 1))
        self.shortcut = weight_norm(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add the convolutions' output to the shortcut."""
        y = self.conv(F.leaky_relu(x, SLOPE))
        corrected: Tensor = self.shortcut(x) + self.mix(F.leaky_relu(y, SLOPE))
        return corrected


class MelGAN(Generator):
    """Upsampling stages, each followed by residual stacks of growing dilation.

    Stack j of a stage is dilated by `stack_kernel_size` ** j. Weights are initialised as by torch:
    weight norm undoes the N(0, 0.02) of the original code. Raises ConfigError for sizes that do not
    fit each other.

    Shape: mel [B, M, F] → audio [B, out_channels, F * hop_length] in [-1, 1].
    Kumar et al. 2019 (MelGAN, arXiv 1910.06711), sec. 2.1.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates`.
        upsample_rates: Upsampling factor of each stage, whose kernel has twice that size.
        channels: Before the first stage; each stage halves them.
        stacks: Residual stacks per stage.
        kernel_size: Of the first and last convolution.
        stack_kernel_size: Of the dilated convolutions.
        out_channels: 1, or the number of sub-bands of one signal.
    """

    features = ("mel",)

    def __init__(
        self,
        *,
        n_mels: int = 80,
        hop_length: int,
        upsample_rates: Sequence[int],
        channels: int,
        stacks: int,
        kernel_size: int = 7,
        stack_kernel_size: int = 3,
        out_channels: int = 1,
    ) -> None:
        super().__init__(hop_length=hop_length)
        if stacks < 1 or out_channels < 1:
            raise ConfigError(f"stacks {stacks} and out_channels {out_channels} must be positive")
        kernels = [2 * rate for rate in upsample_rates]
        widths = stage_widths(channels, len(upsample_rates))
        self.conv_pre = weight_norm(ReflectConv1d(n_mels, channels, kernel_size))
        self.ups = upsampling_layers(channels, upsample_rates, kernels, hop_length=hop_length)
        self.stacks = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualStack(
                        width, kernel_size=stack_kernel_size, dilation=stack_kernel_size**depth
                    )
                    for depth in range(stacks)
                )
            )
            for width in widths
        )
        self.conv_post = weight_norm(ReflectConv1d(widths[-1], out_channels, kernel_size))

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        x = self.conv_pre(mel)  # [B, C, F]
        for up, stack in zip(self.ups, self.stacks, strict=True):
            x = stack(up(F.leaky_relu(x, SLOPE)))  # [B, C / 2, T * rate]
        return torch.tanh(self.conv_post(F.leaky_relu(x, SLOPE)))  # [B, bands, F * hop]


class MultiBandMelGAN(Generator):
    """MelGAN that generates sub-bands at a fraction of the sample rate, then PQMF synthesis.

    `taps`, `cutoff` and `beta` suit 4 bands by default. Raises ConfigError for sizes that do not
    fit each other.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length].
    Yang et al. 2021 (Multi-band MelGAN, arXiv 2005.05106), sec. 2.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates` times `bands`.
        upsample_rates: Upsampling factor of each stage.
        channels: Before the first stage; each stage halves them.
        stacks: Residual stacks per stage.
        bands: Sub-bands of the filter bank.
        taps: Of its prototype, as in `pqmf_filters`.
        cutoff: Of its prototype, as in `pqmf_filters`.
        beta: Of its prototype's Kaiser window, as in `pqmf_filters`.
    """

    features = ("mel",)

    filters: Tensor

    def __init__(
        self,
        *,
        n_mels: int = 80,
        hop_length: int,
        upsample_rates: Sequence[int],
        channels: int,
        stacks: int,
        bands: int = 4,
        taps: int = 62,
        cutoff: float = 0.142,
        beta: float = 9.0,
    ) -> None:
        super().__init__(hop_length=hop_length)
        filters = pqmf_filters(bands, taps=taps, cutoff=cutoff, beta=beta)
        self.register_buffer("filters", filters, persistent=False)
        if hop_length % bands:
            raise ConfigError(f"hop_length {hop_length} is not a multiple of the {bands} bands")
        self.subbands = MelGAN(
            n_mels=n_mels,
            hop_length=hop_length // bands,
            upsample_rates=upsample_rates,
            channels=channels,
            stacks=stacks,
            out_channels=bands,
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        return pqmf_synthesis(self.subbands(mel), self.filters)
