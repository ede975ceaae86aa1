"""State dicts of other projects: where they are in a checkpoint, and one spelling of their names.

Inside this package the names of weights are those in the file, without the prefixes of wrappers,
and with weight norm and spectral norm in torch's older spelling (`weight_g`, `weight_v`,
`weight_orig`, …) whichever the file uses.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vocoder.errors import CheckpointError
from vocoder.importers.common.unsupported import unsupported

Weights = dict[str, Tensor]

_ENTRIES = (
    *("generator", "gen_model", "mossformer", "model_g", "netG", "net_g", "model", "net"),
    *("state_dict", "weight"),
)
_DEPTH = 8  # of the entries; no project has more than three
# What modules that hold a generator, such as Lightning's, call it, and what is around it.
_OWNERS = {"generator", "gen", "net_g", "netG", "G", "model_g", "vocoder", "model", "module"}
_DISTRIBUTED, _COMPILED = "module.", r"(?<![^.])_orig_mod\."
_LONGEST = 200  # characters of a name
_OLDER = {
    ".parametrizations.weight.original0": ".weight_g",
    ".parametrizations.weight.original1": ".weight_v",
    ".parametrizations.weight.original": ".weight_orig",
    ".parametrizations.weight.0._u": ".weight_u",
    ".parametrizations.weight.0._v": ".weight_v",
}


def unwrap(content: Any, path: Path) -> Weights:
    """Find the weights of the generator in the content of a checkpoint file, at any depth.

    Raises CheckpointError, which names `path`, if there are none.
    """
    for _ in range(_DEPTH):
        if not isinstance(content, Mapping):
            raise CheckpointError(f"{path}: holds a {type(content).__name__}, not named weights")
        if content and all(isinstance(value, Tensor | np.ndarray) for value in content.values()):
            return canonical(content, path)
        inner = [content[key] for key in _ENTRIES if isinstance(content.get(key), Mapping)]
        if not inner:
            raise CheckpointError(f"{path}: holds no named weights ({_described(content)})")
        content = inner[0]
    raise CheckpointError(f"{path}: holds no named weights down to its {_DEPTH}th level")


def _described(content: Mapping[Any, Any]) -> str:
    """The entries of a checkpoint, and what it is where that is known."""
    entries = ", ".join(f"{str(name)!r:.42}"[1:-1] for name in list(content)[:5]) or "none"
    inside = {
        f"{name}.{key}"
        for name, value in content.items()
        if isinstance(value, Mapping)
        for key in value
    }
    known = unsupported(inside)
    if "param_groups" in content:
        known = "the state of an optimizer"
    elif {"optim_g", "optim_d"} & content.keys():
        known = "discriminators and optimizers: give the file of the generator"
    return f"entries: {entries}{f'; {known}' if known else ''}"


def canonical(weights: Mapping[Any, Any], path: Path) -> Weights:
    """The weights in single precision and the older spelling, without the names of wrappers.

    These are `module.` (distributed training) in front of all, and `_orig_mod.` (torch.compile)
    anywhere. Raises CheckpointError, which names `path`, for anything but named real numbers.
    """
    odd = [name for name in weights if not _is_name(name)]
    if odd:
        raise CheckpointError(f"{path}: holds a weight under {odd[0]!r:.40}, which is no name")
    named = {re.sub(_COMPILED, "", name): value for name, value in weights.items()}
    while all(name.startswith(_DISTRIBUTED) for name in named):
        named = {name.removeprefix(_DISTRIBUTED): value for name, value in named.items()}
    spelled = {older(name): _real(value, f"{path}: {name}") for name, value in named.items()}
    if len(spelled) < len(weights):
        raise CheckpointError(f"{path}: holds several weights of one name")
    return spelled


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= _LONGEST


def _real(value: Tensor | np.ndarray[Any, Any], origin: str) -> Tensor:
    """A weight as a tensor; in single precision unless it is a whole number."""
    if isinstance(value, Tensor) and not value.is_complex():
        return value.float() if value.is_floating_point() else value
    kind = "complex numbers" if isinstance(value, Tensor) else value.dtype.name
    if isinstance(value, Tensor) or value.dtype.kind not in "fiub":
        raise CheckpointError(f"{origin}: holds {kind}; a weight is a real number")
    return torch.from_numpy(value.astype(np.float32 if value.dtype.kind == "f" else np.int64))


def older(name: str) -> str:
    """The name of a weight in the older spelling of weight norm and spectral norm."""
    for suffix, replacement in _OLDER.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + replacement
    return name


def parts(weights: Weights) -> Iterator[Weights]:
    """All weights, then those below each prefix that modules with a generator have for it."""
    yield weights
    for prefix in dict.fromkeys(prefix for name in weights for prefix in _prefixes(name)):
        inside = {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}
        yield inside


def _prefixes(name: str) -> Iterator[str]:
    components = name.split(".")[:_DEPTH]
    for depth, component in enumerate(components, start=1):
        if component not in _OWNERS:
            return
        yield ".".join(components[:depth]) + "."


def has(weights: Iterable[str], *prefixes: str) -> bool:
    """Whether every prefix begins the name of some weight."""
    return all(any(name.startswith(prefix) for name in weights) for prefix in prefixes)


def without(weights: Weights, buffers: str) -> Weights:
    """The weights whose whole name does not match the regular expression `buffers`."""
    return {name: value for name, value in weights.items() if not re.fullmatch(buffers, name)}
