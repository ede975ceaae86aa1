"""The lock of a run's folder, and what killed runs left behind in it."""

import errno
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vocoder.errors import ConfigError, VocoderError
from vocoder.io.atomic import remove_leftovers

log = logging.getLogger(__name__)
LOCK_NAME = ".lock"
_held: set[Path] = set()  # the system grants a lock again to the process that holds it


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made if it is missing, within the block.

    The system drops the lock when the process ends, however it ends, so that a killed run does not
    keep others out; loader workers that outlive it for a moment do not hold it. Raises ConfigError
    that names the process if another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / LOCK_NAME
    if path in _held:  # and do not open it: closing it again would drop the lock
        raise _refusal(folder, _own_name())
    with path.open("a+", encoding="utf-8") as file:
        if not _acquire(file, folder):
            file.seek(0)
            raise _refusal(folder, file.read().strip())
        _held.add(path)
        try:
            file.truncate(0)
            file.write(_own_name())
            file.flush()
            yield
        finally:
            _held.discard(path)


def is_locked(folder: Path) -> bool:
    """Whether a run holds the lock of a folder; nothing is locked, made or written to find out."""
    path = folder.resolve() / LOCK_NAME
    if path in _held:
        return True
    try:
        import fcntl

        # The system's `struct flock`, of a lock on the whole file.
        if sys.platform == "darwin":
            layout, kind = "=qqihh", -2
            asked = struct.pack(layout, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        else:
            layout, kind = "@hhllixxxx", 0
            asked = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        with path.open("rb") as file:
            found = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    except (ModuleNotFoundError, OSError):  # not a POSIX system; no lock, or none can be had
        return False
    return bool(struct.unpack(layout, found)[kind] != fcntl.F_UNLCK)


def tidy(folder: Path) -> None:
    """Remove the temporary files of killed runs from the folder of a run, and log which."""
    for part in (folder, folder / "states"):
        for path in remove_leftovers(part):
            log.warning("%s: left over from a killed run, removed", path)


def require_folder(folder: Path) -> None:
    """Raise VocoderError if the folder of a run is gone, before a state would be put into a new."""
    if not folder.is_dir():
        raise VocoderError(f"{folder}: the folder of the run was removed while it was training")


def _acquire(file: IO[str], folder: Path) -> bool:
    """Lock an open file; returns False if another process has locked it."""
    try:
        import fcntl
    except ModuleNotFoundError:  # not a POSIX system
        return True
    try:
        # Of lockf and flock, the former: forked workers would inherit the latter.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        log.warning("%s: cannot be locked (%s); start no second run there", folder, error.strerror)
    return True


def _own_name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _refusal(folder: Path, holder: str) -> ConfigError:
    return ConfigError(
        f"{folder}: another run, {holder or 'just started'}, is training there; "
        "end it or choose another trainer.output"
    )
