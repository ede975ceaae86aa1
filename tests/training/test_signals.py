"""A signal ends all ranks of a run at the same step, with everything saved."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from vocoder.checkpoint import load_state

SMALL = ("generator.channels=16", "generator.hidden=16", "generator.blocks=1")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def ranks(manifest: Path, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two real processes that train together, once both have begun."""
    command = [sys.executable, "-m", "vocoder", "train", "system=demo", *SMALL]
    command += [f"data.manifest={manifest}", f"trainer.output={tmp_path / 'run'}"]
    command += ["data.batch_size=2", "trainer.max_steps=1000000", "trainer.log_every=1"]
    command += ["trainer.workers=0", "trainer.threads=1", "trainer.device=cpu"]
    command += [f"trainer.{name}_every=1000000" for name in ("validate", "save")]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    with ExitStack() as stack:
        processes = []
        for rank in range(2):
            environment = {**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            log = stack.enter_context((tmp_path / f"{rank}.log").open("w"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True)
            stack.callback(process.kill)
            processes.append(process)
        curve = tmp_path / "run" / "curve.jsonl"
        until = time.monotonic() + 120
        while not curve.exists() or curve.read_text().count("\n") < 3:
            assert all(process.poll() is None for process in processes), logs(tmp_path)
            assert time.monotonic() < until, logs(tmp_path)
            time.sleep(0.05)
        yield processes


def logs(folder: Path) -> str:
    return "\n".join((folder / f"{rank}.log").read_text() for rank in range(2))


def check_that_all_ended_at_one_step(
    processes: list[subprocess.Popen[str]], folder: Path, number: int
) -> None:
    codes = [process.wait(timeout=60) for process in processes]
    assert codes == [128 + number] * 2, logs(folder)
    (step,) = re.findall(rf"by signal {number} at step (\d+), saved", logs(folder))  # said once
    (state,) = (folder / "run" / "states").glob("step-*.pt")
    assert load_state(state)["step"] == int(step)
    assert (folder / "run" / "last" / "config.json").exists()
    assert "Traceback" not in logs(folder)


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_signal_to_one_rank_alone_ends_all_in_order(
    rank: int, ranks: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    ranks[rank].send_signal(signal.SIGTERM)
    check_that_all_ended_at_one_step(ranks, tmp_path, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "it was killed, or its machine was"),
        (signal.SIGSTOP, "nothing was heard of it for 30 s"),
    ],
)
def test_a_process_that_is_gone_ends_the_others_with_the_reason(
    number: signal.Signals, reason: str, ranks: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    ranks[1].send_signal(number)
    assert ranks[0].wait(timeout=60) == 2, logs(tmp_path)
    text = (tmp_path / "0.log").read_text()
    assert text.count("error: ") == 1
    assert f"error: process 1 of this run has ended: {reason}" in text
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1])
def test_signals_on_either_side_of_a_step(
    delay: float, ranks: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    ranks[0].send_signal(signal.SIGTERM)
    time.sleep(delay)
    ranks[1].send_signal(signal.SIGTERM)
    check_that_all_ended_at_one_step(ranks, tmp_path, signal.SIGTERM)
