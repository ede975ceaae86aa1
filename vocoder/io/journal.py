"""Files of lines that are written one by one, and outlive their process being killed."""

from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from vocoder.errors import VocoderError


class Journal:
    """Lines that are appended to a file as they come.

    The last line of a process that was killed may be cut off, and those of two processes may be
    mixed: readers leave out what they do not understand. The file is opened for the first line.
    Use it as a context. Raises VocoderError if the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        """Nothing happens before the first line."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def lines(self) -> list[bytes]:
        """The lines that are there; none without a file."""
        try:
            return self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise VocoderError(f"{self.path}: cannot be read ({error.strerror})") from error

    def append(self, line: bytes) -> None:
        """Write a line at the end."""
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("ab", buffering=0)
                self._file.write(b"\n")  # behind what a killed process may have left
            self._file.write(line + b"\n")
        except OSError as error:
            raise VocoderError(
                f"{self.path}: cannot be written ({error.strerror}); check the free space"
            ) from error

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
