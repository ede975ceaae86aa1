"""The signal at every rate at which a constant-Q transform looks at it."""

import torch
from torch import Tensor, nn

from vocoder.dsp.cqt import double_rate, doubling_filters, halving_filters, octave_levels


class Octaves(nn.Module):
    """Audio at twice its rate, and that halved again and again, in float32.

    Shape: [B, C, T] → `octaves` * [B * C, T'], of which the first has twice as many samples.
    """

    doubling: Tensor
    halving: Tensor

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.octaves = octaves
        self.register_buffer("doubling", doubling_filters(), persistent=False)
        self.register_buffer("halving", halving_filters(), persistent=False)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """The `octave_levels`, the highest rate first."""
        with torch.autocast(audio.device.type, enabled=False):
            doubled = double_rate(audio.float().flatten(0, 1), self.doubling)
            return octave_levels(doubled, self.halving, self.octaves)
