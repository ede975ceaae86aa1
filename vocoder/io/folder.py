"""Search of a folder for files: links are followed, and what cannot be read is named."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

Identity = tuple[int, int]  # device and inode of a folder


class Found(NamedTuple):
    """The files of a folder, and what was skipped, with the reason.

    `files` are sorted and lie below the folder that was searched; `skipped` holds what may have
    held files: links that lead nowhere and folders that cannot be read.
    """

    files: list[Path]
    skipped: dict[Path, str]


class _Folder(NamedTuple):
    path: Path
    above: frozenset[Identity]  # the folders on the way here
    linked: bool  # one of them is a link


def find_files(folder: Path, suffixes: Iterable[str]) -> Found:
    """Find the files at any depth of a folder that end in one of `suffixes`, in any case.

    `suffixes` are lower-case, with the dot. A file with several names (links) is found by each,
    and linked folders are searched as well, but none inside itself. Hidden files and folders are
    left out. Raises nothing for what cannot be read: see `Found.skipped`.
    """
    endings = tuple(suffixes)
    files: list[Path] = []
    skipped: dict[Path, str] = {}
    searched: set[Identity] = set()
    pending = [_Folder(folder, frozenset(), False)]
    while pending:
        here = pending.pop()
        try:
            own = _identity(os.stat(here.path))
            # Links inside a linked folder must lead to something new: folders that link to one
            # another have more paths than anyone can wait for.
            if own in here.above or (here.linked and own in searched and here.path.is_symlink()):
                continue
            with os.scandir(here.path) as entries:
                visible = sorted(
                    (entry for entry in entries if not entry.name.startswith(".")),
                    key=lambda entry: entry.name,
                )
        except OSError as error:
            skipped[here.path] = f"cannot be searched ({error.strerror})"
            continue
        searched.add(own)
        linked = here.linked or (here.path != folder and here.path.is_symlink())
        for entry in visible:
            path, wanted = here.path / entry.name, entry.name.lower().endswith(endings)
            kind = _kind(entry)
            if kind == "folder":
                pending.append(_Folder(path, here.above | {own}, linked))
            elif kind == "file" and wanted:
                files.append(path)
            # A link of another suffix concerns nobody, unless it may have been a folder's.
            elif kind != "file" and (wanted or not path.suffix[1:].isalpha()):
                skipped[path] = kind
    return Found(sorted(files), dict(sorted(skipped.items())))


def _kind(entry: "os.DirEntry[str]") -> str:
    """`file`, `folder`, or the reason why an entry is neither."""
    if entry.is_symlink():
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            return f"is a link that leads nowhere ({error.strerror})"
        if stat.S_ISDIR(mode):
            return "folder"
        return "file" if stat.S_ISREG(mode) else "is no regular file"
    if entry.is_dir():
        return "folder"
    return "file" if entry.is_file() else "is no regular file"


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
