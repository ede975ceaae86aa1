"""What a discriminator answers, and the ensemble that collects the answers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class Verdict(NamedTuple):
    """One network's judgement of a signal.

    `logits` [B, N] are the scores, high for real. `features` are the maps that feature matching
    compares: which ones is the paper's choice, in HiFi-GAN every layer including the last.
    `direction` are the logits through which alone the last layer learns, if that is learned apart
    (`vocoder.discriminators.slicing`). The losses multiply what they find here by `weight`.
    """

    logits: Tensor
    features: list[Tensor]
    direction: Tensor | None = None
    weight: float = 1.0


def asked_features(module: nn.Module) -> tuple[str, ...]:
    """Names of the features that a discriminator or disturbance asks for; most ask for none."""
    return getattr(module, "features", ())


class Discriminators(nn.ModuleDict):
    """The whole ensemble by name. Each member maps audio [B, C, T] to a list of verdicts.

    A conditional member names in `features` what else it takes, by keyword.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(dict(modules))

    def forward(self, audio: Tensor, features: Mapping[str, Tensor]) -> list[Verdict]:
        """Verdicts of all members in order.   Shape: [B, C, T] → N verdicts."""
        return [
            verdict
            for member in self.values()
            for verdict in member(audio, **{n: features[n] for n in asked_features(member)})
        ]


class ConvJudge(nn.Module):
    """Convolutions with leaky ReLU, then a linear one; every output is a feature.

    Without `first_map` that of the first convolution is none, as in Vocos and AP-BWE.

    Shape: [B, C, …] → logits [B, N], features [B, C', …].   Kong et al. 2020, sec. 2.3.
    """

    def __init__(
        self, convs: Iterable[nn.Module], conv_post: nn.Module, *, first_map: bool = True
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = conv_post
        self.first_map = first_map

    def forward(self, x: Tensor) -> Verdict:
        """Judge one view of the signal."""
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            features.append(x)
        features.append(self.conv_post(x))
        return Verdict(features[-1].flatten(1), features if self.first_map else features[1:])
