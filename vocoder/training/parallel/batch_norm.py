"""Batch normalisation over the batch of all processes."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn import functional


def normalise_over_processes(network: nn.Module) -> None:
    """Let the batch norms of a network use the batch of all processes, in place.

    Torch's SyncBatchNorm does this for GPUs alone.
    """
    for module in network.modules() if dist.is_initialized() else ():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SynchronisedBatchNorm2d


class _SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose mean and variance, while it trains, are those of all processes."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel.   Shape: [B, C, H, W] → same."""
        if not self.training:
            return super().forward(x)
        axes = (0, 2, 3)
        count = _sum(x.new_tensor(x.numel() / x.shape[1]))
        mean = _sum(x.sum(axes)) / count
        variance = _sum((x - mean[:, None, None]).square().sum(axes)) / count
        self._follow(mean.detach(), (variance * count / (count - 1.0)).detach())
        # Torch's own function has no gradient with respect to given statistics.
        scale = torch.rsqrt(variance + self.eps) * self.weight
        normalised: Tensor = (x - mean[:, None, None]) * scale[:, None, None]
        return normalised + self.bias[:, None, None]

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def _sum(value: Tensor) -> Tensor:
    """The sum over all processes, through which gradients pass."""
    total: Tensor = functional.all_reduce(value)  # type: ignore[no-untyped-call]
    return total
