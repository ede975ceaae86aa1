"""AP-BWE's pair of discriminators: one of the amplitudes of spectra, one of their phases."""

from collections.abc import Sequence

from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.discriminators.spectral.spectrum import (
    Spectrum,
    channels_last,
    map_conv,
    rectangular_window,
)
from vocoder.dsp.resolutions import Resolution, resolutions_from
from vocoder.dsp.stft import magnitude
from vocoder.nn.weight_norm import Norm, normalise

RESOLUTIONS = ((512, 128, 512), (1024, 256, 1024), (2048, 512, 2048))
_LAYERS = (((7, 5), (2, 2)), ((5, 3), (2, 1)), ((5, 3), (2, 2)), ((3, 3), (2, 1)), ((3, 3), (2, 2)))
_SILENT = 1e-24  # power; the gradient of a phase is 1 / magnitude, which overflows further below


def phase(bins: Tensor) -> Tensor:
    """Angles of complex bins in -π … π, of any shape; those of silence are 0, without gradient."""
    power = bins.detach().abs().square()
    return bins.masked_fill(power < _SILENT, 1.0).angle()


class AmplitudeDiscriminator(ConvDiscriminator):
    """Discriminator of amplitude spectra at one resolution, by strided 2-D convolutions.

    They shrink frequency more than time.   Shape: audio [B, C, T] → logits [B, N].
    """

    def __init__(
        self, resolution: Resolution, *, channels: int, audio_channels: int, norm: Norm
    ) -> None:
        widths = [audio_channels] + [channels] * len(_LAYERS)
        convs = (
            normalise(map_conv(in_channels, channels, kernel, stride=stride), norm)
            for in_channels, (kernel, stride) in zip(widths, _LAYERS, strict=False)
        )
        super().__init__(convs, normalise(map_conv(channels, 1, (3, 3)), norm))
        n_fft, hop_length, win_length = resolution
        self.spectrum = Spectrum(
            rectangular_window(win_length, n_fft), hop_length=hop_length, padding="center"
        )

    def forward(self, audio: Tensor) -> DiscriminatorOutput:
        """Score the `view` of the spectrum.   Shape: audio [B, C, T]."""
        return super().forward(channels_last(self.view(self.spectrum(audio))))

    def view(self, bins: Tensor) -> Tensor:
        """Amplitudes of complex bins.   Shape: [B, C, K, F] → [B, C, K, F]."""
        return magnitude(bins)


class PhaseDiscriminator(AmplitudeDiscriminator):
    """Discriminator of phase spectra at one resolution, by strided 2-D convolutions.

    The layers are those of `AmplitudeDiscriminator`.   Shape: audio [B, C, T] → logits [B, N].
    """

    def view(self, bins: Tensor) -> Tensor:
        """Phases of complex bins.   Shape: [B, C, K, F] → [B, C, K, F]."""
        return phase(bins)


class MultiAmplitude(nn.Module):
    """AP-BWE's discriminator of amplitude spectra at several resolutions.

    One sub-discriminator per resolution (n_fft, hop_length, win_length), every layer `channels`
    wide, with weight or spectral `norm`. Takes signals of any length with `audio_channels`
    channels. 0.60 M weights at the defaults.
    Lu et al. 2024 (AP-BWE), sec. III.
    """

    sub_discriminator: type[AmplitudeDiscriminator] = AmplitudeDiscriminator
    joins_signals = True

    def __init__(
        self,
        *,
        resolutions: Sequence[Sequence[int]] = RESOLUTIONS,
        channels: int = 64,
        audio_channels: int = 1,
        norm: Norm = "weight",
    ) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            self.sub_discriminator(
                resolution, channels=channels, audio_channels=audio_channels, norm=norm
            )
            for resolution in resolutions_from(resolutions)
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per resolution.   Shape: audio [B, C, T]."""
        return [discriminator(audio) for discriminator in self.discriminators]


class MultiPhase(MultiAmplitude):
    """AP-BWE's discriminator of phase spectra at several resolutions.

    Where amplitudes are right, only the phases tell fake from real. Arguments and size are those of
    `MultiAmplitude`.
    Lu et al. 2024 (AP-BWE), sec. III.
    """

    sub_discriminator = PhaseDiscriminator
