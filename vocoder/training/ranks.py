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

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its mean over ranks, in one exchange."""
        if self.size == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for parameter, gradient, part in zip(parameters, gradients, parts, strict=True):
            parameter.grad = part.view_as(gradient)
