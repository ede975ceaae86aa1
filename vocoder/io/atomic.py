"""Atomic writes of files and directories: readers get the old or the new one, complete."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from vocoder.errors import VocoderError


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which replaces it if the block succeeds.

    Raises VocoderError if it cannot be written (permissions, a full disk).
    """
    with _failing_to_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _unused(path)
        # Not tempfile's, which are private: the system gives these the permissions of new files.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(directory: Path) -> Iterator[Path]:
    """A temporary directory beside `directory`, which replaces it if the block succeeds.

    Raises VocoderError if it cannot be written.
    """
    with _failing_to_write(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = _unused(directory)
        temporary.mkdir()
        try:
            yield temporary
            for path in temporary.iterdir():  # safetensors makes private files
                path.chmod(temporary.stat().st_mode & 0o666)
            if directory.exists():
                # A full directory cannot be renamed over; the gap is microseconds.
                old = temporary.with_name(temporary.name + ".old")
                directory.rename(old)
                try:
                    temporary.rename(directory)
                except OSError:
                    old.rename(directory)
                    raise
                shutil.rmtree(old)
            else:
                temporary.rename(directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _unused(path: Path) -> Path:
    """A hidden path beside `path` with a random name."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


@contextmanager
def _failing_to_write(path: Path) -> Iterator[None]:
    try:
        yield
    # On a full disk torch raises RuntimeError, safetensors an error of its own.
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n", 1)[0]
        raise VocoderError(
            f"{path}: cannot be written ({reason}); check permissions and free space"
        ) from error
