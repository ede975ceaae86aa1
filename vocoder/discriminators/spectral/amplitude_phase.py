"""AP-BWE's pair of discriminators: one sees the amplitudes of spectra, the other the phases."""

from collections.abc import Sequence

from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.discriminators.spectral.spectrum import Spectrum, map_conv, rectangular_window
from vocoder.dsp.resolutions import Resolution, resolutions_from
from vocoder.features.mel import magnitude
from vocoder.nn.weight_norm import Norm, normalise

RESOLUTIONS = ((512, 128, 512), (1024, 256, 1024), (2048, 512, 2048))
_LAYERS = (((7, 5), (2, 2)), ((5, 3), (2, 1)), ((5, 3), (2, 2)), ((3, 3), (2, 1)), ((3, 3), (2, 2)))
_SILENT = 1e-24  # power; the gradient of a phase is 1 / magnitude, which overflows further below


def phase(bins: Tensor) -> Tensor:
    """Angles of complex bins in -π … π; those of silence are 0, without gradient."""
    power = bins.detach().abs().square()
    return bins.masked_fill(power < _SILENT, 1.0).angle()


class AmplitudeDiscriminator(ConvDiscriminator):
    """One resolution: 2-D convolutions over amplitudes, shrinking frequency more than time."""

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
        """Judge the view.   Shape: audio [B, C, T]."""
        return super().forward(self.view(self.spectrum(audio)))

    def view(self, bins: Tensor) -> Tensor:
        """What it sees of complex bins.   Shape: [B, C, K, F] → [B, C, K, F]."""
        return magnitude(bins)


class PhaseDiscriminator(AmplitudeDiscriminator):
    """The same over phases."""

    def view(self, bins: Tensor) -> Tensor:
        """What it sees of complex bins.   Shape: [B, C, K, F] → [B, C, K, F]."""
        return phase(bins)


class MultiAmplitude(nn.Module):
    """One `AmplitudeDiscriminator` per (n_fft, hop_length, win_length), every layer `channels` wide.

    Any length and any number of `audio_channels`. 0.60 M weights at the defaults.
    Lu et al. 2024 (AP-BWE), sec. III.
    """

    sub_discriminator: type[AmplitudeDiscriminator] = AmplitudeDiscriminator

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
        """One output per resolution.   Shape: audio [B, C, T]."""
        return [discriminator(audio) for discriminator in self.discriminators]


class MultiPhase(MultiAmplitude):
    """The same with `PhaseDiscriminator`s: where amplitudes are right, phases alone give a fake away."""

    sub_discriminator = PhaseDiscriminator
