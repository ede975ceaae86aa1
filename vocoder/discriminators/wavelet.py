"""Multi-scale discriminator whose slower copies of the waveform lose nothing: wavelet packets."""

from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.discriminators.scale import MultiScale
from vocoder.dsp.wavelet import haar
from vocoder.nn.weight_norm import weight_norm


class WaveletMultiScale(MultiScale):
    """`MultiScale` with a Haar transform for every average that halves the rate.

    Averages hide the upper half of the band from the slower scales and alias the rest into it. Here
    scale i gets all 2**i sub-bands, mixed by a learned convolution of kernel 1. Any length and any
    number of `audio_channels`. 29.61 M weights at the defaults.
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
        """One output per scale, the full rate first.   Shape: audio [B, C, T]."""
        first, *slower = self.discriminators
        outputs, bands = [first(audio)], audio
        for discriminator, mix in zip(slower, self.mixes, strict=True):
            bands = haar(bands)  # [B, C * 2**i, T / 2**i]
            outputs.append(discriminator(mix(bands)))
        return outputs
