"""Multi-resolution discriminator: magnitude spectrograms with several window lengths."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.discriminators.spectral.spectrum import (
    Spectrum,
    channels_last,
    map_conv,
    rectangular_window,
)
from vocoder.dsp.resolutions import RESOLUTIONS, Resolution, resolutions_from
from vocoder.dsp.stft import Padding, hann_window, magnitude
from vocoder.errors import ConfigError
from vocoder.nn.weight_norm import Norm, normalise

Window = Literal["rectangular", "hann"]
Axis = Literal["time", "frequency"]
_WINDOWS = {"rectangular": rectangular_window, "hann": hann_window}
_AXES = ("time", "frequency")


class ResolutionDiscriminator(ConvDiscriminator):
    """Discriminator of magnitude spectrograms at one resolution: 2-D convolutions.

    They halve one axis three times.   Shape: audio [B, C, T] → logits [B, N].

    Args:
        resolution: Sizes of the spectrogram.
        channels: Width of every layer.
        audio_channels: Channels of the signals.
        window: Window of the transform, "rectangular" or "hann".
        padding: Position of the frames, see `vocoder.dsp.stft`.
        halved: Axis that the strides halve, "time" or "frequency".
        norm: Normalisation of the weights, "weight" or "spectral".
    """

    def __init__(
        self,
        resolution: Resolution,
        *,
        channels: int,
        audio_channels: int,
        window: Window = "rectangular",
        padding: Padding = "same",
        halved: Axis = "time",
        norm: Norm = "weight",
    ) -> None:
        if window not in _WINDOWS:
            raise ConfigError(f"window is {window!r}; choose from {tuple(_WINDOWS)}")
        if halved not in _AXES:
            raise ConfigError(f"halved is {halved!r}; choose from {_AXES}")
        convs = [map_conv(audio_channels, channels, (3, 9))]
        convs += [map_conv(channels, channels, (3, 9), stride=(1, 2)) for _ in range(3)]
        convs += [map_conv(channels, channels, (3, 3)), map_conv(channels, 1, (3, 3))]
        *convs, conv_post = (normalise(conv, norm) for conv in convs)
        super().__init__(convs, conv_post)
        n_fft, hop_length, win_length = resolution
        self.spectrum = Spectrum(
            _WINDOWS[window](win_length, n_fft), hop_length=hop_length, padding=padding
        )
        self.halved = halved

    def forward(self, audio: Tensor) -> DiscriminatorOutput:
        """Score the spectrogram.   Shape: audio [B, C, T]."""
        spectrogram = self.spectrogram(audio)
        maps = spectrogram if self.halved == "time" else spectrogram.mT
        return super().forward(channels_last(maps))

    def spectrogram(self, audio: Tensor) -> Tensor:
        """Magnitudes in float32, at least one frame.   Shape: [B, C, T] → [B, C, K, F]."""
        return magnitude(self.spectrum(audio))


class MultiResolution(nn.Module):
    """UnivNet's multi-resolution discriminator: one `ResolutionDiscriminator` per resolution.

    Takes signals of any length. 0.28 M weights at the defaults.
    Jang et al. 2021 (UnivNet), sec. 2; Lee et al. 2023 (BigVGAN), whose code passes no window to
    the transform, which makes it rectangular. Li et al. 2023 (HiFTNet) with `window` "hann",
    `padding` "center", `halved` "frequency".

    Args:
        resolutions: Triples (n_fft, hop_length, win_length).
        channels: Width of every layer.
        audio_channels: Channels of the signals.
        window: Window of the transform, "rectangular" or "hann".
        padding: Position of the frames, see `vocoder.dsp.stft`.
        halved: Axis that the strides halve, "time" or "frequency".
        norm: Normalisation of the weights, "weight" or "spectral".
    """

    joins_signals = True

    def __init__(
        self,
        *,
        resolutions: Sequence[Sequence[int]] = RESOLUTIONS,
        channels: int = 32,
        audio_channels: int = 1,
        window: Window = "rectangular",
        padding: Padding = "same",
        halved: Axis = "time",
        norm: Norm = "weight",
    ) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            ResolutionDiscriminator(
                resolution,
                channels=channels,
                audio_channels=audio_channels,
                window=window,
                padding=padding,
                halved=halved,
                norm=norm,
            )
            for resolution in resolutions_from(resolutions)
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per resolution.   Shape: audio [B, C, T]."""
        return [discriminator(audio) for discriminator in self.discriminators]
