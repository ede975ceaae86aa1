"""The manifest: one CSV line per usable recording, with what training must know about it."""

import csv
import dataclasses
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vocoder.audio import StrPath
from vocoder.errors import ConfigError
from vocoder.files import replacing_file

SPLITS = ("train", "valid", "test")
# Share of Nyquist that content must reach: what ends lower teaches a model to be dull.
FULL_BAND = 0.75


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording. `samples` counts one channel, `peak_dbfs` is the highest over all of them.

    `bandwidth_hz` is the highest frequency with real content: no model should be asked for more.
    """

    path: Path
    split: str
    speaker: str
    seconds: float
    samples: int
    sample_rate: int
    channels: int
    bandwidth_hz: int
    peak_dbfs: float
    licence: str = ""

    def __post_init__(self) -> None:
        """Check that the values can describe a recording."""
        require_split(self.split, "split")
        for name in ("samples", "sample_rate", "channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be positive")
        if not math.isfinite(self.peak_dbfs):
            raise ConfigError(f"peak_dbfs is {self.peak_dbfs}; leave silent files out")

    def full_band(self, sample_rate: int) -> bool:
        """Whether the content fills the band of `sample_rate` well enough to be a target."""
        return self.bandwidth_hz >= FULL_BAND * sample_rate / 2


COLUMNS = {field.name: field.type for field in dataclasses.fields(Clip)}


def require_split(split: str, where: str) -> None:
    """Raise ConfigError if there is no such split."""
    if split not in SPLITS:
        raise ConfigError(f"{where} is {split!r}; choose from {', '.join(SPLITS)}")


def read_manifest(path: StrPath, *, split: str | None = None) -> list[Clip]:
    """The clips of a manifest (of one split of it), in the order of the file.

    Paths in it are absolute or relative to the manifest's own folder; the ones returned are
    absolute. Raises ConfigError naming the file and the column or line that is wrong.
    """
    path = Path(path)
    if split is not None:
        require_split(split, "split")
    rows = read_table(path, required=COLUMNS, others=False)
    clips = [_clip(row, path, line) for line, row in rows]
    return [clip for clip in clips if split in (None, clip.split)]


def write_manifest(path: StrPath, clips: Iterable[Clip]) -> None:
    """Write a manifest, whole or not at all; `read_manifest` gives the same clips back.

    Paths under the manifest's folder are written relative to it, so that the folder can be moved;
    others are absolute. Raises AudioError if the file cannot be written.
    """
    path = Path(path)
    folder = Path(os.path.abspath(path.parent))
    with (
        replacing_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for clip in clips:
            absolute = Path(os.path.abspath(clip.path))
            inside = absolute.is_relative_to(folder)
            written = absolute.relative_to(folder) if inside else absolute
            table.writerow(dataclasses.asdict(clip) | {"path": written.as_posix()})


def read_table(
    path: Path, *, required: Iterable[str], others: bool = True
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, each with its line number.

    Raises ConfigError if it cannot be read, lacks a required column, has another one although
    `others` is False, or has a ragged row.
    """
    wanted = list(required)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            found = set(table.fieldnames or ())
            missing = sorted(set(wanted) - found)
            unknown = [] if others else sorted(found - set(wanted))
            if missing or unknown:
                raise ConfigError(
                    f"{path}: missing columns {missing}, unknown columns {unknown}; needs {wanted}"
                )
            rows = [(table.line_num, row) for row in table]
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read ({error.strerror}); `vocoder prepare` makes a manifest"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: is not a CSV file in UTF-8 ({error})") from error
    for line, row in rows:
        if None in row or None in row.values():
            raise ConfigError(f"{path}:{line}: has not as many fields as the header")
    return rows


def _clip(row: dict[str, str], path: Path, line: int) -> Clip:
    values: dict[str, str | int | float | Path] = dict(row)
    values["path"] = Path(os.path.abspath(path.parent / row["path"]))
    for name, kind in COLUMNS.items():
        if kind in (int, float):
            try:
                values[name] = int(row[name]) if kind is int else float(row[name])
            except ValueError as error:
                raise ConfigError(
                    f"{path}:{line}: {name} is {row[name]!r}, not a number"
                ) from error
    try:
        return Clip(**values)  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigError(f"{path}:{line}: {error}") from error
