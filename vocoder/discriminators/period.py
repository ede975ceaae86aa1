"""Multi-period discriminator: 2-D convolutions on the waveform folded by several periods."""

from collections.abc import Sequence

from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.nn.weight_norm import Norm, normalise


def fold(audio: Tensor, period: int) -> Tensor:
    """Fold a signal into rows of `period` samples, padding its tail by reflection.

    Shape: [B, C, T] → [B, C, ceil(T / period), period].   Kong et al. 2020, sec. 2.3.

    >>> import torch
    >>> fold(torch.arange(1.0, 6.0)[None, None], 2)[0, 0].tolist()
    [[1.0, 2.0], [3.0, 4.0], [5.0, 4.0]]
    """
    padded = pad_reflect(audio, 0, -audio.shape[-1] % period)
    return padded.reshape(*audio.shape[:-1], -1, period)


class PeriodDiscriminator(ConvDiscriminator):
    """Discriminator of one period: convolutions on the folded signal that never mix its columns.

    Args:
        period: Samples in a row of the folded signal, see `fold`.
        channels: Width of the first layer.
        audio_channels: Channels of the signals.
        first_map: Whether the first layer's output is among the feature maps.
        norm: Normalisation of the weights, "weight" or "spectral".
    """

    def __init__(
        self,
        period: int,
        *,
        channels: int,
        audio_channels: int,
        first_map: bool = True,
        norm: Norm = "weight",
    ) -> None:
        widths = [audio_channels, *(channels * factor for factor in (1, 4, 16, 32, 32))]
        strides = (3, 3, 3, 3, 1)
        convs = (
            normalise(nn.Conv2d(in_channels, out_channels, (5, 1), (stride, 1), (2, 0)), norm)
            for in_channels, out_channels, stride in zip(widths, widths[1:], strides, strict=False)
        )
        conv_post = normalise(nn.Conv2d(widths[-1], 1, (3, 1), 1, (1, 0)), norm)
        super().__init__(convs, conv_post, first_map=first_map)
        self.period = period

    def forward(self, audio: Tensor) -> DiscriminatorOutput:
        """Score the signal folded by the period.   Shape: audio [B, C, T] → logits [B, N]."""
        return super().forward(fold(audio, self.period))


class MultiPeriod(nn.Module):
    """HiFi-GAN's multi-period discriminator: one `PeriodDiscriminator` per period.

    Takes signals of any length. 41.09 M weights at the defaults.
    Kong et al. 2020 (HiFi-GAN), sec. 2.3.

    Args:
        periods: Periods in samples.
        channels: Width of the first layer.
        audio_channels: Channels of the signals.
        first_map: Whether the first layer's output is a feature map; False in Vocos and AP-BWE.
        norm: Normalisation of the weights, "weight" or "spectral".
    """

    joins_signals = True

    def __init__(
        self,
        *,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        channels: int = 32,
        audio_channels: int = 1,
        first_map: bool = True,
        norm: Norm = "weight",
    ) -> None:
        super().__init__()
        if min(periods, default=0) < 1 or channels < 1:
            raise ConfigError(f"periods {list(periods)} and channels {channels} must be positive")
        self.discriminators = nn.ModuleList(
            PeriodDiscriminator(
                period,
                channels=channels,
                audio_channels=audio_channels,
                first_map=first_map,
                norm=norm,
            )
            for period in periods
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per period.   Shape: audio [B, C, T]."""
        return [discriminator(audio) for discriminator in self.discriminators]
