"""Conversion of users' tensors and NumPy arrays to float32 tensors, and back."""

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import VocoderError

Array = TypeVar("Array", Tensor, NDArray[Any])


def float_tensor(values: Tensor | NDArray[Any], name: str, error: type[VocoderError]) -> Tensor:
    """Convert to a float32 tensor without gradient; raises `error` if not all are finite floats.

    `name` names the values in the message.
    """
    if not isinstance(values, Tensor):
        array = np.asarray(values)
        if array.dtype.kind != "f":
            raise error(f"{name} holds {array.dtype} values; give floats")
        # A copy, because torch shares neither reversed nor read-only nor byte-swapped memory.
        with np.errstate(over="ignore", invalid="ignore"):  # an error below
            values = torch.from_numpy(array.astype(np.float32, order="C"))
    if not values.is_floating_point():
        raise error(f"{name} holds {str(values.dtype).removeprefix('torch.')} values; give floats")
    values = values.detach().float()
    # The extremes need no memory: a long recording is looked at as a whole here.
    if values.numel() and not all(map(torch.isfinite, torch.aminmax(values))):
        bad = int((~torch.isfinite(values)).sum())
        raise error(f"{name} has {bad} of {values.numel()} values that are NaN or infinite")
    return values


def empty_array(arrays: type) -> Any:
    """An empty tensor or NumPy array, according to the class `arrays`."""
    empty = torch.empty(0, device="cpu", dtype=torch.float32)
    return empty if issubclass(arrays, Tensor) else empty.numpy()


def like(tensor: Tensor, template: Array) -> Array:
    """Convert to the array kind of `template`: NumPy, or a tensor on its device."""
    if isinstance(template, Tensor):
        return tensor.to(template.device)
    return tensor.cpu().numpy()
