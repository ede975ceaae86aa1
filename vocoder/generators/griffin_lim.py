"""Griffin-Lim: a baseline without weights, for any MelSpec."""

import torch
from torch import Tensor

from vocoder.dsp.excitation import indexed_noise, noise_table
from vocoder.dsp.filterbank import spreading_matrix
from vocoder.dsp.stft import hann_window, istft, stft
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.base import Generator
from vocoder.kernels.chunk_invariant import chunk_invariant_matmul

_MOMENTUM = 0.99  # Perraudin et al. 2013, sec. 4
_FACTOR_STEPS = 16
_MOST_ITERATIONS = 1000


class GriffinLim(Generator):
    """Estimate non-negative magnitudes from the mel, then run `iterations` of fast Griffin-Lim.

    The magnitudes come from the multiplicative updates of Lee and Seung (1999), which give better
    audio than clipping a pseudo-inverse at zero. The initial phase is that of fixed noise, so the
    result depends on the mel alone. Griffin and Lim 1984; Perraudin et al. 2013 (momentum).

    Raises ConfigError for more than 1,000 iterations.

    Shape: mel [B, M, F] → audio [B, 1, F * hop] for "same", [B, 1, (F - 1) * hop] for "center".
    """

    features = ("mel",)
    double_precision = True

    filterbank: Tensor
    spreading: Tensor
    window: Tensor
    noise: Tensor

    def __init__(self, *, mel: MelSpec, iterations: int = 32) -> None:
        super().__init__(hop_length=mel.hop_length)
        if not 0 <= iterations <= _MOST_ITERATIONS:
            raise ConfigError(f"iterations is {iterations}; choose from 0 to {_MOST_ITERATIONS}")
        self.mel, self.iterations = mel, iterations
        filterbank = MelSpectrogram(mel).filterbank
        self.register_buffer("filterbank", filterbank, persistent=False)
        self.register_buffer("spreading", spreading_matrix(filterbank), persistent=False)
        self.register_buffer("window", hann_window(mel.win_length, mel.n_fft), persistent=False)
        self.register_buffer("noise", noise_table(), persistent=False)

    def samples(self, frames: int) -> int:
        """Exact number of audio samples for `frames` frames."""
        return (frames - (self.mel.padding == "center")) * self.hop_length

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        magnitude = self._magnitude(self.mel.expand(mel))
        samples = magnitude[:, 0].repeat_interleave(self.hop_length, dim=-1)
        if self.mel.padding == "center":
            samples = samples[:, self.hop_length :]
        start = self._analysis(indexed_noise(self.noise, samples))
        target, previous = magnitude * _direction(start), torch.zeros_like(start)
        for _ in range(self.iterations):
            consistent = self._analysis(self._synthesis(target))
            ahead = consistent + _MOMENTUM * (consistent - previous)
            previous = consistent
            target = magnitude * _direction(ahead)
        return self._synthesis(target)[:, None]

    def _magnitude(self, linear: Tensor) -> Tensor:
        """Non-negative spectrum whose mel is `linear`. Shape: [B, M, F] → [B, K, F]."""
        area = self.filterbank.sum(dim=1)[:, None].clamp_min(1e-8)
        spectrum = chunk_invariant_matmul(self.spreading, linear / area)
        for _ in range(_FACTOR_STEPS):
            ratio = linear / chunk_invariant_matmul(self.filterbank, spectrum).clamp_min(1e-8)
            spectrum = spectrum * chunk_invariant_matmul(self.spreading, ratio)
        return spectrum ** (1.0 / self.mel.power)

    def _analysis(self, audio: Tensor) -> Tensor:
        padding = self.mel.padding
        return stft(audio, self.window, hop_length=self.hop_length, padding=padding)

    def _synthesis(self, spectrum: Tensor) -> Tensor:
        padding = self.mel.padding
        return istft(spectrum, self.window, hop_length=self.hop_length, padding=padding)


def _direction(bins: Tensor) -> Tensor:
    """Bins divided by their magnitudes; zero where that is zero."""
    return bins / bins.abs().clamp_min(1e-16)
