"""Data-parallel training: processes started by torchrun, or a single one."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from vocoder.errors import VocoderError
from vocoder.inference.device import find_device

# Errors of gloo and NCCL when the process at the other end is gone.
_LOST = re.compile(r"connection|peer|socket|broken pipe|remote process", re.IGNORECASE)


class Ranks:
    """The rank of this process among `size` processes, its device, and exchanges between them.

    Rank 0 (`first`) writes and reports. The batch size of a configuration is per rank. Gradients
    are averaged, so the update equals that of one process with the concatenated batch. Exchanges
    raise VocoderError if another process has ended.
    """

    def __init__(self, device: str) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.first = self.rank == 0
        self.device = find_device(device)
        local = os.environ.get("LOCAL_RANK")
        if self.device.type == "cuda" and local and ":" not in device:
            self.device = find_device(f"cuda:{local}")
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.size > 1 and not dist.is_initialized():
            with _peers_expected():
                dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def close(self) -> None:
        """Wait for all ranks, then leave the process group.

        Rank 0 may still be writing when the others are done, and a launcher ends all of them as
        soon as one has left. The threads of the group must not outlive its tensors.
        """
        if self.size > 1:
            with _peers_expected():
                dist.barrier()
            dist.destroy_process_group()

    def exchange_maximum(self, read: Callable[[], int]) -> Callable[[], int]:
        """Start an exchange of the largest value over ranks; the returned function waits for it.

        Every rank must call both equally often. With several ranks the value is read now, so that
        the exchange runs beside other work; a single process reads it when the result is called.
        """
        if self.size == 1:
            return read
        largest = torch.tensor(read(), device=self.device)
        with _peers_expected():
            work = dist.all_reduce(largest, op=dist.ReduceOp.MAX, async_op=True)

        def wait() -> int:
            with _peers_expected():
                work.wait()
                return int(largest)

        return wait

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
        with _peers_expected():
            dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


@contextmanager
def _peers_expected() -> Iterator[None]:
    """Turn the error of an exchange with a process that has ended into one line."""
    try:
        yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        raise VocoderError(
            "another process of this run has ended; its own message says why"
        ) from error
