"""Exchange of gradients between processes while they are computed."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class Gradients:
    """Gradients of one network: of this process alone, or their mean over all processes.

    The mean is torch's DistributedDataParallel, which exchanges the gradients of the last layers
    while those of the first are computed. It is entered with the loss and not with the network's
    input: so the network is called as it is, in any number of passes, also for the gradient
    penalties of discriminators, and a parameter without a gradient in a step needs no exchange.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._exchange: DistributedDataParallel | None = None
        if parameters and dist.is_initialized():
            entrance = _Entrance(parameters)
            self._exchange = DistributedDataParallel(entrance, find_unused_parameters=True)

    def add(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradients of a part's loss; after the `last` part take the mean of their sums."""
        if self._exchange is not None:
            with nullcontext() if last else self._exchange.no_sync():
                loss = self._exchange(loss)
        loss.backward()  # type: ignore[no-untyped-call]


class _Entrance(nn.Module):
    """Parameters without their network: the loss passes through, and its graph leads to them."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.trained = nn.ParameterList(parameters)
        # Without one that is never used, torch warns that it looks for them in vain.
        self.never_used = nn.Parameter(torch.zeros(1, device=parameters[0].device))

    def forward(self, loss: Tensor) -> Tensor:
        """The loss itself."""
        return loss
