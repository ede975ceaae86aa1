"""Outputs of discriminators, and the ensemble that collects them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.kernels.switch import kernels_allowed
from vocoder.nn.norms.spectral import convolve, several_signals


class DiscriminatorOutput(NamedTuple):
    """Scores and feature maps that one sub-discriminator computes for a batch of signals.

    `logits` [B, N] are the scores, high for real. `feature_maps` are what feature matching
    compares; which ones is the paper's choice, in HiFi-GAN every layer including the last.
    `direction` holds the logits that alone train the direction of a sliced last layer
    (`vocoder.discriminators.slicing`); None without one. The losses multiply the terms of this
    output by `weight`.
    """

    logits: Tensor
    feature_maps: list[Tensor]
    direction: Tensor | None = None
    weight: float = 1.0


def requested_features(module: nn.Module) -> tuple[str, ...]:
    """Names of the features that a discriminator or augmentation takes; for most, none."""
    return getattr(module, "features", ())


def joins_signals(module: nn.Module) -> bool:
    """Whether several signals may be scored in one batch, with the results of separate passes.

    Members say so by the attribute `joins_signals`. They score each signal of a batch by itself,
    without batch statistics or random choices, and apply convolutions that may have spectral norm
    by `convolve`.
    """
    return bool(getattr(module, "joins_signals", False))


class Discriminators(nn.ModuleDict):
    """Ensemble of discriminators by name: audio and features to the outputs of all members.

    Each member maps audio [B, C, T] to a list of outputs. A conditional member names in its
    attribute `features` which features it takes besides, by keyword.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(dict(modules))

    @overload
    def forward(
        self, audio: Tensor, features: Mapping[str, Tensor]
    ) -> list[DiscriminatorOutput]: ...

    @overload
    def forward(
        self, audio: Sequence[Tensor], features: Mapping[str, Tensor]
    ) -> list[list[DiscriminatorOutput]]: ...

    def forward(
        self, audio: Tensor | Sequence[Tensor], features: Mapping[str, Tensor]
    ) -> list[DiscriminatorOutput] | list[list[DiscriminatorOutput]]:
        """Outputs of all members in order.   Shape: [B, C, T] → N outputs.

        For several signals of one shape with the same features, the outputs of each signal; members
        that can compute them in one batch.
        """
        signals = [audio] if isinstance(audio, Tensor) else audio
        scored: list[list[DiscriminatorOutput]] = [[] for _ in signals]
        for member in self.values():
            own = {name: features[name] for name in requested_features(member)}
            for outputs, found in zip(scored, _score(member, signals, own), strict=True):
                outputs += found
        return scored[0] if isinstance(audio, Tensor) else scored


def _score(
    member: nn.Module, signals: Sequence[Tensor], features: Mapping[str, Tensor]
) -> list[list[DiscriminatorOutput]]:
    """Outputs of one member for each signal."""
    count = len(signals)
    if count == 1 or not (joins_signals(member) and kernels_allowed()):
        return [member(audio, **features) for audio in signals]
    repeated = {name: torch.cat([value] * count) for name, value in features.items()}
    with several_signals(member, count):
        outputs = member(torch.cat(list(signals)), **repeated)
    return [list(each) for each in zip(*(_apart(output, count) for output in outputs), strict=True)]


def _apart(output: DiscriminatorOutput, count: int) -> list[DiscriminatorOutput]:
    """The outputs of the signals of a batch."""
    logits = output.logits.chunk(count)
    directions: Sequence[Tensor | None] = [None] * count
    maps = [feature_map.chunk(count) for feature_map in output.feature_maps]
    if output.direction is not None:
        directions = output.direction.chunk(count)
    return [
        output._replace(
            logits=logits[i], feature_maps=[each[i] for each in maps], direction=directions[i]
        )
        for i in range(count)
    ]


def activated(conv: nn.Module, x: Tensor, slope: float) -> Tensor:
    """Leaky ReLU of a convolution of x, in the memory of its result, whose values are not kept."""
    return F.leaky_relu(convolve(conv, x), slope, inplace=kernels_allowed())


class ConvDiscriminator(nn.Module):
    """Convolutions with leaky ReLU of slope 0.1 and a last linear one, whose output is the logits.

    The feature maps are the outputs of all layers, including the logits. With `first_map` False
    the first convolution's is left out, as in Vocos and AP-BWE.

    Shape: [B, C, …] → logits [B, N], feature maps [B, C', …].   Kong et al. 2020, sec. 2.3.
    """

    def __init__(
        self, convs: Iterable[nn.Module], conv_post: nn.Module, *, first_map: bool = True
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = conv_post
        self.first_map = first_map

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Score one view of the signal."""
        feature_maps = []
        for conv in self.convs:
            x = activated(conv, x, 0.1)
            feature_maps.append(x)
        feature_maps.append(convolve(self.conv_post, x))
        return DiscriminatorOutput(
            feature_maps[-1].flatten(1), feature_maps if self.first_map else feature_maps[1:]
        )
