"""Batches of files: the part that the commands `mel`, `vocode`, `resynth` and `extend` share."""

import glob
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from vocoder.errors import VocoderError

# An output with such a suffix is a file, never a directory of that name.
_FILE_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac", ".npy", ".npz", ".pt", ".pth"}
    | {".safetensors", ".json", ".csv", ".txt"}
)
_SHOWN_PROBLEMS = 20


class Source(NamedTuple):
    """An input file, and `name`: its path below the output directory, without suffix."""

    path: Path
    name: str


class Job(NamedTuple):
    """A file to make (`target`) from another (`source`)."""

    source: Path
    target: Path


def find_sources(
    arguments: Iterable[str], suffixes: Iterable[str]
) -> tuple[list[Source], list[str]]:
    """The files that `arguments` name, each once, and a message for every argument without any.

    An argument is a file, a directory with files of these `suffixes` at any depth, or a pattern
    (`*`, `?`, `[…]`, `**`); the outputs of the last two keep the sub-folders.
    """
    suffixes = tuple(suffixes)
    sources: dict[Path, Source] = {}
    problems = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            base, found = path, _below(path, suffixes)
        elif not path.exists() and glob.has_magic(argument):
            base = _fixed_part(path)
            found = [Path(name) for name in sorted(glob.glob(argument, recursive=True))]
            found = [entry for entry in found if entry.is_file()]
        else:
            base, found = path.parent, [path]
        if not found:
            problems.append(f"{argument}: no {', '.join(sorted(suffixes))} file there")
        for file in found:
            name = file.relative_to(base).with_suffix("").as_posix()
            sources.setdefault(file.resolve(), Source(file, name))
    return list(sources.values()), problems


def plan(
    sources: Sequence[Source], output: Path, *, formats: Sequence[str], chosen: str | None = None
) -> list[Job]:
    """Pair each source with its target: a file below the directory `output`, or that file itself.

    `formats` are suffixes without the dot, `chosen` is one of them or None (that of the file, or
    the first). Raises VocoderError if two sources would share a file or one would be overwritten.
    """
    suffix = output.suffix.lower()
    if suffix in _FILE_SUFFIXES and not output.is_dir():
        if suffix[1:] not in ([chosen] if chosen else formats):
            listed = chosen or ", ".join(formats)
            raise VocoderError(f"{output}: the format here is {listed}; or name a directory")
        if len(sources) > 1:
            raise VocoderError(f"{output}: one file for {len(sources)} inputs; name a directory")
        jobs = [Job(source.path, output) for source in sources]
    else:
        ending = chosen or formats[0]
        jobs = [Job(source.path, output / f"{source.name}.{ending}") for source in sources]
    owners: dict[Path, Path] = {source.path.resolve(): source.path for source in sources}
    for job in jobs:
        owner = owners.setdefault(job.target.resolve(), job.source)
        if owner is not job.source or job.target.resolve() == job.source.resolve():
            raise VocoderError(
                f"{job.source}: would be written to {job.target}, which is or comes from {owner}; "
                "name another directory, or give the folder that holds all inputs"
            )
    return jobs


def run(
    jobs: Sequence[Job], make: Callable[[Path, Path], float], *, problems: Sequence[str] = ()
) -> int:
    """Call `make(source, target)`, which returns the seconds of audio, for every job.

    Prints a line per file, and a bar on a terminal. A job that raises VocoderError is skipped; at
    the end the `problems` and these errors are written to stderr, a line each. Returns the exit
    code: 0, or 2 if anything failed.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    failed = list(problems)
    total, begin = 0.0, time.perf_counter()
    with progress_bar(console) as progress:
        for job in progress.track(jobs, description=""):
            start = time.perf_counter()
            try:
                with _naming(job.source):
                    make_directory(job.target.parent)
                    seconds = make(job.source, job.target)
            except VocoderError as error:
                failed.append(str(error))
                continue
            total += seconds
            console.print(_line(str(job.target), seconds, time.perf_counter() - start))
    done = len(jobs) + len(problems) - len(failed)
    if len(jobs) > 1:
        console.print(_line(f"{done} files", total, time.perf_counter() - begin))
    return report(failed)


def report(problems: Sequence[str]) -> int:
    """Write problems (the first ones of many) to stderr, a line each; returns the exit code."""
    shown = list(problems[:_SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    for problem in shown:
        sys.stderr.write(f"error: {' '.join(problem.split())}\n")
    return 2 if problems else 0


def make_directory(directory: Path) -> None:
    """Create a directory and its parents. Raises VocoderError if that fails."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VocoderError(f"{directory}: cannot be made ({error.strerror})") from error


def _below(directory: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files under a directory with one of the suffixes, apart from hidden ones."""
    return [
        path
        for path in sorted(directory.rglob("*"))
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
    ]


def _fixed_part(pattern: Path) -> Path:
    """The directory above the first part of a pattern that has a wildcard."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    return Path(*fixed)


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
    return f"{name}  {seconds:.2f} s  {seconds / max(took, 1e-9):.1f} x real time"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors and warnings raised inside this context name `path`."""
    handler = logging.StreamHandler()
    escaped = str(path).replace("%", "%%")
    handler.setFormatter(logging.Formatter(f"warning: {escaped}: %(message)s"))
    logger = logging.getLogger("vocoder")
    logger.addHandler(handler)
    try:
        yield
    except VocoderError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    finally:
        logger.removeHandler(handler)
