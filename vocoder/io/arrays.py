"""What users hand over, tensors or NumPy arrays, as tensors we can compute with, and back."""

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import VocoderError

Array = TypeVar("Array", Tensor, NDArray[Any])


def float_tensor(values: Tensor | NDArray[Any], name: str, error: type[VocoderError]) -> Tensor:
    """`values` in float32, without gradient; raises `error` if they are not finite floats."""
    if not isinstance(values, Tensor):
        array = np.asarray(values)
        if array.dtype.kind != "f":
            raise error(f"{name} holds {array.dtype} values; give floats")
        # A copy, because torch shares neither reversed nor read-only nor byte-swapped memory.
        values = torch.from_numpy(array.astype(np.float32, order="C"))
    if not values.is_floating_point():
        raise error(f"{name} holds {str(values.dtype).removeprefix('torch.')} values; give floats")
    values = values.detach().float()
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise error(f"{name} has {bad} of {values.numel()} values that are NaN or infinite")
    return values


def empty_array(arrays: type) -> Any:
    """No value at all, as a tensor or a NumPy array, whichever the class `arrays` says."""
    empty = torch.empty(0)
    return empty if issubclass(arrays, Tensor) else empty.numpy()


def like(tensor: Tensor, template: Array) -> Array:
    """`tensor` as the caller's kind of array: NumPy, or a tensor on the device of `template`."""
    if isinstance(template, Tensor):
        return tensor.to(template.device)
    return tensor.cpu().numpy()
