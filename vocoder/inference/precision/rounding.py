"""Layers that multiply in bfloat16 or int8, from float32 to float32."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LOW = torch.bfloat16
_LEVELS = 127  # of int8 above 0


def round_layer(layer: nn.Module, *, beside: bool) -> None:
    """Let a convolution or a linear layer multiply in bfloat16, in place.

    With `beside`, convolutions return signals with the channels of a step beside each other in
    memory, and are fastest on such.
    """
    for key, weight in list(layer.named_parameters(recurse=False)):
        setattr(layer, key, nn.Parameter(weight.detach().to(_LOW), requires_grad=False))
    if isinstance(layer, nn.Conv1d):
        if beside:
            taps = layer.weight[:, :, None].contiguous(memory_format=torch.channels_last)
            layer.weight = nn.Parameter(taps[:, :, 0], requires_grad=False)
        layer._conv_forward = partial(_convolution, layer, beside)  # type: ignore[method-assign]
    else:
        layer.register_forward_pre_hook(_lower)
        transposed = isinstance(layer, nn.ConvTranspose1d)
        layer.register_forward_hook(_steps_first if transposed and beside else _raise)


def quantise(layer: nn.Linear) -> None:
    """Let a linear layer multiply in int8, in place, by oneDNN on a CPU.

    Weights have a scale for each output, inputs one for each frame, which is that of their largest.
    """
    weight, bias = layer.weight.detach(), layer.bias
    low, scales = _levels(weight)
    packed = torch.ops.onednn.qlinear_prepack(low, None)
    given = (packed, scales[:, 0].contiguous(), torch.zeros(len(low), dtype=torch.int32), None)
    # No other scale, and nothing fused behind the product.
    plain: tuple[Any, ...] = (1.0, 0, torch.float32, "none", [], "")

    def forward(x: Tensor) -> Tensor:
        levels, size = _levels(x)
        rows = levels.reshape(-1, levels.shape[-1])
        y = torch.ops.onednn.qlinear_pointwise(rows, 1.0, 0, *given, *plain)
        made: Tensor = y.reshape(*x.shape[:-1], -1) * size
        return made if bias is None else made + bias

    layer.forward = forward  # type: ignore[method-assign, assignment]


def _levels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Values in int8, and the size of one level of each row. Shape: […, C] → […, C], […, 1]."""
    size = x.abs().amax(-1, keepdim=True).clamp_min(1e-12) / _LEVELS
    return (x / size).round_().to(torch.int8), size


def _convolution(
    layer: nn.Conv1d, beside: bool, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """A convolution that rounds. Shape: [B, I, T] → [B, O, T']."""
    if not beside or isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        made: Tensor = nn.Conv1d._conv_forward(layer, x.to(_LOW), weight, bias)
        return made.float()
    wide = x[:, :, None].to(_LOW, memory_format=torch.channels_last)
    taps = weight[:, :, None].contiguous(memory_format=torch.channels_last)  # they are
    stride, padding, dilation = layer.stride, layer.padding, layer.dilation
    y = F.conv2d(wide, taps, bias, (1, *stride), (0, *padding), (1, *dilation), layer.groups)
    return y[:, :, 0].float()


def _lower(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return (given[0].to(_LOW, memory_format=torch.contiguous_format), *given[1:])


def _raise(_: nn.Module, __: Any, made: Tensor) -> Tensor:
    return made.float()


def _steps_first(_: nn.Module, __: Any, made: Tensor) -> Tensor:
    """The result in float32, with the channels of a step beside each other."""
    return made.mT.to(torch.float32, memory_format=torch.contiguous_format).mT
