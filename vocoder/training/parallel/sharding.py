"""Generators whose weights, gradients, moments and averages are divided over processes (FSDP2)."""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from vocoder.errors import ConfigError
from vocoder.training.ema import EMA, Network
from vocoder.training.parallel.gradients import Gradients

_LEAST_SHARE = 0.01  # of all parameters, of a block that is gathered on its own


def shard(generator: nn.Module) -> None:
    """Divide the parameters of a generator over the processes, in place.

    Blocks are gathered one after the other for their computation. The state dict keeps the form of
    an undivided generator, for saving and for loading; all processes must do either together.
    Raises ConfigError if there is a single process, or a parameter without an axis.
    """
    if not dist.is_initialized():
        raise ConfigError(
            "trainer.parallel=fsdp divides the generator over several processes; start them with "
            "torchrun, or set trainer.parallel=ddp"
        )
    scalars = [name for name, parameter in generator.named_parameters() if parameter.dim() == 0]
    if scalars:
        raise ConfigError(f"trainer.parallel=fsdp cannot divide {scalars}; set it to ddp")
    # Said of every output that is a view; none of ours is changed in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    device = next(generator.parameters()).device.type
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    for block in _blocks(generator, _count(generator)):
        fully_shard(block, mesh=mesh)
    fully_shard(generator, mesh=mesh)
    register_fsdp_forward_method(generator, "with_losses")
    generator.register_state_dict_post_hook(_gather)  # type: ignore[no-untyped-call]
    generator.register_load_state_dict_pre_hook(_divide)  # type: ignore[no-untyped-call]


class ShardedEMA(EMA[Network]):
    """Average of a generator, both divided over the processes by this (see `shard`).

    The weights of `model` are those of the last `gather`, for which all processes must ask
    together, as for loading its state dict.
    """

    def __init__(self, model: Network, *, decay: float) -> None:
        super().__init__(model, decay=decay)
        shard(model)
        self.averages = [weight.detach().clone() for weight in model.parameters()]
        loaded = self.model.register_load_state_dict_post_hook
        loaded(lambda *_: self._divide())  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def gather(self) -> None:
        """Make `self.model` the average of now, before it is used or saved."""
        for weight, average in zip(self.model.parameters(), self.averages, strict=True):
            weight.copy_(_whole(average))

    @torch.no_grad()
    def _divide(self) -> None:
        for weight, average in zip(self.model.parameters(), self.averages, strict=True):
            average.copy_(_divided(weight, average))

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """Update the average with the weights of `model` after `step` (from 0); copy buffers."""
        weights = [_local(weight.detach()) for weight in model.parameters()]
        torch._foreach_lerp_([*map(_local, self.averages)], weights, 1.0 - self.decay_at(step))
        self.copy_buffers(model)


class ShardedGradients(Gradients):
    """Gradients of a generator that `shard` has divided: their mean over all processes."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__(())
        assert isinstance(generator, FSDPModule)
        self._generator: FSDPModule = generator

    def add(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradients of a part's loss; after the `last` part take the mean of their sums."""
        self._generator.set_requires_gradient_sync(last)
        loss.backward()  # type: ignore[no-untyped-call]


def shard_state(optimizer: Optimizer) -> None:
    """Let the state dict of an optimizer of divided parameters be that of undivided ones."""
    optimizer.register_state_dict_post_hook(_gather_state)
    optimizer.register_load_state_dict_pre_hook(_divide_state)


def _gather_state(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    moments = {
        index: {name: _whole(value) for name, value in each.items()}
        for index, each in state["state"].items()
    }
    return {**state, "state": moments}


def _divide_state(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    moments = {
        index: {name: _divided(value, parameters[index]) for name, value in each.items()}
        for index, each in state["state"].items()
    }
    return {**state, "state": moments}


def _gather(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
    for name, value in state.items():
        state[name] = _whole(value)


def _divide(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, parameter in module.named_parameters():
        if prefix + name in state:
            state[prefix + name] = _divided(state[prefix + name], parameter)


def _whole(value: Any) -> Any:
    """A tensor that was divided, on the CPU; other values unchanged."""
    if not isinstance(value, DTensor):
        return value
    with torch.no_grad():
        return value.full_tensor().cpu()


def _local(value: Tensor) -> Tensor:
    return value.to_local() if isinstance(value, DTensor) else value


def _divided(value: Any, like: Tensor) -> Any:
    """A tensor of the shape of a divided parameter, divided as it is; other values unchanged."""
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or isinstance(value, DTensor):
        return value
    if value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def _blocks(module: nn.Module, total: int) -> Iterator[nn.Module]:
    """Large members of the outermost lists of modules; single convolutions stay with the rest."""
    for child in module.children():
        listed = isinstance(module, nn.ModuleList | nn.ModuleDict)
        if not listed or isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _blocks(child, total)
        elif not isinstance(child, _ConvNd) and _count(child) >= _LEAST_SHARE * total:
            yield child


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
