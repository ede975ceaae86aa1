"""Iterative correction of a spectrogram towards that of a signal with a given mel."""

import math

import torch
from torch import Tensor, nn

from vocoder.dsp.filterbank import spreading_matrix
from vocoder.dsp.stft import hann_window, istft, magnitude, stft
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.kernels.chunk_invariant import chunk_invariant_linear


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
    bands: Tensor
    spreading: Tensor
    uncovered: Tensor

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
        uncovered = (spreading.sum(dim=1) == 0).float()  # the gain of bins without a band
        self.register_buffer("uncovered", uncovered, persistent=False)
        self.top = math.ceil(
            mel.top_hz * mel.n_fft / mel.sample_rate
        )  # bins below the top band's end
        bands = analysis.filterbank[:, : self.top].contiguous()
        self.register_buffer("bands", bands, persistent=False)
        self.momentum = nn.Parameter(torch.full((iterations,), 0.5))
        self.exponent = nn.Parameter(torch.ones(iterations))

    @property
    def reach(self) -> int:
        """Frames before and after a frame on which its samples depend."""
        return (self.iterations + 1) * self.overlap

    @property
    def overlap(self) -> int:
        """Frames before and after that a synthesis and an analysis draw on."""
        return (len(self.window) - 1) // self.hop_length

    def forward(self, spectrum: Tensor, mel: Tensor) -> Tensor:
        """Compute a signal whose mel approximates `mel` (linear magnitudes), from `spectrum`.

        Shape: spectrum [B, K, F] complex, mel [B, M, F] → [B, F * hop_length].
        """
        target = mel.mT.contiguous()  # frame by frame, as transforms have their bins: [B, F, M]
        audio = istft(spectrum, self.window, hop_length=self.hop_length)
        previous = None
        for step in range(self.iterations):
            ahead = audio
            if previous is not None:  # of the signal, as it is shorter than its spectrogram
                ahead = audio + self.momentum[step] * (audio - previous)
            previous = audio
            bins = stft(ahead, self.window, hop_length=self.hop_length).mT  # [B, F, K]
            current = chunk_invariant_linear(magnitude(bins[..., : self.top]), self.bands)
            # A quiet bin can need a large factor, but not one that turns rounding errors to signal.
            ratio = (target / current.clamp_min(1e-6)).clamp(1e-3, 1e3)
            factor = torch.exp(self.exponent[step] * torch.log(ratio))
            gain = chunk_invariant_linear(factor, self.spreading, self.uncovered)
            audio = istft((bins * gain).mT, self.window, hop_length=self.hop_length)
        return audio
