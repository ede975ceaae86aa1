"""Weight and spectral norm for training, folded into plain weights for inference."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal, TypeVar

from torch import nn
from torch.nn.utils import parametrizations, parametrize

from vocoder.errors import ConfigError
from vocoder.kernels.switch import kernels_allowed
from vocoder.nn.norms.spectral import SpectralNorm

Norm = Literal["weight", "spectral"]
Module = TypeVar("Module", bound=nn.Module)


def weight_norm(module: Module) -> Module:
    """Apply weight norm to `module.weight`, in place: learn its length and direction separately.

    There is one length per index of the weight's first axis. The state dict holds the length as
    `parametrizations.weight.original0` and the direction as `…original1`; `weight_g` and `weight_v`
    of older checkpoints load too.   Salimans and Kingma 2016.
    """
    parametrizations.weight_norm(module, "weight")
    return module


def normalise(module: Module, norm: Norm) -> Module:
    """Apply weight norm or spectral norm to `module.weight`, in place.

    Spectral norm divides the weight by its largest gain. Its state dict holds the weight as
    `parametrizations.weight.original`, and estimates of the direction of largest gain, which every
    pass in training mode improves. Raises ConfigError for another `norm`.   Miyato et al. 2018.
    """
    if norm not in ("weight", "spectral"):
        raise ConfigError(f"norm is {norm!r}; choose from ('weight', 'spectral')")
    if norm == "weight":
        return weight_norm(module)
    spectral = SpectralNorm(module.get_parameter("weight"))
    parametrize.register_parametrization(module, "weight", spectral)
    return module


@contextmanager
def weights_computed_once(network: nn.Module) -> Iterator[None]:
    """Within the block, weight norm is computed once for all passes through `network`.

    With gradients, all passes must be part of one backward pass. Weights must not change within.
    Spectral norm is not affected: each of its passes makes a power iteration.
    """
    norms = [m for m in network.modules() if isinstance(m, parametrizations._WeightNorm)]
    norms = norms if kernels_allowed() else []
    for norm in norms:
        norm.forward = cache(norm.forward)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def count_weights(model: nn.Module) -> int:
    """Number of weights that `model` has after `fold_weight_norm`."""
    lengths = "parametrizations.weight.original0"
    named = model.named_parameters()
    return sum(weight.numel() for name, weight in named if not name.endswith(lengths))


def fold_weight_norm(model: nn.Module) -> list[str]:
    """Replace every weight- or spectral-normalised weight of `model` by its value, in place.

    The output stays that of evaluation mode. Returns the names of the folded weights.
    """
    folded = []
    for path, module in list(model.named_modules()):
        if not parametrize.is_parametrized(module):
            continue
        for name in list(module.parametrizations):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
            folded.append(f"{path}.{name}" if path else name)
        # Torch leaves weight norm's reader of older checkpoints, a local function, which cannot be
        # pickled.
        module._load_state_dict_pre_hooks.clear()
    return folded
