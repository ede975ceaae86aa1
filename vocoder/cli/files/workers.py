"""Work on several items at a time, in processes where that is safe, otherwise in threads."""

import ctypes
import functools
import gc
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from vocoder.errors import VocoderError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_KILLED = "a worker process was killed, as by a lack of memory; use fewer of them (--jobs)"
_LARGEST = 16  # items that a worker is handed at a time, where there are many
_WAITING = 2  # such groups for each worker, so that none waits for this process


@contextmanager
def completed(
    work: Callable[[_Item], _Result], items: Sequence[_Item], *, workers: int
) -> Iterator[Iterator[tuple[int, _Result]]]:
    """An iterator over (index, `work(item)`) as they are done, so many of them at a time.

    With one worker, this thread does the work. Otherwise processes do, copies of this one, which
    share its memory as long as they do not write to it; or threads, where it has several threads
    and a copy might wait for the others. If an exception ends the block, or a signal this process,
    what has been begun is ended by an exception, too. Raises VocoderError if a worker is killed.
    """
    if workers <= 1:
        yield enumerate(map(work, items))
        return
    every = functools.partial(_every, work)
    pool = _processes(every, workers) if _has_one_thread() else ThreadPoolExecutor(workers)
    busy = _BusyThreads(every)
    call = _work_here if isinstance(pool, ProcessPoolExecutor) else busy
    others = set(multiprocessing.active_children())
    groups = spans(len(items), workers)

    def submit(group: range) -> "Future[list[_Result]]":
        return pool.submit(call, items[group.start : group.stop])

    gc.freeze()  # or else each worker copies what its collector looks at
    with _without_interrupts():  # inherited: Ctrl-C is for this process alone to handle
        first = list(itertools.islice(groups, _WAITING * workers))
        pending = {submit(group): group for group in first}
    gc.unfreeze()
    try:
        yield _results(pending, groups, submit)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        busy.interrupt()
        raise
    finally:
        pool.shutdown()


def in_order(results: Iterable[tuple[int, _Result]]) -> Iterator[_Result]:
    """The results of `completed` in the order of the items."""
    early: dict[int, _Result] = {}
    following = 0
    for index, result in results:
        early[index] = result
        while following in early:
            yield early.pop(following)
            following += 1


def spans(count: int, workers: int) -> Iterator[range]:
    """The indices of `count` items in groups for workers: single ones, unless there are many."""
    size = max(1, min(_LARGEST, count // (64 * workers)))
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _every(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    return [work(item) for item in items]


def _results(
    pending: "dict[Future[list[_Result]], range]",
    groups: Iterator[range],
    submit: "Callable[[range], Future[list[_Result]]]",
) -> Iterator[tuple[int, _Result]]:
    """Results as they are done; for each group, the next one is submitted."""
    try:
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                group = pending.pop(future)
                for following in itertools.islice(groups, 1):
                    pending[submit(following)] = following
                yield from zip(group, future.result(), strict=True)
    except BrokenProcessPool as error:
        raise VocoderError(_KILLED) from error


def _has_one_thread() -> bool:
    """Whether this process has no thread but this one, native ones included (known on Linux)."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class _BusyThreads:
    """Work that threads do, and that can be interrupted in them."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self._threads: set[int] = set()

    def __call__(self, item: Any) -> Any:
        own = threading.get_ident()
        self._threads.add(own)
        try:
            return self._work(item)
        finally:
            self._threads.discard(own)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in every thread at work, between two of its instructions."""
        for thread in tuple(self._threads):
            number, interrupt = ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(number, interrupt)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block, and for ever in what is started in it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_work: Callable[[Any], Any]  # of a worker process


def _processes(work: Callable[[Any], Any], workers: int) -> Executor:
    """A pool whose processes are copies of this one, made when the first item is submitted."""
    context = multiprocessing.get_context("fork")
    try:
        return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(work,))
    except (ImportError, OSError):  # no semaphores here, as without /dev/shm
        return ThreadPoolExecutor(workers)


def _begin(work: Callable[[Any], Any]) -> None:
    """Prepare a worker process."""
    global _work
    _work = work
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # another one would stop what is being cleaned up
    raise SystemExit


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _work_here(item: Any) -> Any:
    """Do the work of a worker process on an item."""
    try:
        return _work(item)
    except SystemExit:  # of `_end`, which the pool would take for the result
        os._exit(1)
