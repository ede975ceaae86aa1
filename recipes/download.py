"""Download a corpus: resumable, with a checksum, and unpacked whole or not at all.

    python recipes/download.py libritts corpora --subset train-clean-360 …

An archive is deleted once it is unpacked. Folders that exist are not downloaded.
"""

import argparse
import hashlib
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from gzip import BadGzipFile
from pathlib import Path

import pooch  # type: ignore[import-untyped]
import requests
from archives import ARCHIVES, Archive
from corpora import choose
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vocoder import VocoderError
from vocoder.cli.files.batch import make_directory

_BLOCK = 2**16  # at most this much is lost when a connection ends
_TIMEOUT = 60  # seconds without a byte


def download(archives: Sequence[Archive], target: Path) -> None:
    """Download and unpack the folders of `archives` that are missing in `target`.

    An existing folder is complete. After an interruption, the next call continues. Raises
    VocoderError if there is not enough space for everything (before the first byte is requested),
    if a server fails, or if the content is not the published one; that is deleted.
    """
    missing = [archive for archive in archives if not (target / archive.folder).is_dir()]
    for archive in archives:
        if archive not in missing:
            print(f"{target / archive.folder}  exists already")
    make_directory(target)
    _require_space(missing, target)
    for archive in missing:
        try:
            packed = _fetch(archive, target)
            print(f"unpacking {packed}", flush=True)
            _unpack(archive, packed, target)
            packed.unlink()
        except OSError as error:
            raise VocoderError(f"{target}: cannot be written ({error.strerror})") from error
        print(f"{target / archive.folder}  done")


class Resuming:
    """A downloader for pooch that resumes an interrupted download.

    The bytes are collected in the file `part`, which is kept until the download is complete. `size`
    is for the progress bar.
    """

    def __init__(self, part: Path, *, size: int) -> None:
        self.part = part
        self.size = size

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` to `output_file`; VocoderError if an attempt makes no progress."""
        with _progress_bar() as bar:
            task = bar.add_task("", total=self.size)
            while True:
                before = self._received()
                try:
                    for received in self._attempt(url):
                        bar.update(task, completed=received)
                    break
                except requests.RequestException as error:
                    if self._received() <= before:
                        raise VocoderError(
                            f"{url}: {_reason(error)}; the {before / 1e6:.0f} MB received so far "
                            "are kept, run the same command again to continue"
                        ) from error
        os.replace(self.part, output_file)

    def _attempt(self, url: str) -> Iterator[int]:
        """Append what the server sends, yielding the number of bytes received so far."""
        start = self._received()
        headers = {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if start and response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing follows: the file was complete
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                start = 0  # this server cannot resume and sends everything again
            announced = response.headers.get("Content-Length")
            with self.part.open("ab" if start else "wb") as file:
                end = start
                for block in response.iter_content(_BLOCK):
                    end += file.write(block)
                    yield end
        if announced and end != start + int(announced):
            raise requests.ConnectionError("the connection ended early")

    def _received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def _require_space(archives: Sequence[Archive], target: Path) -> None:
    """Raise VocoderError unless all unpacked folders and one archive at a time fit."""
    if not archives:
        return
    files = [target / f"{archive.name}{end}" for archive in archives for end in ("", ".part")]
    present = sum(file.stat().st_size for file in files if file.exists())
    needed = sum(archive.unpacked for archive in archives)
    needed += max(archive.size for archive in archives) - present
    free = shutil.disk_usage(target).free
    if free < needed:
        raise VocoderError(
            f"{target}: {_gigabytes(needed)} are needed to download and unpack, "
            f"{_gigabytes(free)} are free; free {_gigabytes(needed - free)} more, "
            "or choose another place with --download"
        )


def _fetch(archive: Archive, target: Path) -> Path:
    """The archive in `target`, with the published checksum if it has one."""
    print(f"downloading {archive.url}  {_gigabytes(archive.size)}", flush=True)
    pooch.get_logger().setLevel("WARNING")
    try:
        path = pooch.retrieve(
            archive.url,
            known_hash=archive.sha256,
            fname=archive.name,
            path=target,
            downloader=Resuming(target / f"{archive.name}.part", size=archive.size),
        )
    except ValueError as error:
        raise VocoderError(
            f"{archive.name}: the file from {archive.url} has not the published SHA-256 "
            f"{archive.sha256}; it was deleted, run the same command again"
        ) from error
    return Path(path)


def _unpack(archive: Archive, packed: Path, target: Path) -> None:
    """Unpack beside the target and rename, so that the folder is complete or missing."""
    scratch = target / f".{archive.name}.unpacking"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _extract(packed, scratch / archive.into)
        folder = scratch / archive.folder
        if not folder.is_dir() or (archive.tree and git_tree(folder) != archive.tree):
            raise VocoderError(f"{packed}: its content is not {archive.folder} as published")
        (target / archive.folder).parent.mkdir(exist_ok=True)
        for path in folder.parent.iterdir():
            if path.is_file():  # LibriTTS: lists of speakers and books, the licence
                path.replace(target / path.relative_to(scratch))
        folder.rename(target / archive.folder)
    except VocoderError as error:
        packed.unlink()
        raise VocoderError(f"{error}; it was deleted, run the same command again") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _extract(packed: Path, folder: Path) -> None:
    """Unpack a zip or tar file; VocoderError if it is damaged or would write elsewhere."""
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(packed):
            with zipfile.ZipFile(packed) as zipped:
                _require_inside(folder, zipped.namelist(), packed)
                zipped.extractall(folder)
        else:
            with tarfile.open(packed) as archive:
                members = archive.getmembers()
                # Links are left out: none of the corpora has any, and they can point anywhere.
                plain = [member for member in members if member.isfile() or member.isdir()]
                _require_inside(folder, [member.name for member in plain], packed)
                for member in plain:
                    archive.extract(member, folder, set_attrs=False)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, BadGzipFile, EOFError) as error:
        raise VocoderError(f"{packed}: cannot be unpacked ({error})") from error


def _require_inside(folder: Path, names: Iterable[str], packed: Path) -> None:
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise VocoderError(f"{packed}: {name} would be written elsewhere")


def git_tree(folder: Path) -> str:
    """The id that git gives to the content of a folder of plain files."""
    entries = []
    for path in folder.iterdir():
        if path.is_dir():
            entries.append((f"{path.name}/", b"40000", git_tree(path)))
        else:
            entries.append((path.name, b"100644", _git_object(b"blob", path.read_bytes())))
    lines = [
        mode + b" " + name.rstrip("/").encode() + b"\0" + bytes.fromhex(digest)
        for name, mode, digest in sorted(entries)
    ]
    return _git_object(b"tree", b"".join(lines))


def _git_object(kind: bytes, content: bytes) -> str:
    header = kind + b" " + str(len(content)).encode() + b"\0"
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _progress_bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    return "the connection failed"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("layout", help=", ".join(ARCHIVES))
    parser.add_argument("target", type=Path, help="the folder of the corpora")
    parser.add_argument("--subset", action="append", default=[], help="a part of LibriTTS; repeat")
    arguments = parser.parse_args()
    try:
        chosen = choose(arguments.layout, arguments.subset)
        archives = [
            archive
            for archive in ARCHIVES[arguments.layout]
            if not chosen or archive.folder.rpartition("/")[2] in chosen
        ]
        download(archives, arguments.target)
    except VocoderError as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "stopped; run the same command again to continue\n")


if __name__ == "__main__":
    main()
