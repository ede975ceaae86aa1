"""Files inside tar archives (shards), on disk or in object storage, read by their place.

A training that reads crops at random needs neither unpacked archives nor a pass through them: where
each file begins is known from the manifest, so that one seek or one range request fetches it.
"""

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from vocoder.errors import AudioError, ConfigError
from vocoder.io.atomic import replacing_file
from vocoder.io.containers.splice import SplicedFile

CACHE_VARIABLE = "VOCODER_SHARD_CACHE"
_AT_ONCE = 2**22  # bytes of a remote file that are fetched in one request; of longer ones, blocks
_BLOCK = 2**18
_TRIES = 3
_PAUSE = 0.5  # seconds before the second try; doubled for the third


class Member(NamedTuple):
    """A file inside a tar: `size` bytes from byte `offset` on of the archive `shard`.

    `shard` is a path or a URL that fsspec knows, `name` the name in the archive. Opens as a path
    does. Where the environment variable VOCODER_SHARD_CACHE names a folder, a remote archive is
    copied there when it is first read.
    """

    shard: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}:{self.name}"

    @property
    def suffix(self) -> str:
        """The suffix of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The last part of the name without its suffix."""
        return PurePosixPath(self.name).stem

    def open(self, mode: str = "rb", buffering: int = 0) -> Any:
        """Open for reading, in binary and seekable. Raises AudioError if that fails."""
        shard = self.shard
        if is_url(shard):
            cache = os.environ.get(CACHE_VARIABLE)
            if not cache:
                return self._remote()
            shard = str(_cached(shard, Path(cache)))
        try:
            file = Path(shard).open("rb", buffering=0)  # noqa: SIM115 - it is returned
        except OSError as error:
            raise AudioError(f"{self}: cannot open ({error.strerror}); check the path") from error
        return SplicedFile(file, b"", self.offset, self.size)

    def _remote(self) -> Any:
        system, path = file_system(self.shard)
        if self.size <= _AT_ONCE:
            end = self.offset + self.size
            content = _retried(self, lambda: system.cat_file(path, start=self.offset, end=end))
            return io.BytesIO(content)
        file = _retried(self, lambda: system.open(path, "rb", block_size=_BLOCK))
        return SplicedFile(_Retrying(file, self), b"", self.offset, self.size)

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """A temporary copy with the same suffix, within the block."""
        with tempfile.TemporaryDirectory() as folder, self.open() as file:
            path = Path(folder) / f"{self.stem}{self.suffix}"
            path.write_bytes(file.read(self.size))
            yield path


def is_url(text: str) -> bool:
    """Whether a text is the URL of something in a storage, not a path."""
    return "://" in text


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, of fsspec, and the path in it.

    Raises ConfigError if fsspec, or the package that it needs for this storage, is not installed.
    """
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise ConfigError(f"{url}: needs fsspec; pip install 'vocoder[shards]'") from error
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]  # kept by fsspec
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{url}: cannot be reached ({str(error).splitlines()[0]})") from error


class _Retrying(io.RawIOBase):
    """A remote file whose failed reads are tried again."""

    def __init__(self, file: Any, member: Member) -> None:
        self._file, self._member = file, member
        self.seek, self.tell = file.seek, file.tell  # type: ignore[method-assign]

    def readinto(self, buffer: Any, /) -> int:
        position = self._file.tell()

        def read() -> int:
            self._file.seek(position)
            return int(self._file.readinto(buffer))

        return int(_retried(self._member, read))

    def close(self) -> None:
        self._file.close()
        super().close()


def _retried(member: Member, read: Any) -> Any:
    """What `read` returns, on the third try at the latest, or AudioError that names the file."""
    for attempt in range(1, _TRIES + 1):
        try:
            return read()
        except FileNotFoundError as error:
            raise AudioError(f"{member}: the shard does not exist; check its URL") from error
        except Exception as error:  # each storage has its own
            if attempt == _TRIES:
                reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
                raise AudioError(f"{member}: cannot be read from its storage ({reason})") from error
        time.sleep(_PAUSE * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _cached(url: str, folder: Path) -> Path:
    """A local copy of a remote file; several processes may ask for it at once."""
    name = url.rsplit("/", 1)[-1]
    target = folder / f"{hashlib.blake2b(url.encode(), digest_size=8).hexdigest()}-{name}"
    if not target.exists():  # fsspec's own caches show a file to others before it is complete
        system, path = file_system(url)
        whole = Member(url, name, 0, 0)
        with replacing_file(target) as temporary:
            _retried(whole, lambda: system.get_file(path, str(temporary)))
    return target
