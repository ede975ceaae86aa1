"""A run ends at once, in one line and without a trace, whatever fails in whichever phase."""

import errno
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vocoder.cli.app import main
from vocoder.data.segments import Segments
from vocoder.errors import VocoderError
from vocoder.training.ema import EMA
from vocoder.training.reporting.monitor import Monitor
from vocoder.training.reporting.validation import Validator
from vocoder.training.states import TrainingStates
from vocoder.training.trainer import Trainer

from .test_signals import SMALL, free_port

PHASES: dict[str, tuple[type, str, int]] = {  # what fails, and at which call in a process
    "building": (EMA, "__init__", 1),
    "first batch": (Segments, "__getitem__", 2),  # the first call is the dry run of the step
    "step": (Trainer, "train_step", 2),
    "logging": (Monitor, "losses", 1),
    "validation": (Validator, "run", 1),
    "saving": (TrainingStates, "save", 1),
}
OF_RANK_0 = ("logging", "validation", "saving")
ERRORS: dict[str, Exception] = {
    "input": VocoderError("it is broken"),
    "disk": OSError(errno.ENOSPC, "No space left on device", "some/file"),
    "fault": RuntimeError("it is a fault of the program"),
}
LOST = "process {} of this run has ended: {}"


def fail(phase: str, error: str, said: Path) -> None:
    """Let the function of a phase raise an error, and write the time of that to a file."""
    owner, name, at = PHASES[phase]
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < at:
            return function(*arguments, **named)
        said.write_text(str(time.time()))
        raise ERRORS[error]

    setattr(owner, name, failing)


def train(
    arguments: list[str], environment: dict[str, str], log: Path, failure: tuple[str, str] | None
) -> None:
    """Run `vocoder train` in this process, a fork of the tests' one."""
    os.setsid()
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = log.open("w", buffering=1)  # noqa: SIM115 - until the end
    for stream in (1, 2):
        os.dup2(sys.stderr.fileno(), stream)
    os.environ |= environment
    if failure:
        fail(*failure, log.with_suffix(".said"))
    sys.argv = ["vocoder", "train", "system=demo", *SMALL, *arguments]
    main()


def living(session: int) -> list[str]:
    """Processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(entry.parent.name)
    return found


def outcomes(
    manifest: Path, folder: Path, *, phase: str, error: str, workers: int, ranks: int
) -> list[tuple[int | None, str, float]]:
    """Exit code, output, and seconds from the error to the end, of each process of a failing run.

    The process that fails is the first in the list.
    """
    arguments = [f"data.manifest={manifest}", f"trainer.output={folder / 'run'}"]
    arguments += ["data.batch_size=2", "data.segment=2048", "trainer.validation_clips=1"]
    arguments += ["trainer.max_steps=1000", "trainer.device=cpu", "trainer.threads=1"]
    arguments += [f"trainer.workers={workers}", "trainer.validation_seconds=0.3"]
    for phase_of, name in zip(OF_RANK_0, ("log", "validate", "save"), strict=True):
        arguments.append(f"trainer.{name}_every={2 if phase == phase_of else 1000}")
    environment: dict[str, str] = {}
    if ranks > 1:
        environment = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
        environment["MASTER_PORT"] = str(free_port())
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports for seconds, here only once
    failing = 0 if phase in OF_RANK_0 or ranks == 1 else 1
    fork, processes, logs = multiprocessing.get_context("fork"), [], []
    for rank in sorted(range(ranks), key=lambda rank: rank != failing):
        own = environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        logs.append(folder / f"{rank}.log")
        failure = (phase, error) if rank == failing else None
        process = fork.Process(target=train, args=(arguments, own, logs[-1], failure))
        process.start()
        processes.append(process)
    ends = []
    for process in processes:
        process.join(timeout=60)
        ends.append(time.time())
        assert process.pid
        left = living(process.pid)
        process.kill()
        assert not left, logs[0].read_text()
    raised = float(logs[0].with_suffix(".said").read_text())
    return [
        (process.exitcode, log.read_text(), end - raised)
        for process, log, end in zip(processes, logs, ends, strict=True)
    ]


def check(phase: str, error: str, workers: int, ranks: int, manifest: Path, folder: Path) -> None:
    (code, text, seconds), *others = outcomes(
        manifest, folder, phase=phase, error=error, workers=workers, ranks=ranks
    )
    assert seconds < 10.0
    assert str(ERRORS[error].args[0 if error != "disk" else 1]) in text
    if error == "fault":
        assert code == 1, text
        assert "Traceback" in text
    else:
        assert code == 2, text
        assert text.count("error: ") == 1
        assert "Traceback" not in text
    for code, text, seconds in others:
        assert seconds < 10.0
        assert code == 2, text
        assert text.count("error: ") == 1
        failed = 0 if phase in OF_RANK_0 else 1
        reason = str(ERRORS[error]) if error != "disk" else "some/file: No space left on device"
        assert LOST.format(failed, reason) in text
        assert "Traceback" not in text


def test_a_full_disk_keeps_the_last_state_and_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state: Any, path: Path) -> None:
        path.write_bytes(b"part")
        raise OSError(errno.ENOSPC, "No space left on device")

    states = TrainingStates(tmp_path, keep=2)
    states.save({"step": 1, "config": {}, "generator": {"weight": torch.zeros(3)}})
    monkeypatch.setattr("torch.save", full)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_500_000))
    large = {"step": 2, "config": {}, "generator": {"weight": torch.zeros(1_000_000)}}
    with pytest.raises(VocoderError) as caught:
        states.save(large)
    message = str(caught.value)
    assert "step-00000002.pt: cannot be written; a state needs 4.0 MB and 1.5 MB are" in message
    assert "newest state: step-00000001.pt" in message
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]


@pytest.mark.parametrize(
    ("phase", "error", "workers", "ranks"),
    [("saving", "disk", 2, 1), ("step", "fault", 0, 2)],
)
def test_a_failing_run_ends(
    phase: str, error: str, workers: int, ranks: int, manifest: Path, tmp_path: Path
) -> None:
    check(phase, error, workers, ranks, manifest, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_run_that_fails_in_any_phase_ends(
    phase: str, error: str, workers: int, ranks: int, manifest: Path, tmp_path: Path
) -> None:
    check(phase, error, workers, ranks, manifest, tmp_path)
