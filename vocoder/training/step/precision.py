"""Training in bfloat16: products of the networks, with islands that stay in float32."""

import functools
import logging
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.inference.precision.hardware import require
from vocoder.inference.precision.layers import layers, roundable
from vocoder.nn.activation import AntiAliased

Precision = Literal[32, "bf16"]
log = logging.getLogger(__name__)


def lower_precision(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which networks run in the precision, on a CPU, CUDA and MPS device alike.

    Weights and gradients stay in float32. bfloat16 has the range of float32, so losses need no
    scaling.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def keep_islands(*networks: nn.Module, average: Generator, device: torch.device) -> None:
    """Let the parts of networks that need float32 keep it within `lower_precision`, in place.

    Of a generator these are the layers that `vocoder.inference.precision.layers` leaves in float32:
    the last ones, after which comes audio or a spectrum with its phase, and those on which a pitch
    depends. Of all networks, anti-aliased activations and the power iterations of spectral norm.
    Spectra, filter banks and losses switch autocast off themselves. Logs where the device only
    emulates bfloat16.

    Args:
        networks: The generator, then the discriminators.
        average: The average of the generator, in evaluation mode, which is traced.
        device: Device of the networks.
    """
    generator, *_ = networks
    rounded = set(roundable(average))
    islands = [generator.get_submodule(name) for name in layers(average) if name not in rounded]
    for network in networks:
        islands += [each for each in network.modules() if _is_sensitive(each)]
        if device.type == "cpu":
            for each in network.modules():
                if isinstance(each, nn.Conv1d | nn.Conv2d):
                    each._conv_forward = _full_if_narrow(each)  # type: ignore[method-assign]
    for island in islands:
        island.forward = _in_float32(island.forward)
    try:
        require("bfloat16", device)
    except ConfigError as error:
        log.warning("trainer.precision=bf16 is emulated here and slow: %s", error)


def _is_sensitive(module: nn.Module) -> bool:
    return isinstance(module, AntiAliased) or {"_u", "_v"} <= module._buffers.keys()


def _in_float32(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A function with its tensors in float32, outside autocast."""

    @functools.wraps(forward)
    def island(*arguments: Any, **named: Any) -> Any:
        tensors = [each for each in arguments if isinstance(each, Tensor)]
        with torch.autocast(tensors[0].device.type, enabled=False):
            raised = [each.float() if _is_low(each) else each for each in arguments]
            return forward(*raised, **named)

    return island


def _full_if_narrow(conv: nn.Conv1d | nn.Conv2d) -> Callable[..., Tensor]:
    """The convolution of a layer, in float32 for inputs that are not longer than its kernel.

    For such, oneDNN's in bfloat16 reads memory that nobody has written (seen with torch 2.13 and
    AMX: 2-D with one column of outputs, and the gradient of 1-D ones).
    """
    low = conv._conv_forward
    full = _in_float32(low)

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        narrow = any(n <= k for n, k in zip(x.shape[2:], conv.kernel_size, strict=True))
        made: Tensor = (full if narrow else low)(x, weight, bias)
        return made

    return convolve


def _is_low(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bfloat16
