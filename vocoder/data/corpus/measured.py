"""What an audit finds out of each file by itself, and a file that keeps it while an audit runs."""

import dataclasses
import hashlib
import json
import os
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from vocoder import __version__
from vocoder.data.corpus.companions import Mels, Narrowbands
from vocoder.data.corpus.measure import EXCLUDING, Measurement, faults_of, measure
from vocoder.data.pairs import CompanionFile
from vocoder.errors import AudioError, MelMismatchError, VocoderError
from vocoder.io.audio import StrPath
from vocoder.io.members import Member, is_url


class Seen(NamedTuple):
    """A file by itself: its measurement or why there is none, and its companion or the same."""

    result: Measurement | AudioError
    pair: CompanionFile | VocoderError | None


def look(
    item: tuple[Path | Member, Measurement | None],
    *,
    min_seconds: float,
    companions: Mels | Narrowbands | None,
) -> Seen:
    """Measure a file, unless that was done before, and find its companion if it is usable.

    Raises ConfigError if the companion cannot be read without settings.
    """
    path, result = item
    try:
        found = result or measure(path)
        if companions is None or EXCLUDING & faults_of(found, min_seconds).keys():
            return Seen(found, None)
    except AudioError as error:
        return Seen(error, None)
    try:
        return Seen(found, companions.pair(path, found.samples, found.sample_rate))
    except (AudioError, MelMismatchError) as error:
        return Seen(found, error)


class MeasuredFiles:
    """Measurements in a file, for an audit that is stopped and repeated.

    Those of files that have changed since, and of another version of this package, do not count,
    and files that cannot be read are tried again. `found` is the number of those that were there.
    Use it as a context; `remove` it when the audit is complete. Raises VocoderError if it cannot be
    read or written.
    """

    def __init__(self, path: StrPath) -> None:
        self._path, self.found = Path(path), 0
        self._known: dict[str, Measurement] = {}
        self._file: FileIO | None = None
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise VocoderError(f"{path}: cannot be read ({error.strerror})") from error
        for line in lines:
            try:
                key, values = json.loads(line)
                self._known[key] = Measurement(**values)
            except (ValueError, TypeError):  # cut off when the process was killed
                continue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def get(self, path: Path | Member) -> Measurement | None:
        """The measurement of a file as it is now, if there is one."""
        known = self._known.get(_key(path)) if self._known else None
        self.found += known is not None
        return known

    def add(self, path: Path | Member, result: Measurement | AudioError) -> None:
        """Keep a measurement."""
        if isinstance(result, AudioError):
            return
        line = json.dumps([_key(path), dataclasses.asdict(result)])
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("ab", buffering=0)
                self._file.write(b"\n")  # behind what a killed process may have left
            self._file.write(line.encode() + b"\n")
        except OSError as error:
            raise VocoderError(
                f"{self._path}: cannot be written ({error.strerror}); check the free space"
            ) from error

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)


def _key(path: Path | Member) -> str:
    """What identifies a file as it is."""
    shard = path.shard if isinstance(path, Member) else path
    try:
        status = None if isinstance(shard, str) and is_url(shard) else os.stat(shard)
    except OSError:
        return ""
    changed = (status.st_size, status.st_mtime_ns) if status else ()
    parts = (__version__, os.path.abspath(shard), *changed)
    if isinstance(path, Member):
        parts += (path.name, path.offset, path.size)
    text = "\0".join(map(str, parts))
    return hashlib.blake2b(os.fsencode(text), digest_size=16).hexdigest()
