"""Slicing adversarial networks: the direction of the last layer is trained by its own loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from vocoder.discriminators.output import DiscriminatorOutput, joins_signals, requested_features
from vocoder.errors import ConfigError


class Sliced(nn.Module):
    """Discriminator whose every layer `conv_post` is replaced by a `SlicedLayer`, in place.

    In training, gradients of `logits` reach all weights but the directions of those layers, and
    gradients of `direction`, which has the same values, reach only them;
    `vocoder.losses.adversarial.Slicing` is the loss of both. In evaluation `direction` is None.
    Raises ConfigError for a discriminator without `conv_post`, and in training for one that mixes
    the signals of a batch after it.
    Takida et al. 2024 (SAN); Shibuya et al. 2024 (BigVSAN).
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        owners = [m for m in discriminator.modules() if "conv_post" in dict(m.named_children())]
        if not owners:
            name = type(discriminator).__name__
            raise ConfigError(f"{name} has no conv_post to slice; use it without Sliced")
        for owner in owners:
            owner.conv_post = SlicedLayer(owner.get_submodule("conv_post"))
        self.discriminator = discriminator

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that the wrapped discriminator takes."""
        return requested_features(self.discriminator)

    @property
    def joins_signals(self) -> bool:
        """Whether the wrapped discriminator can score several signals in one batch."""
        return joins_signals(self.discriminator)

    def forward(self, audio: Tensor, **features: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: the outputs, in training with `direction`.   Shape: audio [B, C, T]."""
        outputs: list[DiscriminatorOutput] = self.discriminator(audio, **features)
        if not self.training:
            return outputs
        return [self._split(output, audio.shape[0]) for output in outputs]

    def _split(self, output: DiscriminatorOutput, batch: int) -> DiscriminatorOutput:
        """Separate the two halves of the batch that the sliced layers return."""
        if output.logits.shape[0] != 2 * batch:
            raise ConfigError(
                f"{type(self.discriminator).__name__} mixes the signals of a batch after conv_post "
                "or takes its logits from another layer; use it without Sliced"
            )
        return output._replace(
            logits=output.logits[:batch],
            feature_maps=[maps[:batch] for maps in output.feature_maps],
            direction=output.logits[batch:],
        )


class SlicedLayer(nn.Module):
    """Convolution or linear layer as scale · filters of unit length, applied to input + bias.

    At first it computes what `layer`, whose weight it takes over, computes without its bias. In
    training its output has twice the batch: first the values whose gradients reach input, scale and
    bias, then the same values again, whose gradients reach the filters. `layer` is a Conv1d, Conv2d
    or Linear or a subclass, with any padding, and may be weight- or spectral-normalised. Raises
    ConfigError for other layers.

    Shape: [B, in, …] → [B, out, …], in training [2 B, out, …].
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            raise ConfigError(
                f"conv_post is {type(layer).__name__}; only Conv1d, Conv2d and Linear can be sliced"
            )
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")
        inputs = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
        self.scale = nn.Parameter(layer.weight.detach().flatten(1).norm(dim=1))
        self.bias = nn.Parameter(layer.weight.new_zeros(inputs))
        layer.bias = None
        self.layer = parametrize.register_parametrization(layer, "weight", _UnitLength())

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer, in training twice."""
        unsqueezed = (-1, *[1] * (x.dim() - 2))
        x, scale = x + self.bias.view(unsqueezed), self.scale.view(unsqueezed)
        if not self.training:
            y: Tensor = self.layer(x)
            return scale * y
        fixed = {name: weight.detach() for name, weight in self.layer.named_parameters()}
        logits = scale * functional_call(self.layer, fixed, (x,))
        return torch.cat([logits, scale.detach() * self.layer(x.detach())])


class _UnitLength(nn.Module):
    """Every filter divided by its norm."""

    def forward(self, weight: Tensor) -> Tensor:
        unit: Tensor = F.normalize(weight.flatten(1), dim=1).view_as(weight)
        return unit

    def right_inverse(self, weight: Tensor) -> Tensor:
        return self.forward(weight)
