"""Threads for kernels: a pool of the process, whose idle threads sleep."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

_pool: ThreadPoolExecutor | None = None


def run_tasks(tasks: Iterable[Callable[[], None]], threads: int) -> None:
    """Run tasks in up to `threads` threads, of which the calling one is the first.

    A thread that is free takes the next task. Raises the exception of a task that fails.
    """
    queue = iter(list(tasks))  # taking the next one is atomic

    def work() -> None:
        for task in queue:
            task()

    helpers = [_executor().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        # One that has not begun has nothing left to do.
        begun = [helper for helper in helpers if not helper.cancel()]
        for helper in begun:
            helper.result()


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="vocoder-kernel")
    return _pool


def _forget() -> None:
    """Leave a parent's threads, which a forked process does not have."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
