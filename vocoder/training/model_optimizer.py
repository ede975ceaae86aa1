"""A network with its optimizer, and contexts in which a network is not updated."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vocoder.training.ranks import Ranks
from vocoder.training.system import NetworkOptim


class ModelOptimizer:
    """A network with its optimizer, the schedule of its learning rate, and gradient clipping.

    `names` are those of the network's `parameters`, in order; the optimizer's state holds them too.
    `norm` is that of the last gradient, before it was clipped.
    """

    def __init__(self, network: nn.Module, settings: NetworkOptim) -> None:
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.optimizer = settings.optimizer(named)
        self.schedule = settings.schedule
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.clip = float("inf") if settings.clip is None else settings.clip
        self.norm = 0.0

    @property
    def learning_rate(self) -> float:
        """Learning rate of the first parameter group, as of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def backward(self, loss: Tensor, ranks: Ranks) -> float:
        """Compute gradients of `loss`, average them over ranks and clip them.

        Returns the norm of the averaged gradient before clipping.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        ranks.average_gradients(self.parameters)
        self.norm = float(nn.utils.clip_grad_norm_(self.parameters, self.clip))
        return self.norm

    def step(self, step: int) -> None:
        """Update the network at the learning rate that its schedule gives at `step` (from 0)."""
        factor = self.schedule.factor(step)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within the block, gradients pass through `network`, but none are computed for its weights."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def without_updates(network: nn.Module) -> Iterator[None]:
    """Within the block, gradients are off; afterwards the buffers of `network` are restored.

    The network stays in training mode: in evaluation mode its noise is the same in every batch,
    by which a discriminator could recognise fake audio.
    """
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        with torch.no_grad():
            yield
    finally:
        for buffer, value in buffers:
            buffer.copy_(value)
