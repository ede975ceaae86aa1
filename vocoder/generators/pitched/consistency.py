"""Iterative correction of a spectrogram towards that of a signal with a given mel."""

import torch
from torch import Tensor, nn

from vocoder.dsp.chunk_invariant import chunk_invariant_matmul
from vocoder.dsp.filterbank import spreading_matrix
from vocoder.dsp.stft import hann_window, istft, magnitude, stft
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram


class MelConsistency(nn.Module):
    """Correct a spectrogram towards a mel by unrolled iterations of synthesis and analysis.

    Griffin and Lim (1984) alternate between the spectrograms that a signal can have and those with
    the target magnitude, here with the momentum of Perraudin et al. (2013). Only a mel is given, so
    instead of replacing the magnitude each iteration multiplies it, per bin, by the mean ratio of
    target to current mel over the bands that cover the bin: the update of Lee and Seung's
    non-negative factorisation (1999), which preserves the harmonic fine structure. Momentum and the
    exponent of the correction are learned, one each per iteration. Bins above the top band are not
    corrected. Raises ConfigError unless `mel` is of magnitudes with the padding "same".
    """

    window: Tensor
    filterbank: Tensor
    spreading: Tensor
    covered: Tensor

    def __init__(self, mel: MelSpec, *, iterations: int) -> None:
        super().__init__()
        if mel.power != 1 or mel.padding != "same":
            raise ConfigError(
                'MelConsistency needs a mel of magnitudes with padding "same", '
                f'not power {mel.power} with padding "{mel.padding}"'
            )
        analysis = MelSpectrogram(mel)
        spreading = spreading_matrix(analysis.filterbank)
        self.hop_length, self.iterations = mel.hop_length, iterations
        self.register_buffer("window", hann_window(mel.win_length, mel.n_fft), persistent=False)
        self.register_buffer("filterbank", analysis.filterbank, persistent=False)
        self.register_buffer("spreading", spreading, persistent=False)
        covered = spreading.sum(dim=1, keepdim=True) > 0
        self.register_buffer("covered", covered, persistent=False)
        self.momentum = nn.Parameter(torch.full((iterations,), 0.5))
        self.exponent = nn.Parameter(torch.ones(iterations))

    def spread(self, per_band: Tensor, outside: Tensor | float) -> Tensor:
        """Mean of `per_band` over the bands that cover each bin; `outside` where none does.

        Shape: [B, M, F] → [B, K, F].
        """
        return torch.where(self.covered, chunk_invariant_matmul(self.spreading, per_band), outside)

    def forward(self, spectrum: Tensor, mel: Tensor) -> Tensor:
        """Compute a signal whose mel approximates `mel` (linear magnitudes), from `spectrum`.

        Shape: spectrum [B, K, F] complex, mel [B, M, F] → [B, F * hop_length].
        """
        audio = istft(spectrum, self.window, hop_length=self.hop_length)
        previous = None
        for step in range(self.iterations):
            consistent = stft(audio, self.window, hop_length=self.hop_length)
            ahead = consistent
            if previous is not None:
                ahead = consistent + self.momentum[step] * (consistent - previous)
            previous = consistent
            current = chunk_invariant_matmul(self.filterbank, magnitude(ahead))
            # A quiet bin can need a large factor, but not one that turns rounding errors to signal.
            ratio = (mel / current.clamp_min(1e-6)).clamp(1e-3, 1e3)
            gain = self.spread((ratio.double() ** self.exponent[step]).to(mel.dtype), 1.0)
            audio = istft(ahead * gain, self.window, hop_length=self.hop_length)
        return audio
