"""A signal at the sample rates that a constant-Q transform needs, one per octave."""

import torch
from torch import Tensor, nn

from vocoder.dsp.cqt import double_rate, doubling_filters, halving_filters, octave_levels


class Octaves(nn.Module):
    """Resample audio to twice its rate and halve that repeatedly, one signal per octave.

    Computes in float32.

    Shape: [B, C, T] → list of `octaves` tensors [B * C, T'], the first of 2 * T samples.
    """

    doubling: Tensor
    halving: Tensor

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.octaves = octaves
        self.register_buffer("doubling", doubling_filters(), persistent=False)
        self.register_buffer("halving", halving_filters(), persistent=False)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Compute the `octave_levels`, the highest rate first."""
        with torch.autocast(audio.device.type, enabled=False):
            doubled = double_rate(audio.to(self.doubling).flatten(0, 1), self.doubling)
            return octave_levels(doubled, self.halving, self.octaves)
