"""DSP-informed bandwidth extension: excite the upper band, then filter it to a predicted mel.

narrowband ─► log-mel ─► predictor ─► log-mel of the upper band ─┬─► response
     │                                                           │      │
     └───────────────────► exciter ◄─────────────────────────────┘      │
                              └─► STFT ────────────────────────────────(×)─► inverse STFT
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.filterbank import spreading_matrix
from vocoder.dsp.stft import istft, stft
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.bandwidth_extension.seanet import SEANet
from vocoder.generators.base import BandwidthExtender
from vocoder.nn.convnext import ConvNeXtBackbone

TYPICAL = -8.0  # log-mel between that of speech and that of silence, which the networks get as 0
_LOUDEST = 10.0  # above that: a bound however wrong the prediction is
EXCITATION = 0.1  # standard deviation of the white noise to which the filter gives the mel


class MelFilter(nn.Module):
    """Time-varying filter that gives white noise a log-mel; below its band the gain is 1.

    The gains of the STFT's bins are never negative, and nothing in them is learned.

    Shape: audio [B, 1, F * hop_length], mel [B, M, F] → audio.
    """

    passed: Tensor
    spreading: Tensor
    window: Tensor

    def __init__(self, mel: MelSpectrogram) -> None:
        super().__init__()
        self.mel, window, filterbank = mel.spec, mel.window, mel.filterbank
        hz = torch.linspace(0.0, self.mel.sample_rate / 2, len(window) // 2 + 1)
        passed = (hz < self.mel.f_min).float()[:, None]
        # The mean magnitude of the windowed noise, which is 0.886 of its root mean square.
        level = 0.886 * EXCITATION * window.square().sum().sqrt()
        # A band too narrow to cover a bin has no area and carries no information.
        area = filterbank.sum(dim=1).clamp_min(1e-8)
        self.register_buffer("passed", passed, persistent=False)
        self.register_buffer(
            "spreading", spreading_matrix(filterbank) / (level * area), persistent=False
        )
        self.register_buffer("window", window, persistent=False)

    def response(self, mel: Tensor) -> Tensor:
        """Compute the gain of every bin.   Shape: [B, M, F] → [B, K, F]."""
        return self.passed + self.spreading @ self.mel.expand(mel.float().clamp(max=_LOUDEST))

    def forward(self, audio: Tensor, mel: Tensor) -> Tensor:
        """Filter signals to log-mels."""
        hop_length = self.mel.hop_length
        spectrum = stft(audio[:, 0].float(), self.window, hop_length=hop_length)
        filtered: Tensor = istft(self.response(mel) * spectrum, self.window, hop_length=hop_length)
        return filtered[:, None]


class DSPInformed(BandwidthExtender):
    """Exciter of the upper band, and a filter that follows the band's predicted spectrum.

    Published: predictor, exciter and filter, and how they are connected; a non-negative response in
    the STFT domain, made of a compressed spectrum; SEANet as one of two exciters. Our choice: the
    compressed spectrum is the log-mel of the band above the lowest cutoff, and the response is
    exactly what gives it to white noise, so an output with the right spectrum has a white
    excitation; the predictor is a ConvNeXt over the log-mel below that cutoff; all sizes. Raises
    ConfigError for sizes that do not fit each other.

    Shape: narrowband [B, 1, T] → [B, 1, T].   Nercessian et al. 2024 (arXiv 2407.15624).

    Args:
        sample_rate: Of input and output in Hz.
        n_fft: Window of the STFT and of both mels in samples.
        hop_length: Samples per frame, the product of `upsample_rates`.
        n_mels: Bands of each of the two mels.
        channels: Width of the exciter's bottleneck.
        upsample_rates: Upsampling factors of the exciter's decoder.
        context_channels: Width of the predictor.
        hidden: Width inside its blocks.
        blocks: Number of its blocks.
        cutoff_range: Lowest and highest cutoff of the input in Hz.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int,
        hop_length: int,
        n_mels: int,
        channels: int,
        upsample_rates: Sequence[int],
        context_channels: int,
        hidden: int,
        blocks: int,
        cutoff_range: Sequence[float],
    ) -> None:
        super().__init__(hop_length=hop_length, cutoff_range=cutoff_range)
        lower = MelSpec(
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            win_length=n_fft,
            n_mels=n_mels,
            f_max=self.cutoff_range[0],
            power_floor=1e-9,
            mean=(TYPICAL,) * n_mels,
        )
        self.lower = MelSpectrogram(lower)
        self.upper = MelSpectrogram(replace(lower, f_min=self.cutoff_range[0], f_max=None))
        self.backbone = ConvNeXtBackbone(
            in_channels=n_mels, channels=context_channels, hidden=hidden, blocks=blocks
        )
        self.head = nn.Conv1d(context_channels, n_mels, 1)
        self.exciter = SEANet(
            condition_channels=n_mels,
            hop_length=hop_length,
            channels=channels,
            upsample_rates=upsample_rates,
        )
        self.filter = MelFilter(self.upper)

    def predict(self, narrowband: Tensor) -> Tensor:
        """Predict the log-mel of the upper band.   Shape: [B, 1, T] → [B, M, F]."""
        mel: Tensor = self.head(self.backbone(self.lower.compute(narrowband.float())))
        return mel

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        mel = self.predict(narrowband)
        audio: Tensor = self.filter(self.exciter(narrowband, mel), mel)
        return audio

    def auxiliary(self, real: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Mean absolute error of the predicted log-mel of the upper band: "acoustic"."""
        return {"acoustic": F.l1_loss(self.predict(features["narrowband"]), self.upper(real))}
