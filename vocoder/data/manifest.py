"""The manifest of a corpus: a CSV file with a line per usable recording."""

import csv
import dataclasses
import functools
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vocoder.data.table import read_table, shortened
from vocoder.errors import ConfigError, VocoderError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.io.atomic import replacing_file
from vocoder.io.audio import StrPath
from vocoder.io.members import Member, is_url
from vocoder.io.untrusted import parse_json

logger = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
# Share of Nyquist that content must reach: a model trained on less leaves the upper band empty.
FULL_BAND = 0.75
_TOO_MANY = 2**53  # what a float64 counts to exactly; no recording is as long
_MEMBER = re.compile(r"(?P<shard>.+?):(?P<offset>\d{1,15})\+(?P<size>\d{1,15}):(?P<name>.+)", re.S)
_HELD_OUT = 0.02  # share of the clips in each of valid and test


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording of a manifest, and the mel file or degraded copy it is paired with, if any.

    Files are paths or, in a manifest of shards, members of tars. `samples` counts one channel,
    `peak_dbfs` is the highest over all of them. `bandwidth_hz` is the highest frequency with real
    content. `mel_spec` is how the mel was made, if the file does not state it; `narrowband` covers
    the same time span, at any sample rate. Raises ConfigError if the values cannot describe a
    recording.
    """

    path: Path | Member
    split: str
    speaker: str
    seconds: float
    samples: int
    sample_rate: int
    channels: int
    bandwidth_hz: int
    peak_dbfs: float
    licence: str = ""
    mel: Path | Member | None = None
    mel_spec: MelSpec | None = None
    narrowband: Path | Member | None = None

    def __post_init__(self) -> None:
        """Check that the values can describe a recording."""
        require_split(self.split, "split")
        for name in ("samples", "sample_rate", "channels"):
            if not 1 <= getattr(self, name) < _TOO_MANY:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; it must be positive, and below 2⁵³"
                )
        if not 0.0 <= self.seconds < math.inf:
            raise ConfigError(f"seconds is {self.seconds}; it must be a number, 0 or more")
        if not math.isfinite(self.peak_dbfs):
            raise ConfigError(f"peak_dbfs is {self.peak_dbfs}; leave silent files out")
        if self.mel and self.narrowband:
            raise ConfigError("it has both mel and narrowband; a recording is paired with one")

    @property
    def paired(self) -> Literal["mel", "narrowband"] | None:
        """The feature that comes from a file; None if it is computed from the recording."""
        if self.mel:
            return "mel"
        return "narrowband" if self.narrowband else None

    def full_band(self, sample_rate: int) -> bool:
        """Whether the content fills the band of `sample_rate` well enough to be a target."""
        return self.bandwidth_hz >= FULL_BAND * sample_rate / 2


PAIR_COLUMNS = ("mel", "mel_spec", "narrowband")  # only in manifests that need them
COLUMNS = {
    field.name: field.type for field in dataclasses.fields(Clip) if field.name not in PAIR_COLUMNS
}


def require_split(split: str, where: str) -> None:
    """Raise ConfigError if there is no such split; `where` begins the message."""
    if split not in SPLITS:
        raise ConfigError(f"{where} is {split!r}; choose from {', '.join(SPLITS)}")


def splits_by_name(paths: list[Path]) -> dict[Path, str]:
    """Split of each path, by the hash of its name: the lowest are valid, the highest test."""
    place = {path: _uniform(path) for path in paths}
    ranked = sorted(paths, key=lambda path: (place[path], path))
    # A fixed threshold, not a count: a clip added to the folder moves no other one. The exception
    # is a folder so small that nothing falls below the threshold.
    limit = len(paths) // 3
    valid = min(max(1, sum(place[path] < _HELD_OUT for path in paths)), limit)
    test = min(max(1, sum(place[path] >= 1.0 - _HELD_OUT for path in paths)), limit)
    names = ["valid"] * valid + ["train"] * (len(paths) - valid - test) + ["test"] * test
    return dict(zip(ranked, names, strict=True))


def _uniform(path: Path) -> float:
    name = path.with_suffix("").as_posix().encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=6).digest()) / 2**48


def read_manifest(path: StrPath, *, split: str | None = None) -> list[Clip]:
    """Read the clips of a manifest, or of one split of it, in the order of the file.

    Paths in it are absolute or relative to the manifest's own folder; the ones returned are
    absolute. A file inside a tar is SHARD:OFFSET+SIZE:NAME, by the place of its bytes, where SHARD
    may also be a URL. A mel_spec is the name of a preset or JSON. Raises ConfigError naming the
    file and the column or line that is wrong.
    """
    path = Path(path)
    if split is not None:
        require_split(split, "split")
    rows = read_table(path, required=COLUMNS, optional=PAIR_COLUMNS)
    clips = [_clip(row, path, line) for line, row in rows]
    return [clip for clip in clips if split in (None, clip.split)]


def target_clips(
    manifest: StrPath,
    *,
    split: str,
    sample_rate: int,
    takes: Mapping[str, bool],
    allow_band_limited: bool = False,
) -> list[Clip]:
    """Read the clips of a split that can be training targets at `sample_rate`.

    Warns of clips that are left out. Raises ConfigError if none is left, if only some clips of the
    manifest are paired, or if they are paired with files that the model does not take.

    Args:
        manifest: Path of the manifest.
        split: The split that is read.
        sample_rate: Of the model, in Hz.
        takes: Whether the model takes each of the features "mel" and "narrowband".
        allow_band_limited: Whether to take clips whose content ends below three quarters of the
            band.
    """
    require_split(split, "split")
    listed = read_manifest(manifest)
    for kind, taken in takes.items():
        paired = sum(clip.paired == kind for clip in listed)
        if 0 < paired < len(listed):
            raise ConfigError(
                f"{manifest}: {paired} of {len(listed)} clips have a {kind} file; all must have, "
                "or none"
            )
        if paired and not taken:
            raise ConfigError(
                f"{manifest}: its clips have {kind} files, but this system takes no {kind}"
            )
    clips = [clip for clip in listed if clip.split == split]
    kept = [clip for clip in clips if allow_band_limited or clip.full_band(sample_rate)]
    needed = FULL_BAND * sample_rate / 2
    if not clips:
        raise ConfigError(
            f"{manifest}: split {split!r} is empty ({len(listed)} clips in the others); name it in "
            "the column split of some clips, or cut a long recording into files and prepare again"
        )
    if not kept:
        raise ConfigError(
            f"{manifest}: none of {len(clips)} clips in split {split!r} has content up to "
            f"{needed:.0f} Hz; add recordings or lower mel.sample_rate ({sample_rate})"
        )
    if len(kept) < len(clips):
        logger.warning(
            "%s: %d of %d clips in split %r are left out, their content ends below %.0f Hz",
            Path(manifest),
            len(clips) - len(kept),
            len(clips),
            split,
            needed,
        )
    return kept


def write_manifest(path: StrPath, clips: Iterable[Clip]) -> None:
    """Write a manifest atomically; `read_manifest` returns the same clips.

    Paths under the manifest's folder are written relative to it, so that the folder can be moved;
    others are absolute. Raises VocoderError if the file cannot be written.
    """
    path, clips = Path(path), list(clips)
    needed = [name for name in PAIR_COLUMNS if any(getattr(clip, name) for clip in clips)]
    folder = Path(os.path.abspath(path.parent))
    with (
        replacing_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, [*COLUMNS, *needed], lineterminator="\n")
        table.writeheader()
        for clip in clips:
            table.writerow({name: _text(getattr(clip, name), folder) for name in table.fieldnames})


def _clip(row: dict[str, str], path: Path, line: int) -> Clip:
    values: dict[str, str | int | float | Path | Member | MelSpec] = {
        name: row[name] for name in COLUMNS
    }
    values["path"] = _file(row["path"], path.parent)
    for name in ("mel", "narrowband"):
        if row.get(name):
            values[name] = _file(row[name], path.parent)
    for name, kind in COLUMNS.items():
        if kind in (int, float):
            try:
                values[name] = int(row[name]) if kind is int else float(row[name])
            except ValueError as error:
                raise ConfigError(
                    f"{path}:{line}: {name} is {shortened(row[name])}, not a number"
                ) from error
    try:
        if row.get("mel_spec"):
            values["mel_spec"] = _mel_spec(row["mel_spec"])
        return Clip(**values)  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigError(f"{path}:{line}: {error}") from error


def _file(text: str, folder: Path) -> Path | Member:
    """The file that a cell names, as an absolute path where it is not in a storage."""
    member = _MEMBER.fullmatch(text)
    if member is None:
        return Path(os.path.abspath(folder / text))
    shard = member["shard"]
    return Member(
        shard if is_url(shard) else os.path.abspath(folder / shard),
        member["name"],
        int(member["offset"]),
        int(member["size"]),
    )


def _text(value: object, folder: Path) -> str:
    """The text of one value of a clip in a manifest that lies in `folder`."""
    if value is None:
        return ""
    if isinstance(value, Member):
        shard = value.shard if is_url(value.shard) else _text(Path(value.shard), folder)
        return f"{shard}:{value.offset}+{value.size}:{value.name}"
    if isinstance(value, Path):
        absolute = Path(os.path.abspath(value))
        inside = absolute.is_relative_to(folder)
        return (absolute.relative_to(folder) if inside else absolute).as_posix()
    if isinstance(value, MelSpec):
        presets = (name for name, preset in PRESETS.items() if preset == value)
        return next(presets, None) or json.dumps(value.to_dict())
    return str(value)


@functools.cache  # the clips of a manifest share a few
def _mel_spec(text: str) -> MelSpec:
    if not text.startswith("{"):
        return MelSpec.preset(text)
    try:
        values = parse_json(text, "mel_spec")
    except VocoderError as error:
        raise ConfigError(f"mel_spec is not JSON ({error})") from error
    return MelSpec.from_dict(values, "mel_spec")
