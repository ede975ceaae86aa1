"""Several processes training one model: started by torchrun, or just this one."""

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from vocoder.device import find_device


class Ranks:
    """This process among `size` processes; `rank` 0 (`first`) writes and reports.

    The batch size of a configuration is per rank. Gradients are averaged, so the update equals that
    of one process with the concatenated batch.
    """

    def __init__(self, device: str) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.first = self.rank == 0
        local = os.environ.get("LOCAL_RANK")
        self.device = find_device(f"{device}:{local}" if device == "cuda" and local else device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def close(self) -> None:
        """Leave the group in order: its threads must not outlive what they belong to."""
        if self.size > 1:
            dist.destroy_process_group()

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its mean over ranks, in one exchange."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.average([parameter.grad for parameter in parameters if parameter.grad is not None])

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its mean over ranks, in place and in one exchange."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))
