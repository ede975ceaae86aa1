"""Speed of reading training crops, for `vocoder bench data`.

All times are in seconds. Crops come from the same code as in training, of the same clips; files
that the system has in its cache are read from there, as in the second epoch of a training.
"""

import cProfile
import math
import os
import pstats
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vocoder.data.loader import loader
from vocoder.data.manifest import Clip
from vocoder.data.segments import Segments
from vocoder.errors import ConfigError

_LEAST = 8  # crops of a kind of file, at least
_AHEAD = 4  # batches that a worker may have ready before the clock starts
_STEPS = 10**9  # more than are read in any time


@dataclass(frozen=True, kw_only=True)
class DataBenchSettings:
    """What to measure of the data of a training. Raises ConfigError for impossible values."""

    workers: tuple[int, ...] = (0, 1, 2)
    """Numbers of worker processes."""
    seconds: float = 5.0
    """Time for each of them, and for all kinds of files together."""
    rate: float = 1.0
    """Steps per second of the training, for which the workers are counted."""

    def __post_init__(self) -> None:
        if not self.workers or min(self.workers) < 0:
            raise ConfigError(f"workers {list(self.workers)}: give numbers of processes, 0 or more")
        if not 0.0 < self.seconds < math.inf or not 0.0 < self.rate < math.inf:
            raise ConfigError("seconds and steps per second must be positive")


@dataclass(frozen=True)
class LoaderSpeed:
    """What a number of workers reads per second: crops, and bytes of audio in float32."""

    workers: int
    crops: float
    bytes: float


@dataclass(frozen=True)
class FileSpeed:
    """What a crop costs from one kind of files, in one process.

    `reading` (opening, seeking, decoding) and `resampling` are shares of the time. `bytes` are read
    per crop, None where the system does not count them.
    """

    kind: str
    clips: int
    seconds: float
    reading: float
    resampling: float
    bytes: float | None


@dataclass(frozen=True)
class DataSpeed:
    """All results; `needed` workers deliver the steps per second that were asked for."""

    batch_size: int
    segment: int
    loaders: list[LoaderSpeed]
    files: list[FileSpeed]
    needed: int


def measure(segments: Segments, settings: DataBenchSettings) -> DataSpeed:
    """Measure the crops of a training; raises what reading them raises."""
    with _one_thread():
        files = [*_by_kind(segments, settings.seconds)]
        loaders = [_with_workers(segments, count, settings.seconds) for count in settings.workers]
    alone = [each.crops / max(each.workers, 1) for each in loaders]
    per_worker = min(alone)  # the more workers, the slower each: memory and disk are shared
    needed = math.ceil(settings.rate * segments.batch_size / per_worker)
    return DataSpeed(segments.batch_size, segments.segment, loaders, files, needed)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread within the block, as each worker does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _with_workers(segments: Segments, workers: int, seconds: float) -> LoaderSpeed:
    with closing(loader(segments, start=0, steps=_STEPS, workers=workers)) as batches:
        for _ in range(workers * _AHEAD + 1):
            next(batches)
        begin, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - begin) < seconds or count < 2:
            count += len(next(batches).names)
    crops = count / passed
    return LoaderSpeed(workers, crops, crops * segments.segment * 4)


def _by_kind(segments: Segments, seconds: float) -> Iterator[FileSpeed]:
    kinds: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in segments.clips:
        kinds[kind_of(clip)].append(clip)
    for kind, clips in sorted(kinds.items()):
        yield _of_kind(segments, kind, clips, seconds / len(kinds) / 2)


def kind_of(clip: Clip) -> str:
    """The format, sample rate and length of a recording in words, and whether it is in a shard."""
    minutes = clip.samples / clip.sample_rate / 60
    length = "< 1 min" if minutes < 1 else "1–5 min" if minutes < 5 else "≥ 5 min"
    place = "" if isinstance(clip.path, Path) else " in tar"
    name = clip.path.suffix[1:].lower() or "no suffix"
    return f"{name}{place}, {clip.sample_rate} Hz, {length}"


def _of_kind(segments: Segments, kind: str, clips: Sequence[Clip], seconds: float) -> FileSpeed:
    rng = np.random.default_rng(0)

    def read(seconds: float) -> tuple[int, float]:
        begin, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - begin) < seconds or count < _LEAST:
            place, *row = rng.random(5)
            segments.read(clips[int(place * len(clips))], *row)
            count += 1
        return count, passed

    read(0.0)  # what is imported and cached by the first crops
    before = _bytes_read()
    count, passed = read(seconds)
    after = _bytes_read()
    profile = cProfile.Profile()
    with profile:
        read(seconds)
    reading, resampling = (_share(profile, name) for name in ("read_audio", "resample_soxr"))
    size = None if before is None or after is None else (after - before) / count
    return FileSpeed(kind, len(clips), passed / count, reading, resampling, size)


def _share(profile: cProfile.Profile, name: str) -> float:
    """The share of the time of a profile that was spent in a function."""
    stats = pstats.Stats(profile)
    rows = stats.stats.items()  # type: ignore[attr-defined]
    spent = sum(row[3] for (_, _, function), row in rows if function == name)
    return float(spent / max(stats.total_tt, 1e-9))  # type: ignore[attr-defined]


def _bytes_read() -> int | None:
    """Bytes that this process has read from files; None where the system does not count them."""
    try:
        return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None


def cores() -> int:
    """Number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
