"""What an audit finds out of each file by itself, and a file that keeps it while an audit runs."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from vocoder import __version__
from vocoder.data.corpus.companions import Mels, Narrowbands
from vocoder.data.corpus.measure import EXCLUDING, Measurement, faults_of, measure
from vocoder.data.pairs import CompanionFile
from vocoder.errors import AudioError, MelMismatchError, VocoderError
from vocoder.io.audio import StrPath
from vocoder.io.journal import Journal
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


class MeasuredFiles(Journal):
    """Measurements in a file, for an audit that is stopped and repeated.

    Those of files that have changed since, and of another version of this package, do not count,
    and files that cannot be read are tried again. `found` is the number of those that were there.
    Use it as a context; `remove` it when the audit is complete. Raises VocoderError if it cannot be
    read or written.
    """

    def __init__(self, path: StrPath) -> None:
        super().__init__(Path(path))
        self.found = 0
        self._known: dict[str, Measurement] = {}
        for line in self.lines():
            try:
                key, values = json.loads(line)
                self._known[key] = Measurement(**values)
            except (ValueError, TypeError):  # cut off when the process was killed
                continue

    def get(self, path: Path | Member) -> Measurement | None:
        """The measurement of a file as it is now, if there is one."""
        known = self._known.get(_key(path)) if self._known else None
        self.found += known is not None
        return known

    def add(self, path: Path | Member, result: Measurement | AudioError) -> None:
        """Keep a measurement."""
        if not isinstance(result, AudioError):
            self.append(json.dumps([_key(path), dataclasses.asdict(result)]).encode())


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
