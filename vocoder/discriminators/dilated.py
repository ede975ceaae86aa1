"""Parallel WaveGAN's discriminator: dilated convolutions on the waveform."""

from torch import Tensor, nn

from vocoder.discriminators.melgan_scale import HiddenMapDiscriminator
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.nn.conv import same_padding
from vocoder.nn.weight_norm import weight_norm


class Dilated(nn.Module):
    """Parallel WaveGAN's discriminator: dilated convolutions on the waveform, a logit per sample.

    `layers` convolutions of stride 1 and kernel 3; layer i is dilated by i, the outer two are not.
    Takes signals of any length with `audio_channels` channels. 0.10 M weights at the defaults.
    Yamamoto et al. 2020 (Parallel WaveGAN), sec. 3.1.
    """

    joins_signals = True

    def __init__(self, *, layers: int = 10, channels: int = 64, audio_channels: int = 1) -> None:
        super().__init__()
        if layers < 2 or channels < 1:
            raise ConfigError(f"layers {layers} must be at least 2, channels {channels} positive")
        widths = [audio_channels] + [channels] * (layers - 1)
        convs = (
            _conv(in_channels, out_channels, max(layer, 1))
            for layer, (in_channels, out_channels) in enumerate(
                zip(widths, widths[1:], strict=False)
            )
        )
        self.discriminator = HiddenMapDiscriminator(convs, _conv(channels, 1, 1))

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output.   Shape: audio [B, C, T] → logits [B, T]."""
        return [self.discriminator(audio)]


def _conv(in_channels: int, out_channels: int, dilation: int) -> nn.Conv1d:
    padding = same_padding(3, dilation)
    return weight_norm(nn.Conv1d(in_channels, out_channels, 3, dilation=dilation, padding=padding))
