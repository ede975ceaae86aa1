"""Reading of the batches of a training ahead, by worker processes that end with the loop."""

import multiprocessing
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import torch
from torch.utils.data import DataLoader, Dataset

from vocoder.data.segments import Batch, Segments
from vocoder.errors import VocoderError

_Outcome = Batch | VocoderError | OSError | MemoryError


def loader(
    segments: Segments, *, start: int, steps: int, workers: int
) -> Generator[Batch, None, None]:
    """Iterate over the batches of steps [start, start + steps), read ahead by `workers` processes.

    With 0 workers, this process reads them. Each worker computes on one thread (torch's own rule).
    Batches are in pinned memory if there is a GPU. An error in a worker is raised here unchanged.
    Close the iterator when an error ends the loop over it: the interpreter waits for the workers.
    """
    batches = DataLoader(
        _Outcomes(segments),
        sampler=range(start, start + steps),
        batch_size=None,  # an item is a whole batch
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_signals_to_parent,
        generator=torch.Generator(),  # the loader draws a seed: not from the global random state
    )
    with _closing_workers(batches) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome


@contextmanager
def _closing_workers(batches: DataLoader[_Outcome]) -> Iterator[Iterator[_Outcome]]:
    """An iterator over `batches` whose worker processes end with the block, however it is left.

    They ignore the signal by which the interpreter, when it exits, would end them.
    """
    before = set(multiprocessing.active_children())
    try:
        iterator = iter(batches)
    except BaseException:  # some may have been started
        _kill(set(multiprocessing.active_children()) - before)
        raise
    workers = set(multiprocessing.active_children()) - before
    try:
        yield iterator
    finally:
        for worker in workers:  # one that is stuck in a file has to be killed
            worker.terminate = worker.kill  # type: ignore[method-assign]
        if workers:
            iterator._shutdown_workers()  # type: ignore[attr-defined]
        _kill(workers)


def _kill(workers: set[BaseProcess]) -> None:
    for worker in workers:
        worker.kill()
        worker.join(timeout=1.0)


class _Outcomes(Dataset[_Outcome]):
    """Segments that return errors as items: raised in a worker, they would come as a traceback."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments

    def __getitem__(self, step: int) -> _Outcome:
        try:
            return self.segments[step]
        except (VocoderError, OSError, MemoryError) as error:
            return error


def _leave_signals_to_parent(_worker: int) -> None:
    # Ctrl-C and a scheduler's SIGTERM reach the whole process group. The trainer then finishes its
    # step and saves, for which the workers must live; they end with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
