"""CSV tables from anywhere: what is wrong with one is a line that names the file and its line."""

import csv
from collections.abc import Iterable
from pathlib import Path

from vocoder.errors import ConfigError

Row = tuple[int, dict[str, str]]  # the number of its line, and column → value

_SHOWN = 12  # columns of a wrong header
_LONGEST = 40  # characters shown of a value


def read_table(
    path: Path, *, required: Iterable[str], optional: Iterable[str] | None = None
) -> list[Row]:
    """Read the rows of a CSV file with a header, each with its line number.

    Raises ConfigError if it cannot be read, lacks a required column, has one that is neither
    required nor `optional` (None: any may be there), or has a ragged row or a NUL byte.
    """
    needed, rows, table = list(required), list[Row](), None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            _check_header(path, table.fieldnames or (), needed, optional)
            for row in table:
                _check_row(path, table.line_num, row)
                rows.append((table.line_num, row))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    except csv.Error as error:
        line = table.line_num if table else 1
        raise ConfigError(f"{path}:{line}: is not a line of a CSV file ({error})") from error
    return rows


def read_column(path: Path, separator: str) -> list[tuple[int, str]]:
    """Read what stands before the first `separator` of every line of a text file, with its number.

    Quotes mean nothing, empty lines are left out. Raises ConfigError if it cannot be read or has a
    NUL byte.
    """
    values = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                value = line.split(separator, 1)[0].strip()
                _check_row(path, number, {"": value})
                if value:
                    values.append((number, value))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return values


def unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    """The error to raise for a table that cannot be opened, or is no text."""
    if isinstance(error, OSError):
        return ConfigError(
            f"{path}: cannot read ({error.strerror}); `vocoder prepare` makes a manifest"
        )
    with path.open("rb") as file:  # a decoder counts from the start of its buffer
        line = next((n for n, text in enumerate(file, start=1) if not _decodes(text)), 1)
    return ConfigError(f"{path}:{line}: is not text in UTF-8 ({error.reason}); save it as that")


def shortened(text: str) -> str:
    """A value in quotes for a message, in one line and not too long."""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"'{text}'" if text.isprintable() else repr(text)


def _check_header(
    path: Path, found: Iterable[str], needed: list[str], optional: Iterable[str] | None
) -> None:
    names = list(found)
    missing = sorted(set(needed) - set(names))
    unknown = [] if optional is None else sorted(set(names).difference(needed, optional))
    if not missing and not unknown:
        return
    separator = next((mark for mark in ";\t|" if missing and mark in "".join(names)), None)
    hint = f"; it is separated by {separator!r}, write it with commas" if separator else ""
    if missing and not set(names) & set(needed) and any(_is_value(name) for name in names):
        hint += "; its first line looks like data, it must name the columns"
    shown = ", ".join(map(shortened, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
    raise ConfigError(
        f"{path}: missing columns {missing}, unknown columns "
        f"[{', '.join(map(shortened, unknown[:_SHOWN]))}]; needs {needed}, found [{shown}]{hint}"
    )


def _is_value(name: str) -> bool:
    """Whether a column has the name of a file, or none that anyone would choose."""
    return bool(Path(name.split("|")[0].replace("\\", "/")).suffix) or len(name) > _LONGEST


def _check_row(path: Path, line: int, row: dict[str, str]) -> None:
    if None in row or None in row.values():
        raise ConfigError(f"{path}:{line}: has more or fewer fields than the header")
    if "\0" in "".join(row.values()):
        raise ConfigError(f"{path}:{line}: has a NUL byte, it is damaged or not a CSV file")


def _decodes(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
