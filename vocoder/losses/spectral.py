"""Spectral reconstruction losses.

All map (fake, real) of shape [B, C, T] to an unweighted scalar in float32, zero for equal signals,
finite in value and gradient for silence. Channels are compared one by one.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.resolutions import RESOLUTIONS, Resolution, resolutions_from
from vocoder.dsp.stft import hann_window, magnitude, stft
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram


class LogMelL1(nn.Module):
    """Mean absolute difference of log-mels, in the unit of the spec `mel`.

    Kong et al. 2020 (HiFi-GAN), eq. 3, where the spec has f_max = Nyquist.
    """

    def __init__(self, mel: MelSpec) -> None:
        super().__init__()
        self.mel = MelSpectrogram(mel)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        return F.l1_loss(self.mel(_mono(fake)), self.mel(_mono(real)))


class MultiScaleMel(nn.Module):
    """Sum of mean absolute log10-mel differences over several windows, with hops of a quarter.

    By default, windows of 32 to 2048 samples. `n_mels` are the bands of each window. Raises
    ConfigError unless both have as many entries.
    Kumar et al. 2023 (DAC), with the settings of BigVGAN v2.

    >>> loss = MultiScaleMel(sample_rate=24000)
    >>> audio = torch.randn(1, 1, 4096)
    >>> loss(audio, audio).item()
    0.0
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        win_lengths: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        n_mels: Sequence[int] = (5, 10, 20, 40, 80, 160, 320),
    ) -> None:
        super().__init__()
        if len(win_lengths) != len(n_mels) or not n_mels:
            raise ConfigError(
                f"win_lengths {list(win_lengths)} and n_mels {list(n_mels)} must pair up"
            )
        self.scales = nn.ModuleList(
            LogMelL1(
                MelSpec(
                    sample_rate=sample_rate,
                    n_fft=win_length,
                    hop_length=win_length // 4,
                    win_length=win_length,
                    n_mels=bands,
                    log="log10",
                    padding="center",
                )
            )
            for win_length, bands in zip(win_lengths, n_mels, strict=True)
        )

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        return torch.stack([scale(fake, real) for scale in self.scales]).sum()


class SingleResolution(nn.Module):
    """Base of losses on spectra at one resolution: provides the spectra of audio by `bins`."""

    window: Tensor

    def __init__(self, resolution: Resolution) -> None:
        super().__init__()
        self.hop_length = resolution.hop_length
        window = hann_window(resolution.win_length, resolution.n_fft)
        self.register_buffer("window", window, persistent=False)

    def bins(self, audio: Tensor) -> Tensor:
        """Complex spectra in float32, each channel a signal.   Shape: [B, C, T] → [B * C, K, F]."""
        with torch.autocast(audio.device.type, enabled=False):
            signals = _mono(audio).float()[:, 0]
            return stft(signals, self.window, hop_length=self.hop_length, padding="center")


class OverResolutions(nn.Module):
    """Mean of a loss over `resolutions`; `single` is the class of the loss at one of them."""

    def __init__(
        self, single: type[SingleResolution], resolutions: Sequence[Sequence[int]]
    ) -> None:
        super().__init__()
        self.resolutions = nn.ModuleList(map(single, resolutions_from(resolutions)))

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        return torch.stack([single(fake, real) for single in self.resolutions]).mean()


class MultiResolutionSTFT(OverResolutions):
    """Spectral convergence plus log-magnitude difference, averaged over resolutions.

    `resolutions` are (n_fft, hop_length, win_length).
    Yamamoto et al. 2020 (Parallel WaveGAN), sec. 2.2.
    """

    def __init__(self, *, resolutions: Sequence[Sequence[int]] = RESOLUTIONS) -> None:
        super().__init__(_Magnitudes, resolutions)


class MultiResolutionLogMagnitude(OverResolutions):
    """Mean absolute difference of ln(magnitude + 1e-5), averaged over resolutions.

    `resolutions` are (n_fft, hop_length, win_length).
    Su et al. 2021 (Bandwidth extension is all you need), in github.com/brentspell/hifi-gan-bwe.
    """

    def __init__(self, *, resolutions: Sequence[Sequence[int]]) -> None:
        super().__init__(_LogMagnitudes, resolutions)


class _LogMagnitudes(SingleResolution):
    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.l1_loss(self._logarithm(fake), self._logarithm(real))

    def _logarithm(self, audio: Tensor) -> Tensor:
        return torch.log(magnitude(self.bins(audio)) + 1e-5)


class _Magnitudes(SingleResolution):
    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        fake, real = self._magnitude(fake), self._magnitude(real)
        # The floor under the magnitudes keeps both the norm below and the logarithm off zero.
        distance: Tensor = torch.linalg.vector_norm(real - fake)
        size: Tensor = torch.linalg.vector_norm(real)
        log_magnitude = F.l1_loss(fake.log(), real.log())
        return distance / size + log_magnitude

    def _magnitude(self, audio: Tensor) -> Tensor:
        bins = self.bins(audio)
        return torch.sqrt((bins.real.square() + bins.imag.square()).clamp_min(1e-7))


def _mono(audio: Tensor) -> Tensor:
    """Make every channel a signal.   Shape: [B, C, T] → [B * C, 1, T]."""
    return audio.flatten(0, 1).unsqueeze(1)
