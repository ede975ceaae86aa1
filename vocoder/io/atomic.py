"""Atomic writes of files and directories: readers get the old or the new one, complete."""

import logging
import os
import re
import secrets
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from vocoder.errors import VocoderError

logger = logging.getLogger(__name__)
_LEFTOVER = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{16}(?P<old>\.old)?")  # names of `_unused`


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
    """A hidden path beside `path` with a random name, as long as the system allows."""
    end = f".{secrets.token_hex(8)}"
    longest = os.pathconf(path.parent, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    most = longest - len(f".{end}.old")
    name, encoded = path.name, os.fsencode(path.name)
    if len(encoded) > most:
        name = encoded[: most - 1].decode("utf-8", "ignore") + "~"
    return path.with_name(f".{name}{end}")


def remove_leftovers(folder: Path, names: Container[str] | None = None) -> list[Path]:
    """Remove the temporary files and directories of killed processes in `folder`; returns them.

    `names` are those of the files and directories that they were to replace; None for all. A
    directory that was being replaced, and of which neither the old nor the new one is in place, is
    put back, which the log says. Nobody may be writing them.
    """
    removed = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _LEFTOVER.fullmatch(path.name)
        if match is None or (names is not None and match["target"] not in names):
            continue
        target = folder / match["target"]
        if match["old"] and not target.exists():
            path.rename(target)
            logger.warning("%s: put back; a killed process was about to replace it", target)
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        removed.append(path)
    return removed


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
