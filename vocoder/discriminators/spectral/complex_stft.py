"""EnCodec's multi-scale discriminator: complex spectra with several window lengths."""

from collections.abc import Sequence

from torch import Tensor, nn

from vocoder.discriminators.melgan_scale import HiddenMapDiscriminator
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.discriminators.spectral.spectrum import (
    Spectrum,
    channels_last,
    map_conv,
    real_and_imaginary,
)
from vocoder.dsp.resolutions import Resolution, resolutions_from
from vocoder.dsp.stft import hann_window
from vocoder.nn.weight_norm import Norm, normalise

_DILATIONS = (1, 2, 4)


class ComplexDiscriminator(HiddenMapDiscriminator):
    """Discriminator of complex spectra at one resolution: 2-D convolutions that halve frequency.

    Real and imaginary parts are maps of their own. Dilations in time grow from layer to layer; the
    first layer has no norm.   Shape: audio [B, C, T] → logits [B, N].
    """

    def __init__(
        self, resolution: Resolution, *, channels: int, audio_channels: int, norm: Norm
    ) -> None:
        convs = [
            map_conv(channels, channels, (3, 9), stride=(1, 2), dilation=dilation)
            for dilation in _DILATIONS
        ]
        convs += [map_conv(channels, channels, (3, 3)), map_conv(channels, 1, (3, 3))]
        *convs, conv_post = (normalise(conv, norm) for conv in convs)
        super().__init__([map_conv(2 * audio_channels, channels, (3, 9)), *convs], conv_post)
        n_fft, hop_length, win_length = resolution
        window = hann_window(win_length, n_fft)
        self.spectrum = Spectrum(window / window.norm(), hop_length=hop_length, padding="none")

    def forward(self, audio: Tensor) -> DiscriminatorOutput:
        """Score the spectrum.   Shape: audio [B, C, T]."""
        return super().forward(channels_last(real_and_imaginary(self.spectrum(audio))))


class MultiScaleComplexSTFT(nn.Module):
    """EnCodec's multi-scale discriminator of complex spectra at several resolutions.

    One `ComplexDiscriminator` per resolution (n_fft, hop_length, win_length), every layer
    `channels` wide, with weight or spectral `norm`. Takes signals of any length with
    `audio_channels` channels. 0.28 M weights at the defaults.
    Défossez et al. 2022 (EnCodec), sec. 3.4.
    """

    joins_signals = True

    def __init__(
        self,
        *,
        resolutions: Sequence[Sequence[int]] = (
            (1024, 256, 1024),
            (2048, 512, 2048),
            (512, 128, 512),
        ),
        channels: int = 32,
        audio_channels: int = 1,
        norm: Norm = "weight",
    ) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            ComplexDiscriminator(
                resolution, channels=channels, audio_channels=audio_channels, norm=norm
            )
            for resolution in resolutions_from(resolutions)
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per resolution.   Shape: audio [B, C, T]."""
        return [discriminator(audio) for discriminator in self.discriminators]
