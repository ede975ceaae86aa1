"""Devices by name."""

import torch

from vocoder.errors import ConfigError


def find_device(name: str) -> torch.device:
    """The device called "cpu", "cuda", "cuda:1" …; ConfigError if this machine has no such."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        reason = str(error).split("\n", 1)[0]
        raise ConfigError(f"device {name!r} cannot be used here ({reason})") from error
