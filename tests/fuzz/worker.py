"""The worker process: mutates, reads, and says what happened, one line of JSON for each step."""

import gc
import json
import logging
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

CPU_SECONDS = 2.0  # for one run
KILL_SECONDS = 20  # of CPU time, for native code that does not return
MEMORY = 500 * 2**20  # growth in one run
ADDRESSES = 3 * 2**29  # beyond those of the start: an allocation above fails at once
BROKEN = 99  # the exit code if the harness itself fails
LONGEST = 10_000  # characters of a message
PACKAGE = f"{os.sep}vocoder{os.sep}"


class TooSlow(BaseException):
    """Raised in a run that takes five times as long as it may."""


def work(plan: dict[str, Any], send: Callable[[dict[str, Any]], None], output: Path) -> None:
    """All runs of the plan; returns early if memory has been lost or used up."""
    from tests.fuzz.mutations import mutate
    from tests.fuzz.readers import reader_of

    reader = reader_of(plan["reader"])
    seeds, folder = reader.seeds(), Path(plan["folder"]) / "run"
    for files in seeds:  # imports and caches are filled before anything is measured
        attempt(reader.run, write(files, folder), str(folder))
    gc.freeze()
    limits = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + ADDRESSES, limits))
    for number in range(plan["start"], plan["stop"]):
        rng = Random(f"{plan['seed']} {number}")
        try:
            files = mutate(rng, seeds)
        except MemoryError:  # thousands of runs have fragmented it: a new worker goes on
            if number == plan["start"]:
                raise
            return
        send({"begin": number})
        target = write(files, folder)
        output.write_bytes(b"")
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM counts from here
        before, begin = memory("VmHWM"), time.process_time()
        with limited_time():
            result, where, faults = attempt(reader.run, target, reader.origin(folder))
        seconds, grown = time.process_time() - begin, memory("VmHWM") - before
        if seconds > CPU_SECONDS:
            faults.append(("slow", where, f"{seconds:.1f} s of CPU time"))
        if grown > MEMORY:
            faults.append(("memory", where, f"{grown >> 20} MiB"))
        if output.stat().st_size:
            said = output.read_text(errors="replace").strip()
            faults.append(("writes to the terminal", _head(said), said[:300]))
        if faults and plan["keep"]:
            kept = Path(plan["keep"]) / f"{plan['reader']}-{plan['seed']}-{number}"
            shutil.rmtree(kept, ignore_errors=True)
            write(files, kept)
        send({"result": result, "faults": [(number, *fault) for fault in faults]})
        if grown > MEMORY:
            return


@contextmanager
def limited_time() -> Iterator[None]:
    """TooSlow after some seconds of CPU time; code that ignores it ends with the process."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = int(time.process_time()) + KILL_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
    signal.setitimer(signal.ITIMER_PROF, 5 * CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def attempt(
    run: Callable[[Path], None], path: Path, origin: str
) -> tuple[str, str, list[tuple[str, str, str]]]:
    """The result in a word or two, the place where it arose, and faults (kind, place, text)."""
    from vocoder.errors import VocoderError

    try:
        run(path)
    except VocoderError as error:
        where, text = place(error), str(error)[:300]
        faults = [(kind, where, text) for kind in complaints(error, origin)]
        return f"refused at {where}", where, faults
    except (Exception, SystemExit, TooSlow) as error:
        kind, where = type(error).__name__, place(error)
        return kind, where, [(kind, where, str(error)[:300])]
    return "accepted", "accepted", []


def complaints(error: Exception, origin: str) -> list[str]:
    """What is wrong with a refusal: it names no file, has several lines, or comes too late."""
    text, found = str(error), []
    if origin not in text:
        found.append("does not name the file")
    if len(text.splitlines()) != 1:
        found.append("not one line")
    if len(text) > LONGEST:
        found.append("too long")
    link: BaseException | None = error
    while link is not None:
        if "allocate" in str(link) or (isinstance(link, MemoryError) and not _parsing(link)):
            found.append("tried to allocate")
            break
        link = link.__cause__ or link.__context__
    return found


def _parsing(error: BaseException) -> bool:
    """Whether the error is Python's parser that gives up on deep nesting."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.endswith("ast.py")


def place(error: BaseException) -> str:
    """The innermost line of the package in the traceback, or the beginning of the message."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if PACKAGE in f.filename]
    if not frames:
        return _head(str(error))
    return f"vocoder/{frames[-1].filename.rpartition(PACKAGE)[2]}:{frames[-1].lineno}"


def _head(text: str) -> str:
    return re.sub(r"\d+|/\S+", "#", text)[:60]


def write(files: dict[str, bytes], folder: Path) -> Path:
    """Write files into an empty folder; returns the one that is read, or the folder for ""."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    first = next(iter(files))
    return folder / first if first else folder


def memory(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) << 10


def main() -> None:
    plan = json.loads(sys.argv[1])
    channel = os.fdopen(os.dup(1), "w")
    output = Path(plan["folder"]) / "output"
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    errors = os.dup(2)
    os.dup2(descriptor, 2)

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    def stop(signum: int, frame: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, stop)
    logging.getLogger().addHandler(logging.NullHandler())  # our own messages are meant
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("always")
    try:
        work(plan, send, output)
    except BaseException:  # a fault of the harness
        os.dup2(errors, 2)
        traceback.print_exc()
        sys.exit(BROKEN)


if __name__ == "__main__":
    main()
