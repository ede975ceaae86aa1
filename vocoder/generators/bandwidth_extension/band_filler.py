"""Bandwidth extension by overtones of the narrow band and noise, filtered in the STFT domain.

Ours, along the lines of source-filter bandwidth extension (Makhoul and Berouti 1979; the network in
the place of the codebook): signal processing makes the excitations, and a small network predicts
the gain of each in every bin.

    narrowband ─┬─► STFT, log ─► backbone ─► gain of the overtones, gain of the noise
                │                                  │
                ├─► rectified, flattened ──────────×──┬─► inverse STFT ─┐
                ├─► noise ─────────────────────────×──┘                 + ─► audio
                └───────────────────────────────────────────────────────┘

The rectified signal has the pitch of the original and an unlimited band. A gate mutes both
excitations in silence.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.excitation import indexed_noise, noise_table
from vocoder.dsp.stft import hann_window, istft, magnitude, stft
from vocoder.generators.base import BandwidthExtender
from vocoder.nn.convnext import ConvNeXtBackbone

_FLOOR = 1e-4  # of a bin: about the rounding error of 16 bit
_SMOOTHED_BINS = 33  # over which overtones are made equally loud
_GATE = 1e-9  # mean square of a frame, -90 dBFS, at which excitations are halved
_QUIET = 16.0  # by which the table is divided: a step of the optimizer is so much larger for it
_START = -6.0  # log gain before training, in nepers


class BandFiller(BandwidthExtender):
    """Add filtered overtones and noise to the narrow band, with gains predicted by a ConvNeXt.

    The sum is not corrected: below the cutoff, the network learns to add nothing. The table of
    noise is learned too: it fluctuates less from bin to bin than random noise.

    Shape: narrowband [B, 1, T] → same, T a multiple of `hop_length`.

    Args:
        channels: Width of the backbone.
        hidden: Width inside its blocks.
        blocks: Number of its blocks.
        n_fft: Window of the STFT in samples.
        hop_length: Hop of the STFT in samples.
        cutoff_range: Lowest and highest cutoff of the input in Hz.
    """

    window: Tensor

    def __init__(
        self,
        *,
        channels: int = 256,
        hidden: int = 768,
        blocks: int,
        n_fft: int = 1024,
        hop_length: int = 256,
        cutoff_range: Sequence[float],
    ) -> None:
        super().__init__(hop_length=hop_length, cutoff_range=cutoff_range)
        bins = n_fft // 2 + 1
        self.backbone = ConvNeXtBackbone(
            in_channels=bins, channels=channels, hidden=hidden, blocks=blocks
        )
        self.head = nn.Conv1d(channels, 2 * bins, 1)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, _START)
        window = hann_window(n_fft, n_fft)
        self.register_buffer("window", window, persistent=False)
        self.noise = nn.Parameter(noise_table() / _QUIET)
        self.energy = 0.375 * n_fft  # of the window: a bin's share of white noise of unit variance

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        signal = narrowband[:, 0]
        spectrum = self._stft(signal)  # [B, K, F]
        log_magnitude = torch.log(magnitude(spectrum) + _FLOOR)
        gains = torch.exp(self.head(self.backbone(log_magnitude)).clamp(max=0.0))
        overtones, noise = gains.chunk(2, dim=1)  # [B, K, F] each
        added = overtones * self._overtones(signal) + noise * self._noise(signal)
        filled = istft(
            added * self._gate(spectrum), self.window, hop_length=self.hop_length, padding="center"
        )
        return narrowband + filled[:, None]

    def _overtones(self, signal: Tensor) -> Tensor:
        """Spectrum of the rectified signal, flattened. Shape: [B, T] → [B, K, F]."""
        spectrum = self._stft(signal.abs())
        power = (spectrum.real.square() + spectrum.imag.square())[:, None]  # [B, 1, K, F]
        around = (_SMOOTHED_BINS // 2, 0)
        smooth = F.avg_pool2d(power, (_SMOOTHED_BINS, 1), 1, around, count_include_pad=False)
        return spectrum * torch.rsqrt(smooth[:, 0] / self.energy + _GATE)

    def _noise(self, signal: Tensor) -> Tensor:
        """Spectrum of noise of unit variance. Shape: [B, T] → [B, K, F]."""
        # In training from a random position, so that the table learns no fixed alignment.
        start: Tensor | int = 0
        if self.training:
            start = torch.randint(len(self.noise), (len(signal), 1)).to(signal.device)
        return self._stft(_QUIET * indexed_noise(self.noise, signal, start))

    def _gate(self, spectrum: Tensor) -> Tensor:
        """Gain near 1 for a signal and near 0 for silence. Shape: [B, K, F] → [B, 1, F]."""
        power = spectrum.real.square() + spectrum.imag.square()
        level = power.mean(dim=1, keepdim=True) / self.energy  # mean square of a frame
        return level / (level + _GATE)

    def _stft(self, signal: Tensor) -> Tensor:
        return stft(signal, self.window, hop_length=self.hop_length, padding="center")
