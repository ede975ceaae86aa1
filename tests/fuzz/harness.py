"""The parent process: starts the worker, starts it again after a crash, and clusters the faults."""

import json
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.fuzz.worker import BROKEN

ROOT = Path(__file__).parents[2]
SILENT_SECONDS = 120.0  # without a line from the worker: it waits for something


class Fault(NamedTuple):
    """One faulty run: its number, the kind of fault, where it arose, and the text of the error."""

    run: int
    kind: str
    where: str
    text: str


@dataclass
class Result:
    """The runs of one reader."""

    reader: str
    seed: int
    runs: int = 0
    results: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0  # without the starts of workers
    faults: list[Fault] = field(default_factory=list)


def fuzz(
    reader: str,
    *,
    runs: int,
    seed: int = 0,
    start: int = 0,
    seconds: float | None = None,
    keep: Path | None = None,
) -> Result:
    """Run mutations `start` to `start + runs` of a reader, or as many as `seconds` allow."""
    result, number = Result(reader, seed), start
    memory = Path("/dev/shm")  # files in memory, where there is such a place
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        while number < start + runs and (seconds is None or result.seconds < seconds):
            plan = {"reader": reader, "seed": seed, "start": number, "stop": start + runs}
            plan |= {"folder": folder, "keep": str(keep.resolve()) if keep else None}
            number = _run_worker(plan, result, seconds)
    return result


def _run_worker(plan: dict[str, Any], result: Result, seconds: float | None) -> int:
    """Follow one worker to its end; returns the number of the run to go on with."""
    command = [sys.executable, "-m", "tests.fuzz.worker", json.dumps(plan)]
    number, begun, since = plan["start"], False, 0.0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        while begun or seconds is None or result.seconds < seconds:
            ready, _, _ = select.select([process.stdout], [], [], SILENT_SECONDS)
            line = process.stdout.readline() if ready else b""
            if not line:
                break
            message = json.loads(line)
            if "begin" in message:
                number, begun, since = message["begin"], True, time.monotonic()
            else:
                result.seconds += time.monotonic() - since
                result.runs, number = result.runs + 1, number + 1
                result.results[message["result"]] += 1
                result.faults += [Fault(*fault) for fault in message["faults"]]
                begun = False
        else:
            process.kill()
            return number
        if not ready:
            process.kill()
        code = process.wait()
    if code == BROKEN or (code and number == plan["start"] and not begun):
        raise RuntimeError(f"the worker of {plan['reader']} failed (code {code})")
    if begun:
        kind = f"process ended ({code})" if ready else "hangs"
        result.faults.append(Fault(number, kind, "", ""))
        result.runs, number = result.runs + 1, number + 1
    return int(number)


def clusters(faults: list[Fault]) -> list[list[Fault]]:
    """Faults of one kind and place together, the largest cluster first."""
    found: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        found[fault.kind, fault.where].append(fault)
    return sorted(found.values(), key=len, reverse=True)


def report(result: Result) -> str:
    """Text with the counts of a reader and its clusters of faults."""
    rate = result.runs / max(result.seconds, 1e-9)
    lines = [
        f"{result.reader}: {result.runs} runs, {result.results['accepted']} accepted, "
        f"{len(result.faults)} faults ({rate:.0f} runs/s)"
    ]
    for cluster in clusters(result.faults):
        first = min(cluster)
        lines.append(
            f"  {len(cluster):5} × {first.kind}  {first.where}\n          {first.text[:300]}\n"
            f"          python -m tests.fuzz {result.reader} --seed {result.seed} "
            f"--start {first.run} --runs 1 --keep faults"
        )
    return "\n".join(lines)
