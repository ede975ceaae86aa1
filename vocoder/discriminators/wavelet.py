"""Multi-scale discriminator on wavelet packets, which halve the rate without loss."""

from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.discriminators.scale import MultiScale
from vocoder.dsp.wavelet import haar
from vocoder.nn.weight_norm import weight_norm


class WaveletMultiScale(MultiScale):
    """Multi-scale discriminator that halves the rate by Haar transforms, without loss.

    The averages of `MultiScale` suppress the upper half of the band in the slower scales and alias
    the rest of it. Here scale i gets all 2**i sub-bands, mixed by a learned convolution of kernel
    1. `channels` is the width of the first layer, a multiple of 16. Takes signals of any length
    with `audio_channels` channels. 29.61 M weights at the defaults.
    Kim et al. 2021 (Fre-GAN): the down-sampling between its sub-discriminators. Its
    resolution-wise shortcuts, which feed the sub-bands to inner layers as well, are not here.
    """

    def __init__(self, *, scales: int = 3, channels: int = 128, audio_channels: int = 1) -> None:
        super().__init__(scales=scales, channels=channels, audio_channels=audio_channels)
        self.mixes = nn.ModuleList(
            weight_norm(nn.Conv1d(audio_channels * 2**scale, audio_channels, 1))
            for scale in range(1, scales)
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per scale, the full rate first.   Shape: audio [B, C, T]."""
        first, *slower = self.discriminators
        outputs, bands = [first(audio)], audio
        for discriminator, mix in zip(slower, self.mixes, strict=True):
            bands = haar(bands)  # [B, C * 2**i, T / 2**i]
            outputs.append(discriminator(mix(bands)))
        return outputs
