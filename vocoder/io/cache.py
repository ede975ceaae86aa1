"""The user's cache directory, for what can be made again: losing it costs time, never a result."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from vocoder.errors import VocoderError
from vocoder.io.atomic import replacing_file

VARIABLE = "VOCODER_CACHE"
"""Environment variable with another directory; empty for none."""
_log = logging.getLogger(__name__)


def cache_directory() -> Path | None:
    """Where cached files belong, by the custom of the system; None if the user wants none.

    It may not exist, and it may not be writable.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "vocoder"
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or home / ".cache") / "vocoder"


def cached_bytes(name: str) -> bytes | None:
    """Content of a cached file, or None."""
    directory = cache_directory()
    try:
        return None if directory is None else (directory / name).read_bytes()
    except OSError:
        return None


def write_cached(name: str, content: bytes) -> bool:
    """Write a cached file atomically; returns whether that was possible."""
    directory = cache_directory()
    if directory is None:
        return False
    try:
        with replacing_file(directory / name) as temporary:
            temporary.write_bytes(content)
    except VocoderError as error:
        _log.info("nothing is cached: %s", error)
        return False
    return True


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """Content of a cached file, made and written where it is missing."""
    content = cached_bytes(name)
    if content is None:
        content = make()
        write_cached(name, content)
    return content
