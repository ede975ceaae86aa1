"""Silence for libmpg123, the decoder of MPEG audio, which writes remarks to the terminal."""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

_REMARK = re.compile(
    rb"\[\S*libmpg123/|Note: |Warning: .*(Frankenstein|fuzzy seeking)|mpg123 |\s*$"
)


class _Redirection:
    """The standard error output as a file, as long as one thread or more want it so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._terminal = self._file = -1

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                with contextlib.suppress(OSError):  # it is closed: nothing can be written
                    self._terminal = os.dup(2)
                    self._file = _anonymous_file()
                    os.dup2(self._file, 2)

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                written = self._restore()
                others = b"".join(line for line in written if not _REMARK.match(line))
                if others:
                    os.write(2, others)

    def leave_in_child(self) -> None:
        """A process that is forked meanwhile writes to the terminal."""
        self._lock = threading.Lock()
        self._users = 0
        self._restore()

    def _restore(self) -> list[bytes]:
        """End the redirection, and return what was written."""
        written: list[bytes] = []
        if self._file >= 0:
            os.dup2(self._terminal, 2)
            os.lseek(self._file, 0, os.SEEK_SET)
            with open(self._file, "rb") as file:
                written = file.readlines()
        if self._terminal >= 0:
            os.close(self._terminal)
        self._terminal = self._file = -1
        return written


_redirection = _Redirection()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _redirection.leave_in_child())


def decoder_silenced(active: bool) -> contextlib.AbstractContextManager[None]:
    """Keep the remarks of libmpg123 from the terminal, if `active`; it has no switch for that.

    What others write to the standard error output meanwhile appears afterwards.
    """
    return _redirected() if active else contextlib.nullcontext()


@contextlib.contextmanager
def _redirected() -> Iterator[None]:
    _redirection.enter()
    try:
        yield
    finally:
        _redirection.leave()


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):  # Linux, in memory
        return os.memfd_create("remarks")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
