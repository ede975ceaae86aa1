"""Batches of files: the part that the commands `mel`, `vocode`, `resynth` and `extend` share."""

import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from vocoder.cli.files.sources import Job, JobPlan
from vocoder.cli.files.workers import in_order
from vocoder.errors import VocoderError
from vocoder.threads import default_threads

if TYPE_CHECKING:
    from vocoder.inference.model import InferenceModel

_SHOWN_PROBLEMS = 20


class FileBatch(NamedTuple):
    """Files to make, messages about what cannot be made, and CPU threads for all of it."""

    jobs: list[Job]
    problems: list[str]
    threads: int
    workers: int

    def run(
        self, make: Callable[[Path, Path], float], model: "InferenceModel | None" = None
    ) -> int:
        """Make the files as `run` does, with the threads that suit `model` in each worker."""
        inside = max(1, self.threads // self.workers)
        if model is not None:
            from vocoder.inference.threads import operation_threads

            inside = operation_threads(model, inside)

        def with_threads(source: Path, target: Path) -> float:
            import torch

            torch.set_num_threads(inside)
            return make(source, target)

        return run(self.jobs, with_threads, problems=self.problems, workers=self.workers)


def prepare(
    planned: JobPlan, problems: Sequence[str], *, threads: int | None, device: str
) -> FileBatch:
    """Decide how many files of a plan are made at a time; call this before a model is loaded.

    On a CPU each thread has a file of its own, as long as there are as many; other devices take one
    file after another. `threads` is None for the default.
    """
    import torch

    if device == "cpu":
        count = threads or default_threads()
        workers = max(1, min(count, len(planned.jobs)))
        # Before workers begin there must be no threads: a process that has some is not copied.
        torch.set_num_threads(1 if workers > 1 else count)
    else:
        count, workers = threads or torch.get_num_threads(), 1
    return FileBatch(planned.jobs, [*problems, *planned.problems], count, workers)


class _Outcome(NamedTuple):
    """What became of a job: seconds of audio, seconds that it took, messages."""

    seconds: float
    took: float
    warnings: list[str]
    problem: str | None


def run(
    jobs: Sequence[Job],
    make: Callable[[Path, Path], float],
    *,
    problems: Sequence[str] = (),
    workers: int = 1,
) -> int:
    """Call `make(source, target)`, which returns the seconds of audio, for every job.

    So many jobs at a time as there are `workers`; what is printed has their order: a line per file,
    its warnings on stderr, and a bar on a terminal. A job that raises VocoderError is skipped; at
    the end the `problems` and these errors are written to stderr, a line each. Returns the exit
    code: 0, or 2 if anything failed.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    failed = list(problems)
    done, total, begin = 0, 0.0, time.perf_counter()
    try:
        with (
            in_order(functools.partial(_attempt, make), jobs, workers=workers) as outcomes,
            progress_bar(console) as progress,
        ):
            outcomes = iter(progress.track(outcomes, total=len(jobs), description=""))
            for job, outcome in zip(jobs, outcomes, strict=True):
                for warning in outcome.warnings:
                    sys.stderr.write(f"{warning}\n")
                if outcome.problem is not None:
                    failed.append(outcome.problem)
                    continue
                done, total = done + 1, total + outcome.seconds
                console.print(_line(str(job.target), outcome.seconds, outcome.took))
    except VocoderError as error:  # of the workers
        failed.append(str(error))
    if len(jobs) > 1:
        console.print(_line(f"{done} files", total, time.perf_counter() - begin))
    return report(failed)


def _attempt(make: Callable[[Path, Path], float], job: Job) -> _Outcome:
    """Do one job; a VocoderError becomes its problem."""
    start, seconds, problem = time.perf_counter(), 0.0, None
    with _warnings(job.source) as warnings:
        try:
            make_directory(job.target.parent)
            seconds = make(job.source, job.target)
        except VocoderError as error:
            named = str(job.source) in str(error)
            problem = str(error) if named else f"{job.source}: {error}"
    return _Outcome(seconds, time.perf_counter() - start, warnings, problem)


def report(problems: Sequence[str]) -> int:
    """Write problems (the first ones of many) to stderr, a line each; returns the exit code."""
    shown = list(problems[:_SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    for problem in shown:
        sys.stderr.write(f"error: {printable(problem)}\n")
    return 2 if problems else 0


def printable(text: str) -> str:
    """A text in one line for the terminal: what cannot be shown, as in some names, is escaped."""
    return "".join(sign if sign.isprintable() else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # stands for a byte that is no UTF-8
        return f"\\x{ord(sign) & 0xFF:02x}"
    return sign.encode("unicode_escape").decode()


def make_directory(directory: Path) -> None:
    """Create a directory and its parents. Raises VocoderError if that fails."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VocoderError(f"{directory}: cannot be made ({error.strerror})") from error


def progress_bar(console: Console) -> Progress:
    """A progress bar with count and time left; disabled where `console` is no terminal."""
    return Progress(
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _line(name: str, seconds: float, took: float) -> str:
    return f"{printable(name)}  {seconds:.2f} s  {seconds / max(took, 1e-9):.1f} x real time"


class _WarningLines(logging.Handler):
    """Warnings of this thread as lines, one each, that name a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self.path = path
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.lines.append(printable(f"warning: {self.path}: {record.getMessage()}"))


@contextmanager
def _warnings(path: Path) -> Iterator[list[str]]:
    """The warnings of this package inside the context, as lines that name `path`."""
    handler = _WarningLines(path)
    logger = logging.getLogger("vocoder")
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
