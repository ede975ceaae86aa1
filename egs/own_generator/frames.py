"""A generator outside the package, trained and used by the `vocoder` command: see egs/README.md."""

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.generators.base import Generator


class Frames(Generator):
    """Two convolutions from mel frames to the samples of their hops: small, fast and rough.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length].
    """

    features = ("mel",)

    def __init__(self, *, n_mels: int, hop_length: int, channels: int) -> None:
        super().__init__(hop_length=hop_length)
        self.context = nn.Conv1d(n_mels, channels, 7, padding=3)
        self.samples_of_hop = nn.Conv1d(channels, hop_length, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """Audio from a mel, which may have any number of frames."""
        hops = self.samples_of_hop(F.gelu(self.context(mel)))  # [B, hop_length, F]
        return hops.transpose(1, 2).flatten(1)[:, None]
