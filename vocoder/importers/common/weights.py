"""Weights of other projects: reading them, and loading them into a network of ours.

Inside this package the names of weights are those in the file, with weight norm and spectral norm
in torch's older spelling (`weight_g`, `weight_v`, `weight_orig`, …) whichever the file uses.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vocoder.checkpoint import load_weights
from vocoder.errors import CheckpointError

Weights = dict[str, Tensor]
Naming = Callable[[str], str]
"""Our name of a weight → its name in the file, both in the older spelling."""

FILE_NAMES = ("model.safetensors", "pytorch_model.bin", "bigvgan_generator.pt")
_WRAPPERS = ("generator", "gen_model", "mossformer", "model", "state_dict")
_OLDER = {
    ".parametrizations.weight.original0": ".weight_g",
    ".parametrizations.weight.original1": ".weight_v",
    ".parametrizations.weight.original": ".weight_orig",
    ".parametrizations.weight.0._u": ".weight_u",
    ".parametrizations.weight.0._v": ".weight_v",
}


def find_file(path: Path) -> Path:
    """The file with the weights: `path`, or one with a usual name in the directory `path`.

    Raises CheckpointError if there is none.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or directory")
    if not path.is_dir():
        return path
    found = [path / name for name in FILE_NAMES if (path / name).is_file()]
    if not found:
        raise CheckpointError(
            f"{path}: holds none of {', '.join(FILE_NAMES)}; name the checkpoint file itself"
        )
    return found[0]


def read(path: Path) -> Any:
    """Read a checkpoint file of tensors and plain values; anything else is a CheckpointError."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # advises to run code
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # torch.load raises many kinds for a damaged file
        needed = re.search(r"GLOBAL (\S+)|(TorchScript)", str(error))
        if needed:
            kept = "torch.jit.load(…).state_dict()" if needed[2] else "its state dict alone"
            raise CheckpointError(
                f"{path}: holds program code ({needed[1] or needed[2]}), which is not run; "
                f"where you trust it, save {kept} with torch.save"
            ) from error
        kind = type(error).__name__  # torch's message explains how to run code in the file
        raise CheckpointError(f"{path}: damaged, or not a checkpoint ({kind})") from error


def unwrap(content: Any, path: Path) -> Weights:
    """Find the weights of the generator in the content of a checkpoint file, at any depth.

    Raises CheckpointError, which names `path`, if there are none.
    """
    while isinstance(content, Mapping):
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return canonical(content)
        inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            entries = ", ".join(map(str, list(content)[:5])) or "none"
            raise CheckpointError(f"{path}: holds no named weights (entries: {entries})")
        content = inner[0]
    raise CheckpointError(f"{path}: holds a {type(content).__name__}, not named weights")


def canonical(weights: Mapping[str, Tensor]) -> Weights:
    """The weights in single precision and the older spelling, without the prefix `module.`."""
    prefix = "module." if all(name.startswith("module.") for name in weights) else ""
    return {
        older(name.removeprefix(prefix)): value.float() if value.is_floating_point() else value
        for name, value in weights.items()
    }


def older(name: str) -> str:
    """The name of a weight in the older spelling of weight norm and spectral norm."""
    for suffix, replacement in _OLDER.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + replacement
    return name


def has(weights: Iterable[str], *prefixes: str) -> bool:
    """Whether every prefix begins the name of some weight."""
    return all(any(name.startswith(prefix) for name in weights) for prefix in prefixes)


def without(weights: Weights, buffers: str) -> Weights:
    """The weights whose whole name does not match the regular expression `buffers`."""
    return {name: value for name, value in weights.items() if not re.fullmatch(buffers, name)}


def fit(model: nn.Module, weights: Weights, naming: Naming, origin: str) -> dict[str, str]:
    """Load `weights` into `model`; returns the map from names in the file to our names.

    Weight norm is folded or unfolded where file and model differ. Raises CheckpointError, which
    lists by the names in the file what is missing, unknown, of another shape or not finite.
    """
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(f"{origin}: NaN or infinite values in {', '.join(broken[:5])}")
    state = model.state_dict()
    external = {own: naming(older(own)) for own in state}
    ours = {name: own for own, name in external.items()}
    renamed = {ours.get(name, name): value for name, value in _expressed(weights, ours).items()}
    renamed |= {own: shaped(renamed[own], like) for own, like in state.items() if own in renamed}
    load_weights(model, renamed, origin, shown=lambda own: external.get(own, own))
    return ours


def shaped(value: Tensor, like: Tensor) -> Tensor:
    """Reshape `value` to the shape of `like` if they differ in axes of length one alone."""
    return value.reshape(like.shape) if value.squeeze().shape == like.squeeze().shape else value


def _expressed(weights: Weights, wanted: Iterable[str]) -> Weights:
    """Fold or unfold weight norm, so that it is on the layers where the `wanted` names have it."""
    expressed = dict(weights)
    for name in wanted:
        layer, _, kind = name.rpartition(".")
        plain, length, direction = (f"{layer}.{k}" for k in ("weight", "weight_g", "weight_v"))
        if kind == "weight_g" and plain in weights:
            weight = expressed.pop(plain)
            norm = _norm(weight)
            expressed[length] = norm
            # A filter of zeros has no direction; any is right, but 0 / 0 is not.
            expressed[direction] = torch.where(norm > 0, weight, 1.0)
        elif kind == "weight" and {length, direction} <= weights.keys():
            scale = expressed.pop(length) / _norm(weights[direction])
            expressed[plain] = expressed.pop(direction) * scale
    return expressed


def _norm(weight: Tensor) -> Tensor:
    """Length of each filter along the first axis.   Shape: [N, …] → [N, 1, …]."""
    norm: Tensor = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True)
    return norm
