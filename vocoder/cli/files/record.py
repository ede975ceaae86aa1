"""A record of the files that a batch has made: the command goes on when it is repeated."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vocoder.cli.files.sources import Job
from vocoder.io.atomic import replacing_file
from vocoder.io.journal import Journal

_SIZE = 16  # bytes of a digest


class Record(Journal):
    """The files that a command has made in a folder: those that need not be made again.

    It is the hidden file `.vocoder-COMMAND` of the folder: a line with the settings, and one for
    each file, a digest of names, sizes and times of its source and itself. A file is done as long
    as these are the same; with other settings none is, and `changed` has the names of those. Use
    it as a context; `remove` it when all files are made. Raises VocoderError if it cannot be read
    or written.
    """

    def __init__(self, folder: Path, command: str, settings: Mapping[str, Any]) -> None:
        super().__init__(folder / f".vocoder-{command}")
        self.changed: list[str] = []
        self._folder, self._here = str(folder), os.getcwd()
        head, lines = json.dumps(settings, sort_keys=True).encode(), self.lines()
        if lines and lines[0] != head:
            self.changed, lines = _differing(lines[0], head), []
        if not lines:
            with replacing_file(self.path) as temporary:
                temporary.write_bytes(head + b"\n")
        # What a killed process has written, or two at a time, may be no digest.
        self._done = {bytes.fromhex(line.decode()) for line in lines[1:] if _is_digest(line)}

    def has(self, job: Job) -> bool:
        """Whether the file has been made from what its source still is, and is unchanged."""
        return bool(self._done) and self._digest(job) in self._done

    def add(self, job: Job) -> None:
        """Record a file that has just been made."""
        digest = self._digest(job)
        if digest is not None:
            self.append(digest.hex().encode())

    def _digest(self, job: Job) -> bytes | None:
        """What identifies source and target as they are; None if one of them is missing."""
        try:
            source, target = os.stat(job.source), os.stat(job.target)
        except OSError:
            return None
        parts = (
            *(os.path.join(self._here, job.source), source.st_size, source.st_mtime_ns),
            *(str(job.target).removeprefix(self._folder), target.st_size, target.st_mtime_ns),
        )
        text = "\0".join(map(str, parts))
        return hashlib.blake2b(os.fsencode(text), digest_size=_SIZE).digest()


def _is_digest(line: bytes) -> bool:
    return len(line) == 2 * _SIZE and not line.translate(None, b"0123456789abcdef")


def _differing(before: bytes, now: bytes) -> list[str]:
    """Names of the settings in which two lines differ."""
    try:
        one, other = json.loads(before), json.loads(now)
    except ValueError:
        return []
    if not isinstance(one, dict):
        return []
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
