"""What a discriminator answers, and the ensemble that collects the answers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """One network's judgement of a signal.

    `logits` [B, N] are the scores, high for real. `feature_maps` are what that feature matching
    compares: which ones is the paper's choice, in HiFi-GAN every layer including the last.
    `direction` are the logits through which alone the last layer learns, if that is learned apart
    (`vocoder.discriminators.slicing`). The losses multiply what they find here by `weight`.
    """

    logits: Tensor
    feature_maps: list[Tensor]
    direction: Tensor | None = None
    weight: float = 1.0


def requested_features(module: nn.Module) -> tuple[str, ...]:
    """Names of the features that a discriminator or augmentation asks for; most ask for none."""
    return getattr(module, "features", ())


class Discriminators(nn.ModuleDict):
    """The whole ensemble by name. Each member maps audio [B, C, T] to a list of outputs.

    A conditional member names in `features` what else it takes, by keyword.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(dict(modules))

    def forward(self, audio: Tensor, features: Mapping[str, Tensor]) -> list[DiscriminatorOutput]:
        """Outputs of all members in order.   Shape: [B, C, T] → N outputs."""
        return [
            output
            for member in self.values()
            for output in member(audio, **{n: features[n] for n in requested_features(member)})
        ]


class ConvDiscriminator(nn.Module):
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

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Judge one view of the signal."""
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            features.append(x)
        features.append(self.conv_post(x))
        return DiscriminatorOutput(
            features[-1].flatten(1), features if self.first_map else features[1:]
        )
