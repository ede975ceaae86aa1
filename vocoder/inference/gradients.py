"""Gradients with respect to what goes into a model."""

import logging
from typing import Any

import torch
from torch import Tensor

from vocoder.errors import ConfigError, VocoderError
from vocoder.generators.base import Generator
from vocoder.io.arrays import float_tensor

_log = logging.getLogger(__name__)


def warn_of_gradients(values: Any, name: str, fix: str) -> None:
    """Log a warning if gradients are expected of `values`, which inference does not pass.

    `name` names the values in it, and `fix` what passes gradients.
    """
    if isinstance(values, Tensor) and values.requires_grad and torch.is_grad_enabled():
        _log.warning("%s requires gradients, but none pass through this call; %s", name, fix)


def require_differentiable(generator: Generator) -> None:
    """Raise ConfigError for a generator without useful gradients."""
    from vocoder.generators.griffin_lim import GriffinLim  # few need it

    if isinstance(generator, GriffinLim):
        raise ConfigError(
            "griffin-lim searches for a phase in many steps, and its gradients say nothing about "
            "the mel; load a neural vocoder"
        )


def with_gradient(values: Tensor, name: str, error: type[VocoderError]) -> Tensor:
    """Convert to float32 with gradient; raises `error` as `float_tensor` does, and for arrays."""
    if not isinstance(values, Tensor):
        raise error(f"{name} is a {type(values).__name__}; gradients need a tensor")
    float_tensor(values, name, error)  # checks the values
    return values.float()
