"""Multi-resolution discriminator: magnitude spectrograms with several window lengths."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vocoder.discriminators.verdict import ConvJudge, Verdict
from vocoder.dsp.resolutions import RESOLUTIONS, Resolution, resolutions_from
from vocoder.dsp.stft import pad_reflect, stft
from vocoder.features.mel import magnitude


class ResolutionJudge(ConvJudge):
    """One resolution: 2-D convolutions over a magnitude spectrogram, halving time."""

    window: Tensor

    def __init__(self, resolution: Resolution, *, channels: int, audio_channels: int) -> None:
        convs = [_conv(audio_channels, channels, (3, 9))]
        convs += [_conv(channels, channels, (3, 9), stride=(1, 2)) for _ in range(3)]
        convs += [_conv(channels, channels, (3, 3))]
        super().__init__(convs, _conv(channels, 1, (3, 3)))
        self.resolution = resolution
        n_fft, _, win_length = resolution
        left = (n_fft - win_length) // 2
        # The papers' code passes no window to the transform, which makes it rectangular.
        window = F.pad(torch.ones(win_length), (left, n_fft - win_length - left))
        self.register_buffer("window", window, persistent=False)

    def forward(self, audio: Tensor) -> Verdict:
        """Judge the spectrogram.   Shape: audio [B, C, T]."""
        return super().forward(self.spectrogram(audio))

    def spectrogram(self, audio: Tensor) -> Tensor:
        """Magnitudes in float32, at least one frame.   Shape: [B, C, T] → [B, C, K, F]."""
        hop_length = self.resolution.hop_length
        with torch.autocast(audio.device.type, enabled=False):
            signals = audio.float().flatten(0, 1)
            signals = pad_reflect(signals, 0, max(hop_length - audio.shape[-1], 0))
            spectrum = magnitude(stft(signals, self.window, hop_length=hop_length))
        return spectrum.reshape(*audio.shape[:2], *spectrum.shape[1:])


class MultiResolution(nn.Module):
    """One `ResolutionJudge` per (n_fft, hop_length, win_length), every layer `channels` wide.

    Any length and any number of `audio_channels`. 0.28 M weights at the defaults.
    Jang et al. 2021 (UnivNet), sec. 2; Lee et al. 2023 (BigVGAN).
    """

    def __init__(
        self,
        *,
        resolutions: Sequence[Sequence[int]] = RESOLUTIONS,
        channels: int = 32,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            ResolutionJudge(resolution, channels=channels, audio_channels=audio_channels)
            for resolution in resolutions_from(resolutions)
        )

    def forward(self, audio: Tensor) -> list[Verdict]:
        """One verdict per resolution.   Shape: audio [B, C, T]."""
        return [judge(audio) for judge in self.discriminators]


def _conv(
    below: int, above: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)
) -> nn.Module:
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv: nn.Module = weight_norm(nn.Conv2d(below, above, kernel, stride, padding))
    return conv
