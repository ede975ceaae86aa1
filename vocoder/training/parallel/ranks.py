"""The processes of a run: started by torchrun on one machine or several, or a single one."""

import itertools
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from vocoder.errors import ConfigError, VocoderError
from vocoder.inference.device import find_device
from vocoder.training.parallel.watch import Watch, ended

Value = TypeVar("Value")

# Errors of gloo and NCCL when the process at the other end is gone.
_LOST = re.compile(r"connection|peer|socket|broken pipe|remote process|nccl", re.IGNORECASE)
_TO_START = timedelta(minutes=10)  # between the starts of the first and the last process
_TO_WAIT = timedelta(minutes=60)  # for another process that lives, such as one that saves a state
_groups = itertools.count()


class ReportedElsewhereError(VocoderError):
    """A failure that another process of the run reports, with the exit code for this one."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class Ranks:
    """The rank of this process among `size` processes, its device, and exchanges between them.

    Rank 0 (`first`) writes and reports. Small values are exchanged by gloo, so that no GPU has to
    be waited for. Where one process fails, the others end with its reason: see `failing_together`.
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
        self._watch: Watch | None = None
        if self.size > 1:
            self._join()

    def _join(self) -> None:
        """Make the process group, and watch over its processes."""
        # The watch ends a process that waits for one that is gone; NCCL's own would call abort().
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")
        cuda = self.device.type == "cuda"
        try:
            store, _, _ = next(rendezvous("env://", timeout=_TO_START))
            store = PrefixStore(f"vocoder/{next(_groups)}", store)  # one for each of a sweep
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if cuda else "gloo",
                store=store,
                rank=self.rank,
                world_size=self.size,
                timeout=_TO_WAIT,
                device_id=self.device if cuda else None,
            )
        except (dist.DistError, RuntimeError) as error:
            first = str(error).split("\n", 1)[0]
            raise VocoderError(
                f"process {self.rank}: the {self.size} processes of this run did not meet ({first})"
            ) from error
        self._watch = Watch(store, rank=self.rank, size=self.size)

    def close(self) -> None:
        """Wait for all ranks, then leave the process group.

        Rank 0 may still be writing when the others are done, and a launcher ends all of them as
        soon as one has left. The threads of the group must not outlive its tensors.
        """
        if self._watch is not None:
            dist.barrier()
            self._watch.stop()
            dist.destroy_process_group()

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """Report an error within the block to the other processes, and one of theirs here.

        The first process that fails raises its own error. The others, whose exchanges then break
        off, raise VocoderError with its reason, and ReportedElsewhereError for the same error.
        """
        try:
            yield
        except Exception as error:
            if self._watch is None:
                raise
            if isinstance(error, RuntimeError) and _LOST.search(str(error)):
                raise VocoderError(ended(*self._watch.reason())) from error
            own = _first_line(error)
            rank, reason = self._watch.report(own)
            if rank != self.rank and reason == own:
                time.sleep(2.0)  # or a launcher would end the other one before it has reported
                code = 2 if isinstance(error, VocoderError) else 1
                raise ReportedElsewhereError(own, code=code) from error
            if self.first and "TORCHELASTIC_USE_AGENT_STORE" not in os.environ:
                time.sleep(3.0)  # the store of the reasons ends with this process
            raise

    # ------------------------------------------------------------------------------ exchanges

    def exchange_maximum(self, read: Callable[[], int]) -> Callable[[], int]:
        """Start an exchange of the largest value over ranks; the returned function waits for it.

        Every rank must call both equally often. With several ranks the value is read now, so that
        the exchange runs beside other work; a single process reads it when the result is called.
        """
        if self.size == 1:
            return read
        largest = torch.tensor(read())
        work = dist.all_reduce(largest, op=dist.ReduceOp.MAX, async_op=True)

        def wait() -> int:
            assert work
            work.wait()
            return int(largest)

        return wait

    def mean(self, values: Mapping[str, Tensor], *, weight: float) -> dict[str, float]:
        """Mean of scalars over ranks, by name; `weight` is relative to that of a mean rank."""
        flat = weight * torch.stack([*values.values()]).detach().float().cpu()
        if self.size > 1:
            dist.all_reduce(flat)
        return dict(zip(values, (flat / self.size).tolist(), strict=True))

    def gather(self, value: Value) -> list[Value]:
        """The values of all ranks, in order; small ones, since they are pickled."""
        if self.size == 1:
            return [value]
        values: list[Value | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return [each for each in values if each is not None]

    def of_first(self, value: Value) -> Value:
        """The value of rank 0."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]


@contextmanager
def first_reporting() -> Iterator[None]:
    """Let the first process of a machine report what all find wrong before they have met."""
    try:
        yield
    except VocoderError:
        if os.environ.get("LOCAL_RANK", "0") != "0" and not dist.is_initialized():
            time.sleep(20.0)  # their launcher ends this one, unless the first finds nothing wrong
        raise


def _first_line(error: Exception) -> str:
    """One line on an error; of one in a loader worker, whose text is a traceback, the last one."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if lines[0].startswith("Caught ") and "DataLoader worker" in lines[0]:
        return lines[-1].partition(": ")[2] or lines[-1]
    return lines[0]


def batch_in_words(batch_size: int, *, processes: int, parts: int) -> str:
    """How a batch is divided: "global batch 16: 8 on each of 2 processes".

    Raises ConfigError if a process has fewer crops than `parts`, in which it computes its share.
    """
    least, most = batch_size // processes, -(-batch_size // processes)
    if processes > 1 and least < parts:
        raise ConfigError(
            f"data.batch_size is {batch_size}, for all {processes} processes together: {least} is "
            f"too few for trainer.accumulate={parts}; set at least {processes * parts}"
        )
    share = f"{least}" if least == most else f"{least} or {most}"
    each = f": {share} on each of {processes} processes" if processes > 1 else ""
    one_by_one = f", in {parts} parts one after the other" if parts > 1 else ""
    return f"{'global ' if processes > 1 else ''}batch {batch_size}{each}{one_by_one}"
