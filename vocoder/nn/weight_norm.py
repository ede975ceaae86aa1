"""Weight norm while training, plain weights for inference."""

from typing import Literal, TypeVar

from torch import nn
from torch.nn.utils import parametrizations, parametrize

from vocoder.errors import ConfigError

Norm = Literal["weight", "spectral"]
Module = TypeVar("Module", bound=nn.Module)


def weight_norm(module: Module) -> Module:
    """Learn direction and length of `module.weight` apart, per index of its first axis, in place.

    Salimans and Kingma 2016. The state dict holds the length as `parametrizations.weight.original0`
    and the direction as `…original1`; `weight_g` and `weight_v` of older checkpoints load too.
    """
    parametrizations.weight_norm(module, "weight")
    return module


def normalise(module: Module, norm: Norm) -> Module:
    """Weight norm, or spectral norm: divide `module.weight` by its largest gain, in place.

    The state dict of the latter holds the weight as `parametrizations.weight.original`, and
    estimates of the direction of largest gain, which every pass in training mode improves.
    Miyato et al. 2018.
    """
    if norm not in ("weight", "spectral"):
        raise ConfigError(f"norm is {norm!r}; choose from ('weight', 'spectral')")
    if norm == "weight":
        return weight_norm(module)
    parametrizations.spectral_norm(module, "weight")
    return module


def count_weights(model: nn.Module) -> int:
    """Number of weights that `model` has once `fold_weight_norm` was called on it."""
    lengths = "parametrizations.weight.original0"
    named = model.named_parameters()
    return sum(weight.numel() for name, weight in named if not name.endswith(lengths))


def fold_weight_norm(model: nn.Module) -> list[str]:
    """Replace every weight- or spectral-normalised weight of `model` by its value, in place.

    The output stays what it was in evaluation mode. Returns the names of the folded weights.
    """
    folded = []
    for path, module in list(model.named_modules()):
        if not parametrize.is_parametrized(module):
            continue
        for name in list(module.parametrizations):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
            folded.append(f"{path}.{name}" if path else name)
    return folded
