"""Exponential moving average of a network's weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class EMA(Generic[Network]):
    """A copy of `model` whose weights follow it slowly; early steps are forgotten faster."""

    def __init__(self, model: Network, *, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """Take in the weights of `model` after `step` (from 0)."""
        decay = min(self.decay, (step + 1) / (step + 10))
        own: list[Tensor] = list(self.model.parameters())
        other: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(own, other, 1.0 - decay)  # one call for all: there are hundreds
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
