"""A generator whose layers multiply in lower precision than float32."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.inference.precision.hardware import require
from vocoder.inference.precision.layers import layers, roundable
from vocoder.inference.precision.rounding import quantise, round_layer
from vocoder.nn.activation import AntiAliased

LowName = Literal["bfloat16", "int8"]
_NONE = {
    "bfloat16": "no layer of the network can be rounded, as a phase or sums that must not depend "
    "on the length of the input need float32",
    "int8": "only linear layers are faster in it, of which this network has none that can be "
    "rounded; convolutions took 3.9 times as long as in float32 (HiFi-GAN V1, measured in "
    "ONNX Runtime)",
}


class LowPrecision:
    """A generator with products in bfloat16 or int8, and all else in float32.

    In bfloat16, convolutions and linear layers round their inputs, weights and results, and add up
    in float32; in int8, linear layers do, and add up in int32. `generator` is a copy that does so.
    Activations, residual sums, Fourier transforms, phases and the layers that `roundable` leaves
    out stay in float32. Raises ConfigError for a device without such products, and for a generator
    without such layers.
    """

    def __init__(self, generator: Generator, device: torch.device, precision: LowName) -> None:
        unit, every = require(precision, device), layers(generator)
        names = [
            name
            for name in roundable(generator)
            if precision == "bfloat16" or isinstance(every[name], nn.Linear)
        ]
        if not names:
            raise ConfigError(f"{precision}: {_NONE[precision]}")
        self.generator = _copied(generator)
        beside = _beside(generator, device)
        for name in names:
            layer = self.generator.get_submodule(name)
            if isinstance(layer, nn.Linear) and precision == "int8":
                quantise(layer)
            else:
                round_layer(layer, beside=beside)
        sums = "float32" if precision == "bfloat16" else "int32"
        self.path = (
            f"PyTorch, {precision} products, {sums} sums ({unit}) in {len(names)} of "
            f"{len(every)} layers"
        )

    @torch.inference_mode()
    def __call__(self, **features: Tensor) -> Tensor:
        """Generate audio. Shape: features as of the generator → [B, C, T]."""
        audio: Tensor = self.generator(**features)
        return audio


def _beside(generator: Generator, device: torch.device) -> bool:
    """Whether signals are best stored with the channels of a step beside each other.

    That is what convolutions on a CPU want. Anti-aliased activations want the steps of a channel
    beside each other, and changing the order every time would cost more.
    """
    aliased = any(isinstance(module, AntiAliased) for module in generator.modules())
    return device.type == "cpu" and not aliased


def _copied(generator: Generator) -> Generator:
    """A copy of a generator that shares its weights."""
    return copy.deepcopy(
        generator, {id(x): x for x in (*generator.parameters(), *generator.buffers())}
    )
