"""MelGAN's multi-scale discriminator: strided, heavily grouped convolutions at three rates."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput, activated
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.nn.conv import GroupedConv1d, ReflectConv1d
from vocoder.nn.norms.spectral import convolve
from vocoder.nn.weight_norm import weight_norm

_EDGE_KERNEL = 15
_PER_GROUP = 4


class HiddenMapDiscriminator(ConvDiscriminator):
    """Convolutions with leaky ReLU of slope 0.2 and a last linear one, whose output is the logits.

    The feature maps are those of the hidden layers; unlike in `ConvDiscriminator`, the logits are
    not among them.

    Shape: [B, C, …] → logits [B, N], feature maps [B, C', …].
    """

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Score one view of the signal."""
        feature_maps = []
        for conv in self.convs:
            x = activated(conv, x, 0.2)
            feature_maps.append(x)
        return DiscriminatorOutput(convolve(self.conv_post, x).flatten(1), feature_maps)


class ScaleDiscriminator(HiddenMapDiscriminator):
    """One scale of MelGAN's discriminator: strided, grouped convolutions on the waveform.

    Each of the `strides` multiplies the width, `channels` in the first layer, by as much as it
    divides the rate, up to `max_channels`.

    Shape: audio [B, C, T] → logits [B, N].
    """

    def __init__(
        self, strides: Sequence[int], *, channels: int, max_channels: int, audio_channels: int
    ) -> None:
        convs: list[nn.Conv1d] = [ReflectConv1d(audio_channels, channels, _EDGE_KERNEL)]
        width = channels
        for stride in strides:
            in_channels, width = width, min(width * stride, max_channels)
            kernel, groups = 10 * stride + 1, in_channels // _PER_GROUP
            conv = GroupedConv1d(in_channels, width, kernel, stride, 5 * stride, groups=groups)
            convs.append(conv)
        in_channels, width = width, min(2 * width, max_channels)
        convs.append(nn.Conv1d(in_channels, width, 5, padding=2))
        super().__init__(map(weight_norm, convs), weight_norm(nn.Conv1d(width, 1, 3, padding=1)))


def halve(audio: Tensor) -> Tensor:
    """Halve the rate by means of four samples, two apart; only samples of the signal count.

    Shape: [B, C, T] → [B, C, max(T // 2, 1)].
    """
    audio = pad_reflect(audio, 0, max(2 - audio.shape[-1], 0))
    return F.avg_pool1d(audio, kernel_size=4, stride=2, padding=1, count_include_pad=False)


class MelGANMultiScale(nn.Module):
    """MelGAN's discriminator: strided, grouped convolutions on the waveform at several rates.

    One `ScaleDiscriminator` per scale. Takes signals of any length. 16.91 M weights at the
    defaults.
    Kumar et al. 2019 (MelGAN), sec. 2.2; Yang et al. 2021 (Multi-band MelGAN) with three strides.

    Args:
        scales: Number of scales, each at half the rate of the one before.
        strides: Strides of the convolutions of every scale.
        channels: Width of the first layer, a multiple of 4.
        max_channels: Largest width of a layer, a multiple of `channels`.
        audio_channels: Channels of the signals.
    """

    joins_signals = True

    def __init__(
        self,
        *,
        scales: int = 3,
        strides: Sequence[int] = (4, 4, 4, 4),
        channels: int = 16,
        max_channels: int = 1024,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        if scales < 1 or min(strides, default=0) < 1:
            raise ConfigError(f"scales {scales} and strides {list(strides)} must be positive")
        if channels < 1 or channels % _PER_GROUP or max_channels % channels:
            raise ConfigError(
                f"channels is {channels} and max_channels {max_channels}; make the first a "
                f"multiple of {_PER_GROUP} and the second a multiple of the first"
            )
        self.discriminators = nn.ModuleList(
            ScaleDiscriminator(
                strides,
                channels=channels,
                max_channels=max_channels,
                audio_channels=audio_channels,
            )
            for _ in range(scales)
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per scale, the full rate first.   Shape: audio [B, C, T]."""
        outputs: list[DiscriminatorOutput] = []
        for discriminator in self.discriminators:
            if outputs:
                audio = halve(audio)
            outputs.append(discriminator(audio))
        return outputs
