"""Multi-scale discriminator: the waveform and copies of it at repeatedly halved rates."""

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.nn.conv import GroupedConv1d
from vocoder.nn.weight_norm import Norm, normalise

# Kernel, stride, groups, width relative to the first layer.
_LAYERS = (
    (15, 1, 1, 1),
    (41, 2, 4, 1),
    (41, 2, 16, 2),
    (41, 4, 16, 4),
    (41, 4, 16, 8),
    (41, 1, 16, 8),
    (5, 1, 1, 8),
)
_GROUPS = 16


def halve(audio: Tensor) -> Tensor:
    """Halve the rate by means of four samples, two apart, with zeros outside.

    Shape: [B, C, T] → [B, C, T // 2 + 1].
    """
    return F.avg_pool1d(audio, kernel_size=4, stride=2, padding=2)


class MultiScale(nn.Module):
    """HiFi-GAN's multi-scale discriminator: grouped convolutions on repeatedly halved audio.

    `channels` is the width of the first layer, a multiple of 16. Spectral norm on the first scale,
    weight norm on the others. Takes signals of any length with `audio_channels` channels. 29.61 M
    weights at the defaults.
    Kumar et al. 2019 (MelGAN), in the form of Kong et al. 2020 (HiFi-GAN), sec. 2.3.
    """

    joins_signals = True

    def __init__(self, *, scales: int = 3, channels: int = 128, audio_channels: int = 1) -> None:
        super().__init__()
        if scales < 1:
            raise ConfigError(f"scales is {scales}; it must be positive")
        if channels < 1 or channels % _GROUPS:
            raise ConfigError(
                f"channels is {channels}; make it a multiple of {_GROUPS}, the convolutions' groups"
            )
        self.discriminators = nn.ModuleList(
            _discriminator(channels, audio_channels, spectral=scale == 0) for scale in range(scales)
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per scale, the full rate first.   Shape: audio [B, C, T]."""
        outputs: list[DiscriminatorOutput] = []
        for discriminator in self.discriminators:
            if outputs:
                audio = halve(audio)
            outputs.append(discriminator(audio))
        return outputs


def _discriminator(channels: int, audio_channels: int, *, spectral: bool) -> ConvDiscriminator:
    norm: Norm = "spectral" if spectral else "weight"
    convs, in_channels = [], audio_channels
    for kernel, stride, groups, factor in _LAYERS:
        out_channels = channels * factor
        conv = GroupedConv1d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups)
        convs.append(normalise(conv, norm))
        in_channels = out_channels
    return ConvDiscriminator(convs, normalise(nn.Conv1d(in_channels, 1, 3, padding=1), norm))
