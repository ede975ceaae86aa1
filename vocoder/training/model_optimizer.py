"""A network with its optimizer, and contexts in which a network is not updated."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vocoder.training.parallel.gradients import Gradients
from vocoder.training.system import NetworkOptim


class ModelOptimizer:
    """A network with its optimizer, the schedule of its learning rate, and gradient clipping.

    `names` are those of the network's `parameters`, in order; the optimizer's state holds them too.
    `norm` is that of the last gradient, before it was clipped; a tensor on the network's device, so
    that computing it waits for nothing. `sharded` networks are divided over processes.
    """

    def __init__(
        self, network: nn.Module, settings: NetworkOptim, *, sharded: bool = False
    ) -> None:
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.optimizer = settings.optimizer(named)
        self.schedule = settings.schedule
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.clip = float("inf") if settings.clip is None else settings.clip
        self.norm = torch.zeros(())
        self.sharded = sharded
        self.gradients = Gradients(() if sharded else self.parameters)
        if sharded:
            from vocoder.training.parallel.sharding import ShardedGradients, shard_state

            self.gradients = ShardedGradients(network)
            shard_state(self.optimizer)
        self._fuse()

    @property
    def learning_rate(self) -> float:
        """Learning rate of the first parameter group, as of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def zero_grad(self) -> None:
        """Forget the last gradient."""
        self.optimizer.zero_grad(set_to_none=True)

    def add_gradient(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradient of the loss of a part; after the `last` one, average it over ranks."""
        self.gradients.add(loss, last=last)

    def clip_gradient(self) -> None:
        """Measure the `norm` of the gradient, then clip it."""
        gradients = [each.grad for each in self.parameters if each.grad is not None]
        self.norm = nn.utils.get_total_norm(gradients)
        if self.clip < math.inf:
            nn.utils.clip_grads_with_norm_(self.parameters, self.clip, self.norm)
        if self.sharded:
            self.norm = self.norm.full_tensor()  # type: ignore[attr-defined]

    def step(self, step: int) -> None:
        """Update the network at the learning rate that its schedule gives at `step` (from 0)."""
        factor = self.schedule.factor(step)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        self._fuse()  # again: a state that was loaded says what was best where it was saved
        self.optimizer.step()

    def _fuse(self) -> None:
        """Let Adam update in one pass over the memory on a CPU, where it takes a third of the time.

        Not if the configuration has another form of it.
        """
        if not isinstance(self.optimizer, torch.optim.Adam | torch.optim.AdamW):
            return
        asked = [self.optimizer.defaults[form] for form in ("fused", "foreach")]
        on_cpu = all(parameter.device.type == "cpu" for parameter in self.parameters)
        fused = True if asked == [None, None] and on_cpu and not self.sharded else asked[0]
        for group in self.optimizer.param_groups:
            group["fused"] = fused

    def tensors(self) -> list[Tensor]:
        """All tensors that a step changes: the weights and the optimizer's state."""
        states = [value for state in self.optimizer.state.values() for value in state.values()]
        return [*self.parameters, *(value for value in states if isinstance(value, Tensor))]


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
