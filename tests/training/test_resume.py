"""Runs that are killed lose nothing but the steps since the last state, and end as if they had not.

Processes are really killed, by SIGKILL: at random moments, and in the middle of writing a state.
"""

import json
import multiprocessing
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from vocoder.checkpoint import load_state
from vocoder.training.states import TrainingStates

from .test_failures import train
from .test_signals import free_port
from .test_trainer import flat

SAVE_EVERY = 4


def arguments(manifest: Path, run: Path, *, steps: int, workers: int, batch: int = 3) -> list[str]:
    given = [f"data.manifest={manifest}", f"trainer.output={run}", f"data.batch_size={batch}"]
    given += ["data.segment=2048", "trainer.validation_clips=1", "trainer.validation_seconds=0.3"]
    given += ["trainer.device=cpu", "trainer.threads=1", f"trainer.workers={workers}"]
    given += ["trainer.log_every=1", "trainer.validate_every=1000", "trainer.loggers=[]"]
    given += [f"trainer.save_every={SAVE_EVERY}", f"trainer.max_steps={steps}"]
    return [*given, "trainer.adversarial_start=2"]


def start(given: list[str], log: Path, environment: dict[str, str] | None = None) -> BaseProcess:
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports for seconds, here only once
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=train, args=(given, environment or {}, log, None))
    process.start()
    return process


def finish(given: list[str], folder: Path, ranks: int = 1) -> None:
    """Run to the end with `ranks` processes."""
    common: dict[str, str] = {}
    if ranks > 1:
        common = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
        common["MASTER_PORT"] = str(free_port())
    logs = [folder / f"end-{rank}.log" for rank in range(ranks)]
    processes = [
        start(given, log, common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if common else {})
        for rank, log in enumerate(logs)
    ]
    for process, log in zip(processes, logs, strict=True):
        process.join(timeout=120)
        assert process.exitcode == 0, log.read_text()


def last_step(run: Path) -> int:
    """The newest step that the curve of a run has."""
    curve = run / "curve.jsonl"
    lines = curve.read_text().splitlines() if curve.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def newest_state(run: Path) -> dict[str, Any]:
    found = TrainingStates(run / "states", keep=2).newest()
    assert found is not None
    return found[1]


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference between the tensors of two training states."""
    first, second = flat(one), flat(other)
    assert first.keys() == second.keys()
    tensors = [(a, second[name]) for name, a in first.items() if isinstance(a, torch.Tensor)]
    assert tensors
    return max(float((a - b).abs().max()) for a, b in tensors if a.numel())


def test_killed_in_the_middle_of_a_save_it_goes_on_from_the_state_before(
    manifest: Path, tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    complete = torch.save

    def killed(state: Any, path: Path) -> None:
        complete(state, path)
        if state["step"] == 2 * SAVE_EVERY:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = killed
    try:
        process = start(arguments(manifest, run, steps=10, workers=0), tmp_path / "log")
        process.join(timeout=60)
    finally:
        torch.save = complete
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert len(list((run / "states").glob(".step-*"))) == 1
    assert newest_state(run)["step"] == SAVE_EVERY
    finish(arguments(manifest, run, steps=10, workers=0), tmp_path)
    assert "left over from a killed run" in (tmp_path / "end-0.log").read_text()
    finish(arguments(manifest, whole, steps=10, workers=1), tmp_path)
    assert difference(newest_state(run), newest_state(whole)) == 0.0


@pytest.mark.slow
def test_killed_at_twenty_random_moments_it_ends_as_if_it_had_not_been(
    manifest: Path, tmp_path: Path
) -> None:
    run, whole, steps = tmp_path / "run", tmp_path / "whole", 400
    rng, moments, in_a_save = random.Random(0), 0, 0
    while moments < 20:
        given = arguments(manifest, run, steps=steps, workers=rng.choice((0, 1, 2)))
        begun = last_step(run)
        process = start(given, tmp_path / "log")
        while process.is_alive() and last_step(run) <= begun:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.5))
        if moments % 2:  # as soon as a state is being written
            while process.is_alive() and not list((run / "states").glob(".step-*")):
                pass
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
        moments += 1
        in_a_save += bool(list((run / "states").glob(".step-*")))
        last = last_step(run)
        if last > SAVE_EVERY:
            assert newest_state(run)["step"] >= (last - 1) // SAVE_EVERY * SAVE_EVERY
            paths = sorted((run / "states").glob("step-*.pt"))
            assert [load_state(path)["step"] for path in paths]  # not one is damaged
    print(f"killed {moments} times, {in_a_save} in a save, last at step {last}")
    assert in_a_save
    finish(arguments(manifest, run, steps=steps, workers=1), tmp_path)
    finish(arguments(manifest, whole, steps=steps, workers=0), tmp_path)
    assert difference(newest_state(run), newest_state(whole)) == 0.0


@pytest.mark.slow
def test_another_number_of_processes_goes_on_with_the_same_crops(
    manifest: Path, tmp_path: Path
) -> None:
    """2 processes, then 1, then 3: as one process, up to the rounding of sums."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    # Its losses are means over crops, so that the parts of a batch add up to the whole.
    losses = "objective=hifigan"
    for steps, ranks in ((3, 2), (6, 1), (9, 3)):
        given = arguments(manifest, run, steps=steps, workers=ranks % 2, batch=4)
        finish([*given, losses], tmp_path, ranks)
        assert newest_state(run)["step"] == steps
    finish([*arguments(manifest, whole, steps=9, workers=0, batch=4), losses], tmp_path)
    for name in ("generator", "discriminators"):
        assert difference(newest_state(run)[name], newest_state(whole)[name]) < 1e-5, name
