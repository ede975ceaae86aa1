"""Devices by name."""

import torch

from vocoder.errors import ConfigError


def find_device(name: str) -> torch.device:
    """Find a device by name: "cpu", "cuda", "cuda:1", "mps" …, or "auto" for the best available.

    Raises ConfigError if this machine has no such device.
    """
    if name == "auto":
        return best_device()
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        reason = str(error).split("\n", 1)[0]
        raise ConfigError(f"device {name!r} cannot be used here ({reason})") from error


def best_device() -> torch.device:
    """A CUDA device if there is one, else an Apple GPU, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
