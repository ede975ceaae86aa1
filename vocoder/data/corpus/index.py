"""The index of a corpus: which recordings are taken, and what is said about them."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from vocoder.data.manifest import require_split
from vocoder.data.table import Row, read_column, read_table, shortened, unreadable
from vocoder.errors import ConfigError
from vocoder.io.audio import READ_SUFFIXES
from vocoder.io.folder import find_files

_SUFFIXES = tuple(dict.fromkeys(("", ".wav", ".flac", *READ_SUFFIXES)))  # the usual ones first


class Index(NamedTuple):
    """The recordings of an index, and what happened to its other rows.

    `entries` maps each path to its split, speaker and licence. `notes` are lines about rows that
    are not as written: they match no file, lie in another folder, or have backslashes.
    """

    entries: dict[Path, dict[str, str]]
    notes: list[str]


def read_index(index: Path, root: Path, only: Mapping[str, Collection[str]]) -> Index:
    """Read the rows of an index that `only` selects and whose files lie in `root`.

    An index is a CSV file with a column path, or a list without a header whose lines begin with a
    name and `|`, as LJSpeech's metadata.csv: its files are those of the name under `root` or next
    to the index, in a folder wavs or not. Raises ConfigError if it is neither.
    """
    listed = _is_list(index)
    if listed and only:
        raise ConfigError(f"{index}: has no header, so no columns {sorted(only)} to select by")
    rows = _listed(index) if listed else read_table(index, required={"path"} | only.keys())
    selected = [
        (line, row)
        for line, row in rows
        if all(row[column] in values for column, values in only.items())
    ]
    if rows and not selected:
        asked = ", ".join(f"{column}={'|'.join(sorted(only[column]))}" for column in only)
        raise ConfigError(f"{index}: none of {len(rows)} rows has {asked}")
    folders = [index.parent]
    if listed:
        folders += [root / "wavs", root, index.parent / "wavs"]
    return _matched(selected, index, root, folders, _SUFFIXES if listed else ("",))


def _matched(
    rows: list[Row], index: Path, root: Path, folders: list[Path], suffixes: Collection[str]
) -> Index:
    """The files that rows name, below one of the folders with one of the suffixes."""
    entries: dict[Path, dict[str, str]] = {}
    lost, outside, backslashes = list[Row](), list[Row](), list[Row]()
    for line, row in rows:
        path = _find(row["path"], folders, suffixes)
        if path is None and "\\" in row["path"]:
            path = _find(row["path"].replace("\\", "/"), folders, suffixes)
            if path is not None:
                backslashes.append((line, row))
        if path is None:
            lost.append((line, row))
        elif not path.is_relative_to(root):
            outside.append((line, row))
        else:
            _enter(entries, path, row, f"{index}:{line}")
    notes = []
    if lost:
        cause = _cause(lost[0][1]["path"], index, root)
        notes.append(f"{_counted(lost, rows)} match no file{_such_as(lost)}: {cause}")
    if outside:
        notes.append(f"{_counted(outside, rows)} lie outside {root}{_such_as(outside)}")
    if backslashes:
        notes.append(
            f"{_counted(backslashes, rows)} have backslashes, read as /{_such_as(backslashes)}"
        )
    return Index(entries, notes)


def _enter(
    entries: dict[Path, dict[str, str]], path: Path, row: dict[str, str], place: str
) -> None:
    carried = {name: row.get(name, "") for name in ("split", "speaker", "licence")}
    if carried["split"]:
        require_split(carried["split"], f"{place}: split")
    if entries.setdefault(path, carried) != carried:
        raise ConfigError(f"{place}: {row['path']} is listed twice, differently")


def _is_list(index: Path) -> bool:
    """Whether the file is a list of names followed by `|`, without a header."""
    try:
        with index.open(encoding="utf-8-sig") as file:
            first = file.readline(2**16)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(index, error) from error
    name, bar, rest = first.partition("|")
    return bool(bar) and "," not in name and "path" not in [name, *rest.strip().split("|")]


def _listed(index: Path) -> list[Row]:
    return [(line, {"path": name}) for line, name in read_column(index, "|")]


def _find(text: str, folders: list[Path], suffixes: Collection[str]) -> Path | None:
    for folder in folders:
        for suffix in suffixes:
            path = os.path.abspath(folder / f"{text}{suffix}")
            if os.path.isfile(path):  # False also for what cannot be a path
                return Path(path)
    return None


def _cause(text: str, index: Path, root: Path) -> str:
    """Why a row probably matches no file."""
    name = PurePosixPath(text.replace("\\", "/"))
    files = find_files(root, READ_SUFFIXES).files
    meant = os.path.abspath(index.parent / name)
    for file in files:
        if str(file).lower() == meant.lower():
            return f"there is {file}, upper and lower case differ"
    reasons = {
        name.name: f"paths are relative to the folder of the index, {index.parent}",
        name.name.lower(): "upper and lower case differ",
    }
    for wanted, reason in reasons.items():
        for file in files:
            if wanted in (file.name, file.name.lower()):
                return f"there is {file}; {reason}"
    for wanted, reason in ((name.name, "add the suffix"), (name.stem, "the suffix differs")):
        for file in files:
            if wanted == file.stem:
                return f"there is {file}; {reason}"
    return f"no file of that name is in {root}, nor one with another suffix"


def _counted(some: list[Row], rows: list[Row]) -> str:
    return f"{len(some)} of {len(rows)} rows"


def _such_as(rows: list[Row]) -> str:
    line, row = rows[0]
    return f", such as {shortened(row['path'])} in line {line}"
