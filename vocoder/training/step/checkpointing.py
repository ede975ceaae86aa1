"""Activation checkpointing: less memory for a second forward pass of the generator's blocks."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vocoder.errors import ConfigError


def checkpoint_activations(network: nn.Module) -> None:
    """Keep only the inputs of a network's blocks for the backward pass, in place.

    A block is computed again when its gradient is needed; gradients stay the same. Blocks are the
    members of the network's outermost lists of modules that have submodules themselves, such as
    the residual blocks of a stage. Raises ConfigError if there are none.
    """
    found = list(blocks(network))
    if not found:
        raise ConfigError(
            f"trainer.checkpoint_activations: {type(network).__name__} has no blocks in lists of "
            "modules that could be computed again; set it to false"
        )
    for block in found:
        block.forward = _again(block.forward)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a network: of nested lists of modules, the members of the innermost."""
    for child in module.children():
        if not isinstance(child, nn.ModuleList):
            yield from blocks(child)
            continue
        for member in child:
            if isinstance(member, nn.ModuleList):
                yield from blocks(nn.ModuleList([member]))
            elif any(name != "parametrizations" for name, _ in member.named_children()):
                yield member


def _again(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose intermediate results are computed again in the backward pass."""

    @functools.wraps(forward)
    def block(*arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*arguments, **named)
        return checkpoint(forward, *arguments, use_reentrant=False, **named)

    return block
