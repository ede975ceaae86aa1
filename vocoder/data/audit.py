"""Audit of a folder of recordings: measure every file, report its faults, list what is usable."""

import hashlib
import math
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from vocoder.data.manifest import FULL_BAND, Clip, read_table, require_split, splits_by_name
from vocoder.data.pairs import CompanionFile, pairing
from vocoder.errors import AudioError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec
from vocoder.io.audio import READ_SUFFIXES, StrPath, probe, read_blocks
from vocoder.io.bandwidth import BandwidthMeter

Fault = Literal[
    "unreadable", "too short", "silent", "duplicate", "clipped", "low bandwidth", "stereo"
]
Kind = Fault | Literal["unpaired", "no recording"]
EXCLUDING: frozenset[Fault] = frozenset({"unreadable", "too short", "silent", "duplicate"})

_BLOCK = 2**18  # samples read at a time: a few seconds, so that memory does not grow with a file
_FULL_SCALE = 32767 / 32768  # the largest positive 16-bit sample
_CLIPPED_RUN = 3
_SILENT_PEAK_DBFS = -60.0
_SILENT_RMS_DBFS = -70.0


class Problem(NamedTuple):
    """A fault of one file, and whether the file was left out because of it."""

    path: Path
    kind: Kind
    explanation: str
    excluded: bool


class Audit(NamedTuple):
    """Result of an audit: the usable clips in the order of their paths, and all faults found.

    `trimmed` counts the pairs whose lengths differ within the tolerance; they end with the shorter.
    """

    clips: list[Clip]
    problems: list[Problem]
    trimmed: int = 0


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measured properties of one audio file.

    Levels are over all channels; `digest` identifies the samples, whatever the container.
    """

    sample_rate: int
    channels: int
    samples: int
    peak_dbfs: float
    rms_dbfs: float
    clipped_runs: int
    bandwidth_hz: int
    digest: str

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.samples / self.sample_rate


def audit(
    folder: StrPath,
    *,
    index: StrPath | None = None,
    only: Mapping[str, Collection[str]] | None = None,
    min_seconds: float = 0.3,
    mels: StrPath | None = None,
    mel_spec: MelSpec | None = None,
    narrowband: StrPath | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Measure every audio file under `folder` and make manifest entries of the usable ones.

    Without `index`, a hash of the path in the folder without suffix decides the split (about 2 %
    valid, 2 % test, from three clips on at least one each), and speaker is the first sub-folder.

    Raises AudioError if the folder has no usable audio, ConfigError if the index is wrong, a mel is
    without settings, or both mels and narrowband are given.

    Args:
        folder: The folder of recordings, searched at every depth.
        index: CSV file with a column path (relative to its own folder) and optionally split,
            speaker, licence: only files in it are taken, with its values.
        only: Column of the index → the values to keep.
        min_seconds: Shorter files are left out.
        mels: Folder of mel files to pair the recordings with (see `Mels`); recordings without one
            are left out as "unpaired".
        mel_spec: How the mel files were made that do not state it.
        narrowband: Folder of degraded copies to pair the recordings with (see `Narrowbands`).
        progress: Called with (files done, files in all).
    """
    root = Path(os.path.abspath(folder))
    if not root.is_dir():
        raise AudioError(f"{folder}: no such folder; name the folder that holds the recordings")
    if only and index is None:
        raise ConfigError(f"only={dict(only)} selects rows of an index; give index as well")
    entries = _walk(root) if index is None else _read_index(Path(index), root, only or {})
    companions = pairing(root, entries, mels=mels, mel_spec=mel_spec, narrowband=narrowband)
    problems: list[Problem] = []
    usable: dict[Path, tuple[Measurement, CompanionFile | None]] = {}
    first: dict[str, Path] = {}
    for done, path in enumerate(sorted(entries), start=1):
        found, measured = _examine(path, min_seconds, first)
        problems += found
        if measured:
            try:
                length = measured.samples, measured.sample_rate
                usable[path] = measured, companions.pair(path, *length) if companions else None
            except (AudioError, MelMismatchError) as error:
                problems.append(Problem(path, "unpaired", str(error), True))
        if progress:
            progress(done, len(entries))
    if not usable:
        fatal = [problem for problem in problems if problem.excluded]
        reason = "".join(f"; {path.name}: {text}" for path, _, text, _ in fatal[:1])
        raise AudioError(f"{folder}: no usable audio among {len(entries)} audio files{reason}")
    if companions and companions.orphans:
        count, example = len(companions.orphans), companions.orphans[0]
        note = f"{count} {companions.kind} files have no recording, such as {example}"
        problems.append(Problem(companions.folder, "no recording", note, True))
    splits = splits_by_name([path.relative_to(root) for path in usable])
    clips = [
        _clip(path, root, measured, entries[path], splits, pair)
        for path, (measured, pair) in usable.items()
    ]
    trimmed = sum(pair is not None and pair.trimmed for _, pair in usable.values())
    return Audit(clips, problems, trimmed)


def measure(path: StrPath) -> Measurement:
    """Measure one audio file in a single pass. Raises AudioError if it cannot be read."""
    info = probe(path)
    digest = hashlib.blake2b(str(info.sample_rate).encode(), digest_size=16)
    peak, energy, runs = 0.0, 0.0, 0
    tail = torch.zeros(info.channels, _CLIPPED_RUN, dtype=torch.bool)
    meter = BandwidthMeter(info.sample_rate)
    for block in read_blocks(path, frames=_BLOCK):
        digest.update(block.T.contiguous().numpy().tobytes())
        peak = max(peak, float(block.abs().max()))
        energy += float(block.double().square().sum())
        # The end of the last block goes before this one, so that runs across the seam count once.
        full = torch.cat([tail, block.abs() >= _FULL_SCALE], dim=-1)
        run = full.unfold(-1, _CLIPPED_RUN, 1).all(-1)
        runs += int((run[:, 1:] & ~run[:, :-1]).sum())
        tail = full[:, -_CLIPPED_RUN:]
        meter.add(block)
    return Measurement(
        **info._asdict(),
        peak_dbfs=_decibels(peak**2),
        rms_dbfs=_decibels(energy / (info.samples * info.channels)),
        clipped_runs=runs,
        bandwidth_hz=meter.bandwidth_hz,
        digest=digest.hexdigest(),
    )


def _examine(
    path: Path, min_seconds: float, first: dict[str, Path]
) -> tuple[list[Problem], Measurement | None]:
    """The problems of one file, and its measurement if it is usable; `first` collects digests."""
    try:
        measured = measure(path)
    except AudioError as error:
        return [Problem(path, "unreadable", str(error).removeprefix(f"{path}: "), True)], None
    faults = _faults(measured, min_seconds)
    if not EXCLUDING & faults.keys():
        original = first.setdefault(measured.digest, path)
        if original != path:
            faults = {"duplicate": f"has the same samples as {original}"}
    # Further faults of a file that is left out are of no interest.
    serious = {kind: text for kind, text in faults.items() if kind in EXCLUDING}
    problems = [
        Problem(path, kind, text, kind in EXCLUDING) for kind, text in (serious or faults).items()
    ]
    return problems, None if serious else measured


def _faults(measured: Measurement, min_seconds: float) -> dict[Fault, str]:
    faults: dict[Fault, str] = {}
    if measured.seconds < min_seconds:
        faults["too short"] = f"lasts {measured.seconds:.3f} s, less than {min_seconds} s"
    if measured.peak_dbfs < _SILENT_PEAK_DBFS or measured.rms_dbfs < _SILENT_RMS_DBFS:
        faults["silent"] = f"peak {measured.peak_dbfs:.1f}, RMS {measured.rms_dbfs:.1f} dBFS"
    if measured.clipped_runs:
        faults["clipped"] = (
            f"{measured.clipped_runs} runs of {_CLIPPED_RUN} or more full-scale samples; "
            "record it with less gain"
        )
    if measured.bandwidth_hz < FULL_BAND * measured.sample_rate / 2:
        faults["low bandwidth"] = (
            f"content ends at {measured.bandwidth_hz} Hz of {measured.sample_rate // 2} Hz; "
            "it may have been upsampled, find the original or train at a lower rate"
        )
    if measured.channels > 1:
        faults["stereo"] = (
            f"{measured.channels} channels; training takes one of them at random, "
            "their mean if it is paired with another file"
        )
    return faults


def _walk(root: Path) -> dict[Path, dict[str, str]]:
    return {
        path: {}
        for path in root.rglob("*")
        if path.suffix.lower() in READ_SUFFIXES and path.is_file()
    }


def _read_index(
    index: Path, root: Path, only: Mapping[str, Collection[str]]
) -> dict[Path, dict[str, str]]:
    """The selected rows that lie in `root`: path → its split, speaker and licence."""
    entries: dict[Path, dict[str, str]] = {}
    for line, row in read_table(index, required={"path"} | only.keys()):
        path = Path(os.path.abspath(index.parent / row["path"]))
        selected = all(row[column] in values for column, values in only.items())
        if not selected or not path.is_relative_to(root):
            continue
        carried = {name: row.get(name, "") for name in ("split", "speaker", "licence")}
        if carried["split"]:
            require_split(carried["split"], f"{index}:{line}: split")
        if entries.setdefault(path, carried) != carried:
            raise ConfigError(f"{index}:{line}: {row['path']} is listed twice, differently")
    return entries


def _clip(
    path: Path,
    root: Path,
    measured: Measurement,
    carried: dict[str, str],
    splits: dict[Path, str],
    pair: CompanionFile | None,
) -> Clip:
    relative = path.relative_to(root)
    folder = relative.parts[0] if len(relative.parts) > 1 else root.name
    return Clip(
        path=path,
        split=carried.get("split") or splits[relative],
        speaker=carried.get("speaker") or folder,
        seconds=round(measured.seconds, 3),
        samples=measured.samples,
        sample_rate=measured.sample_rate,
        channels=measured.channels,
        bandwidth_hz=measured.bandwidth_hz,
        peak_dbfs=round(measured.peak_dbfs, 2),
        licence=carried.get("licence", ""),
        mel=pair.mel if pair else None,
        mel_spec=pair.spec if pair else None,
        narrowband=pair.narrowband if pair else None,
    )


def _decibels(mean_square: float) -> float:
    return 10.0 * math.log10(mean_square) if mean_square > 0.0 else -math.inf
