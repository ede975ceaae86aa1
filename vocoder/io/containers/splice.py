"""A file with another beginning, or a part of a file, for libsndfile to read."""

import io
import os
from typing import Any


class SplicedFile(io.RawIOBase):
    """Reads `head` and then `count` bytes of `file` from its byte `skip` on.

    Closes `file` with itself.
    """

    def __init__(self, file: Any, head: bytes, skip: int, count: int) -> None:
        self._file, self._head, self._skip = file, head, skip
        self._position = 0
        self._size = max(count, 0) + len(head)

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position; one before the beginning becomes the beginning."""
        origin = {os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(whence, 0)
        self._position = min(max(origin + offset, 0), self._size)
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with the next bytes, and return how many there are."""
        view, done = memoryview(buffer).cast("B")[: self._size - self._position], 0
        if self._position < len(self._head):
            part = self._head[self._position : self._position + len(view)]
            view[: len(part)] = part
            done = len(part)
        if done < len(view):
            self._file.seek(self._position + done - len(self._head) + self._skip)
            done += self._file.readinto(view[done:]) or 0
        self._position += done
        return done
