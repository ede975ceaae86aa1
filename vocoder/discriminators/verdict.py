"""What a discriminator answers, and the ensemble that collects the answers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class Verdict(NamedTuple):
    """One network's judgement of a signal.

    `logits` [B, N] are the scores, high for real. `features` are the maps that feature matching
    compares: which ones is the paper's choice, in HiFi-GAN every layer including the last.
    """

    logits: Tensor
    features: list[Tensor]


class Discriminators(nn.ModuleDict):
    """The whole ensemble by name. Each member maps audio [B, C, T] to a list of verdicts."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(dict(modules))

    def forward(self, audio: Tensor) -> list[Verdict]:
        """Verdicts of all members in order.   Shape: [B, C, T] → N verdicts."""
        return [verdict for member in self.values() for verdict in member(audio)]


class ConvJudge(nn.Module):
    """Convolutions with leaky ReLU, then a linear one; every output is a feature.

    Shape: [B, C, …] → logits [B, N], features [B, C', …].   Kong et al. 2020, sec. 2.3.
    """

    def __init__(self, convs: Iterable[nn.Module], conv_post: nn.Module) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = conv_post

    def forward(self, x: Tensor) -> Verdict:
        """Judge one view of the signal."""
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            features.append(x)
        features.append(self.conv_post(x))
        return Verdict(features[-1].flatten(1), features)
