"""Weights of other projects: reading files of them, and loading them into networks of ours."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vocoder.checkpoint import load_weights
from vocoder.errors import CheckpointError, VocoderError
from vocoder.importers.common.state_dict import Weights, older
from vocoder.io.untrusted import ProgramCodeError, load_safetensors, load_torch

Naming = Callable[[str], str]
"""Our name of a weight → its name in the file, both in the older spelling."""

FILE_NAMES = (
    "model.safetensors",
    "pytorch_model.bin",
    "bigvgan_generator.pt",
    "generator.ckpt",
    "model",
)
_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_STEPS = re.compile(r"g_\d+")  # the name of HiFi-GAN's files, which have no suffix
_OTHERS = re.compile(r"do_\d+|.*(discriminator|optim).*")


def find_file(path: Path) -> Path:
    """The file with the weights: `path`, or the one in the directory `path`.

    There it has a usual name, or is the only one with a checkpoint's name. Raises CheckpointError
    if there is none, or if there are several.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or directory")
    if not path.is_dir():
        return path
    usual = [path / name for name in FILE_NAMES if (path / name).is_file()]
    found = usual[:1] or sorted(each for each in path.iterdir() if _is_checkpoint(each))
    if len(found) != 1:
        several = f"several checkpoints ({', '.join(each.name for each in found[:4])})"
        held = several if found else "no checkpoint under a usual name"
        raise CheckpointError(f"{path}: holds {held}; name the checkpoint file itself")
    return found[0]


def _is_checkpoint(path: Path) -> bool:
    named = path.suffix in _SUFFIXES or _STEPS.fullmatch(path.name)
    return bool(named) and not _OTHERS.fullmatch(path.name) and path.is_file()


def read(path: Path) -> Any:
    """Read a checkpoint file of tensors and plain values; anything else is a CheckpointError."""
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path)[0]
        return load_torch(path, "checkpoint")
    except ProgramCodeError as error:
        torchscript = error.name == "TorchScript"
        kept = "torch.jit.load(…).state_dict()" if torchscript else "its state dict alone"
        raise CheckpointError(
            f"{path}: holds program code ({error.name:.80}), which is not run; "
            f"where you trust it, save {kept} with torch.save"
        ) from error
    except VocoderError as error:
        raise CheckpointError(str(error)) from error


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
        if any(not weights[k].is_floating_point() for k in (plain, direction) if k in weights):
            continue  # loading refuses it
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
