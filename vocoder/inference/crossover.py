"""Linear-phase low-pass filters, and the crossover of a recording and its extended version."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.lowpass import kaiser_sinc

_WIDTH = 0.04  # width of the transition band relative to the cutoff
_LEAST_HZ = 100.0  # least width of the transition band
_ATTENUATION_DB = 90.0


class LinearPhaseLowPass(nn.Module):
    """Linear-phase low-pass filter without delay: -90 dB above `cutoff` Hz.

    Frequencies below 0.96 `cutoff`, or `cutoff` - 100 Hz if that is lower, pass unchanged. Sample
    by sample this would be thousands of products with one number; so it is computed in blocks of
    `block` samples, as a matrix product with the filter at every shift within a block.

    Shape: [B, 1, T] → same, T a multiple of `block`.
    """

    matrix: Tensor

    def __init__(self, cutoff: float, *, sample_rate: int, block: int) -> None:
        super().__init__()
        width = min(max(_WIDTH * cutoff, _LEAST_HZ), cutoff) / sample_rate
        # Kaiser's formula as in `kaiser_sinc`; `width` is twice its half width.
        size = 2 * math.ceil((_ATTENUATION_DB - 7.95) / (2.285 * math.pi * 4.0 * width)) + 3
        cutoff = cutoff / sample_rate - width / 2
        taps = kaiser_sinc(size, cutoff=cutoff, half_width=width)
        self.block, self.reach = block, size // 2
        matrix = taps.new_zeros(block, 1, size + block - 1)
        for shift in range(block):
            matrix[shift, 0, shift : shift + size] = taps
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Filter a batch of signals, with silence beyond their ends."""
        blocks = F.conv1d(F.pad(audio, (self.reach, self.reach)), self.matrix, stride=self.block)
        return blocks.transpose(1, 2).flatten(1)[:, None]


class Crossover(nn.Module):
    """Combines a recording below `cutoff` Hz with its extended version above.

    Shape: recording [B, 1, T], wide [B, 1, T] → same, T a multiple of `block`.
    """

    def __init__(self, cutoff: float, *, sample_rate: int, block: int) -> None:
        super().__init__()
        self.below = LinearPhaseLowPass(cutoff, sample_rate=sample_rate, block=block)

    def forward(self, recording: Tensor, wide: Tensor) -> Tensor:
        """Combine the two bands; content that is equal in both inputs passes unchanged."""
        correction: Tensor = self.below(recording - wide)
        return wide + correction
