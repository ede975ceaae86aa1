"""Exponential moving average of a network's weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class EMA(Generic[Network]):
    """A copy of `model` whose weights are the exponential moving average of its weights.

    The average after `step` has the decay min(`decay`, (step + 1) / (step + 10)), so that early
    steps lose their weight faster.
    """

    def __init__(self, model: Network, *, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """Update the average with the weights of `model` after `step` (from 0); copy buffers."""
        decay = min(self.decay, (step + 1) / (step + 10))
        averages: list[Tensor] = list(self.model.parameters())
        weights: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, weights, 1.0 - decay)  # one call for all: there are hundreds
        for copied, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            copied.copy_(buffer)
