"""The threads that run kernels."""

import os
import threading
import time

import pytest

from vocoder.kernels.threads import run_tasks


def test_every_task_runs_once_in_several_threads() -> None:
    seen: list[tuple[int, int]] = []

    def task(number: int) -> None:
        time.sleep(0.005)
        seen.append((number, threading.get_ident()))

    run_tasks([lambda n=n: task(n) for n in range(12)], 3)  # type: ignore[misc]
    assert sorted(number for number, _ in seen) == list(range(12))
    assert len({thread for _, thread in seen}) > 1


@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_is_raised(threads: int) -> None:
    def fail() -> None:
        raise ValueError("task")

    with pytest.raises(ValueError, match="task"):
        run_tasks([fail] * 4, threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_makes_threads_of_its_own() -> None:
    run_tasks([lambda: time.sleep(0.01)] * 4, 2)
    child = os.fork()
    if child == 0:
        done: list[int] = []

        def task() -> None:
            time.sleep(0.01)
            done.append(1)

        run_tasks([task] * 4, 2)
        os._exit(0 if len(done) == 4 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
