"""Exponential moving average of a network's weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def averaged(model: Network, *, decay: float, sharded: bool) -> "EMA[Network]":
    """The moving average of a network; `sharded` ones are divided over the processes by this."""
    if not sharded:
        return EMA(model, decay=decay)
    from vocoder.training.parallel.sharding import ShardedEMA  # it takes half a second

    return ShardedEMA(model, decay=decay)


class EMA(Generic[Network]):
    """A copy of `model` whose weights are the exponential moving average of its weights.

    The average after `step` has the decay min(`decay`, (step + 1) / (step + 10)), so that early
    steps lose their weight faster.
    """

    def __init__(self, model: Network, *, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    def gather(self) -> None:
        """Make `self.model` the average of now, before it is used or saved. Here it always is."""

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """Update the average with the weights of `model` after `step` (from 0); copy buffers."""
        averages: list[Tensor] = list(self.model.parameters())
        weights: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, weights, 1.0 - self.decay_at(step))  # one call for all
        self.copy_buffers(model)

    def decay_at(self, step: int) -> float:
        """Decay after `step` (from 0)."""
        return min(self.decay, (step + 1) / (step + 10))

    @torch.no_grad()
    def copy_buffers(self, model: nn.Module) -> None:
        """Take the buffers of `model` as they are."""
        for copied, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            copied.copy_(buffer)
