"""The files that a command reads, and those that it makes of them."""

import fnmatch
import functools
import glob
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vocoder.errors import VocoderError
from vocoder.io.folder import Found, find_files

# An output with such a suffix is a file, never a directory of that name.
_FILE_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac", ".npy", ".npz", ".pt", ".pth"}
    | {".safetensors", ".json", ".csv", ".txt"}
)


class Source(NamedTuple):
    """An input file, and `name`: its path below the output directory, without suffix."""

    path: Path
    name: str


class Job(NamedTuple):
    """A file to make (`target`) from another (`source`)."""

    source: Path
    target: Path


class JobPlan(NamedTuple):
    """The files to make, and a message for each group of sources that would share one."""

    jobs: list[Job]
    problems: list[str]


def find_sources(
    arguments: Iterable[str], suffixes: Iterable[str]
) -> tuple[list[Source], list[str]]:
    """The files that `arguments` name, each once, and a message for whatever names none.

    An argument is a file, a directory with files of these `suffixes` at any depth, or a pattern
    (`*`, `?`, `[…]`, `**`); the outputs of the last two keep the sub-folders. A file has as many
    outputs as it has names, by links to it or to a folder above it. Links that lead nowhere and
    folders that cannot be read have a message.
    """
    suffixes = tuple(suffixes)
    sources: dict[str, Source] = {}
    problems = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            base, found = path, find_files(path, suffixes)
        elif not os.path.lexists(path) and glob.has_magic(argument):
            base, found = _fixed_part(path), _expand(path)
        else:
            base, found = path.parent, Found([path], {})
        if not found.files:
            listed = ", ".join(suffixes[:4]) + (", …" if len(suffixes) > 4 else "")
            problems.append(f"{argument}: no {listed} file there")
        problems += [f"{skipped}: {reason}" for skipped, reason in found.skipped.items()]
        for file in found.files:
            name = file.relative_to(base).with_suffix("").as_posix()
            sources.setdefault(os.path.abspath(file), Source(file, name))
    return list(sources.values()), problems


def plan(
    sources: Sequence[Source], output: Path, *, formats: Sequence[str], chosen: str | None = None
) -> JobPlan:
    """Pair each source with its target: a file below the directory `output`, or that file itself.

    `formats` are suffixes without the dot, `chosen` is one of them or None (that of the file, or
    the first). Sources that would share a target, or overwrite a source, have a problem instead.
    Raises VocoderError if `output` is a file of another format, or one file for several sources.
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
    real = _RealPaths()
    inputs = {real(source.path): source.path for source in sources}
    makers: dict[str, list[Job]] = {}
    for job in jobs:
        makers.setdefault(real(job.target), []).append(job)
    planned = JobPlan([], [])
    for target, group in makers.items():
        if problem := _conflict(group, inputs.get(target)):
            planned.problems.append(problem)
        else:
            planned.jobs.extend(group)
    return planned


class _RealPaths:
    """Finds paths without links; each folder is looked into once."""

    def __init__(self) -> None:
        self._folder = functools.cache(os.path.realpath)

    def __call__(self, path: Path) -> str:
        found = os.path.join(self._folder(path.parent), path.name)
        return os.path.realpath(found) if os.path.islink(found) else found


def _conflict(group: Sequence[Job], overwritten: Path | None) -> str | None:
    """Why the jobs of one target cannot be done."""
    (first, target), names = group[0], [str(job.source) for job in group]
    if overwritten:
        return f"{first}: would be written over the input {overwritten}; name another directory"
    if len(group) == 1:
        return None
    here = all(job.source.parent == first.parent for job in group)
    advice = "rename one of them" if here else "give the folder that holds them all, or rename one"
    return f"{names[0]}: would be written to {target}, as {' and '.join(names[1:])}; {advice}"


def _expand(pattern: Path) -> Found:
    """The files that match a pattern, apart from hidden ones."""
    if "**" in pattern.parts:  # glob would follow links in circles
        base = _fixed_part(pattern)
        wanted = pattern.relative_to(base).parts
        every = find_files(base, [""])

        def fits(path: Path) -> bool:
            return _matches(path.relative_to(base).parts, wanted)

        skipped = {path: why for path, why in every.skipped.items() if path.is_dir() or fits(path)}
        return Found(list(filter(fits, every.files)), skipped)
    names = map(Path, sorted(glob.glob(str(pattern))))
    entries = [name for name in names if not name.is_dir()]
    files = [entry for entry in entries if entry.is_file()]
    lost = set(entries).difference(files)
    return Found(files, dict.fromkeys(sorted(lost), "is a link that leads nowhere"))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, of which `**` is any number."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], pattern[0])
        and _matches(parts[1:], pattern[1:])
    )


def _fixed_part(pattern: Path) -> Path:
    """The directory above the first part of a pattern that has a wildcard."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    return Path(*fixed)
