"""One side of the game: a network, its optimizer, and how they step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vocoder.training.ranks import Ranks


class Side:
    """A network with its optimizer; `clip` is the largest gradient norm, None for no limit.

    `names` are those of the network's `parameters`, in order; the optimizer's state holds them too.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        clip: float | None,
    ) -> None:
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.optimizer = optimizer(named)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.clip = float("inf") if clip is None else clip
        self.norm = 0.0

    @property
    def learning_rate(self) -> float:
        """Of the first parameter group, as of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def backward(self, loss: Tensor, ranks: Ranks) -> float:
        """Gradients of `loss`, averaged over ranks and clipped; returns their norm before that."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        ranks.average_gradients(self.parameters)
        self.norm = float(nn.utils.clip_grad_norm_(self.parameters, self.clip))
        return self.norm

    def step(self, factor: float) -> None:
        """Update the network at `factor` times its base learning rate."""
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within the block, gradients pass through `network` but not into its weights."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """Within the block, `network` only computes: no gradients, and its buffers are put back.

    It stays in training mode: in evaluation mode noise is the same in every batch, which would
    tell a discriminator what is fake.
    """
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        with torch.no_grad():
            yield
    finally:
        for buffer, value in buffers:
            buffer.copy_(value)
