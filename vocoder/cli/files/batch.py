"""Batches of files: the part that the commands `mel`, `vocode`, `resynth` and `extend` share."""

import functools
import logging
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from vocoder import __version__
from vocoder.cli.files import cluster, workers
from vocoder.cli.files.record import Record
from vocoder.cli.files.sources import Job, JobPlan
from vocoder.cli.progress import Lines, printable, progress_bar, report
from vocoder.errors import VocoderError
from vocoder.io.atomic import remove_leftovers
from vocoder.threads import default_threads

if TYPE_CHECKING:
    from vocoder.inference.model import InferenceModel


class FileBatch(NamedTuple):
    """Files to make, messages about what cannot be made, and who makes how many at a time.

    `several`: there was more than one to make in the beginning. `threads` are those for each file.
    """

    jobs: list[Job]
    problems: list[str]
    several: bool
    threads: int
    workers: int
    cluster_workers: int | None = None  # None for all cores of the cluster
    engine: str = "local"
    device: str = "cpu"
    record: Record | None = None

    def resume(self, output: Path, command: str, settings: Mapping[str, Any]) -> "FileBatch":
        """The batch without the files of `output` that `command` made before it was stopped.

        That is said on stdout, and on stderr if the `settings` were other ones. What a killed
        process has left of the files is removed. A single file is always made.
        """
        names = defaultdict(set)
        for job in self.jobs:
            names[job.target.parent].add(job.target.name)
        for folder, targets in names.items():
            remove_leftovers(folder, targets)
        if not self.several:
            return self
        record = Record(output, command, {**settings, "version": __version__})
        if record.changed:
            listed = ", ".join(record.changed)
            sys.stderr.write(
                f"warning: {output}: the files there were made with other settings ({listed}); "
                "all are made again\n"
            )
        left = [job for job in self.jobs if not record.has(job)]
        if done := len(self.jobs) - len(left):
            print(f"{done} of {len(self.jobs)} files were made before", flush=True)
        return self._replace(jobs=left, record=record)

    def run(
        self, make: Callable[[Path, Path], float], model: "InferenceModel | None" = None
    ) -> int:
        """Make the files as `run` does, with the threads that suit `model`."""
        inside, several = self.threads, self.several  # `prepared` may be sent to other machines
        if model is not None:
            from vocoder.inference.threads import operation_threads

            inside = operation_threads(model, inside)

        def prepared(source: Path, target: Path) -> float:
            import torch

            torch.set_num_threads(inside)
            if several:
                compile_now(model)
            return make(source, target)

        if several and self.jobs and self.engine == "local":  # the workers share it
            compile_now(model)
        engine = functools.partial(workers.completed, workers=min(self.workers, len(self.jobs)))
        if self.jobs and self.engine == "ray":
            gpus = int(self.device != "cpu")
            engine = functools.partial(cluster.completed, workers=self.cluster_workers, gpus=gpus)
        with self.record or nullcontext():
            code = run(
                self.jobs, prepared, problems=self.problems, engine=engine, record=self.record
            )
        if self.record and not code:
            self.record.remove()
        return code


def compile_now(model: "InferenceModel | None") -> None:
    """Compile a model now, unless it is: in the middle of a batch, that would change the rounding.

    On Ray, each worker does it.
    """
    from vocoder.inference.compiled.just_in_time import JustInTime

    if model is not None and isinstance(model.network, JustInTime):
        model.network.compile()


def prepare(
    planned: JobPlan,
    problems: Sequence[str],
    *,
    jobs: int | None,
    device: str,
    engine: str = "local",
) -> FileBatch:
    """Decide how many files of a plan are made at a time; call this before a model is loaded.

    On a CPU each core has a file of its own, as long as there are as many, on Ray always; other
    devices take one file after another. `jobs` is None for all cores, on Ray for all of the
    cluster.
    """
    import torch

    several = len(planned.jobs) > 1
    if device == "cpu":
        count = jobs or default_threads()
        at_once = max(1, min(count, len(planned.jobs)))
        # Before workers begin there must be no threads: a process that has some is not copied.
        torch.set_num_threads(1 if several else count)
    else:
        count, at_once = jobs or torch.get_num_threads(), 1
    found = [*problems, *planned.problems]
    inside = 1 if engine == "ray" else max(1, count // at_once)
    return FileBatch(planned.jobs, found, several, inside, at_once, jobs, engine, device)


def measuring(jobs: int | None, engine: str) -> Callable[..., Iterator[tuple[int, Any]]]:
    """The `each` of an audit: several files at a time, with a bar on a terminal."""
    import torch

    torch.set_num_threads(1)

    def each(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        at_once = min(jobs or default_threads(), len(items))
        running: AbstractContextManager[Iterator[tuple[int, Any]]] = (
            cluster.completed(work, items, workers=jobs)
            if engine == "ray"
            else workers.completed(work, items, workers=at_once)
        )
        with running as results, progress_bar(Console(stderr=True)) as bar:
            yield from bar.track(results, total=len(items), description="")

    return each


class _Outcome(NamedTuple):
    """What became of a job: seconds of audio, seconds that it took, messages."""

    seconds: float
    took: float
    warnings: list[str]
    problem: str | None


Engine = Callable[
    [Callable[[Job], _Outcome], Sequence[Job]],
    AbstractContextManager[Iterator[tuple[int, _Outcome | VocoderError]]],
]

_ONE_BY_ONE = functools.partial(workers.completed, workers=1)


def run(
    jobs: Sequence[Job],
    make: Callable[[Path, Path], float],
    *,
    problems: Sequence[str] = (),
    engine: Engine = _ONE_BY_ONE,
    record: Record | None = None,
) -> int:
    """Call `make(source, target)`, which returns the seconds of audio, for every job.

    `engine` has workers do it; what is printed has the order of the jobs: a line per file, its
    warnings on stderr, and a bar on a terminal. A job that raises VocoderError is skipped, others
    are entered in the `record`; at the end the `problems` and these errors are written to stderr, a
    line each. Returns the exit code: 0, or 2 if anything failed.
    """
    failed = list(problems)
    done, total, begin = 0, 0.0, time.perf_counter()
    lines = Lines(Console(highlight=False, markup=False, soft_wrap=True))
    try:
        with (
            engine(functools.partial(_attempt, make), jobs) as results,
            progress_bar(lines.console) as bar,
            lines,
        ):
            tracked = bar.track(_recorded(results, jobs, record), total=len(jobs), description="")
            for job, outcome in zip(jobs, workers.in_order(tracked), strict=True):
                for warning in outcome.warnings:
                    sys.stderr.write(f"{warning}\n")
                if outcome.problem is not None:
                    failed.append(outcome.problem)
                    continue
                done, total = done + 1, total + outcome.seconds
                lines.print(_line(str(job.target), outcome.seconds, outcome.took))
    except VocoderError as error:  # of the workers
        failed.append(str(error))
    if len(jobs) > 1:
        lines.print(_line(f"{done} files", total, time.perf_counter() - begin))
    return report(failed)


def _recorded(
    results: Iterator[tuple[int, _Outcome | VocoderError]],
    jobs: Sequence[Job],
    record: Record | None,
) -> Iterator[tuple[int, _Outcome]]:
    """Enter what was made in the record as it comes; errors of an engine become outcomes."""
    for index, outcome in results:
        if isinstance(outcome, VocoderError):
            outcome = _Outcome(0.0, 0.0, [], f"{jobs[index].source}: {outcome}")
        if record is not None and outcome.problem is None:
            record.add(jobs[index])
        yield index, outcome


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


def make_directory(directory: Path) -> None:
    """Create a directory and its parents. Raises VocoderError if that fails."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VocoderError(f"{directory}: cannot be made ({error.strerror})") from error


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
