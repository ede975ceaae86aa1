"""Audit of a folder of recordings: measure every file, report its faults, list what is usable."""

import functools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vocoder.data.corpus.companions import Mels, Narrowbands, pairing
from vocoder.data.corpus.index import read_index
from vocoder.data.corpus.measure import EXCLUDING, Fault, Measurement, faults_of
from vocoder.data.corpus.measured import MeasuredFiles, Seen, look
from vocoder.data.manifest import SPLITS, Clip, splits_by_name
from vocoder.data.pairs import CompanionFile
from vocoder.data.shards.listing import paired_in_tars, recordings_of, shards_of
from vocoder.errors import AudioError, ConfigError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.io.audio import READ_SUFFIXES, StrPath
from vocoder.io.containers.opening import UnscaledAudioError
from vocoder.io.folder import find_files
from vocoder.io.members import Member

Kind = Fault | Literal["unpaired", "no recording", "no file", "skipped"]
Entries = Mapping[Path | Member, dict[str, str]]
Engine = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[tuple[int, Any]]]
# Kinds that concern the folder or the index as a whole, not one recording.
OVERALL: frozenset[Kind] = frozenset({"no recording", "no file", "skipped"})

_IN_TARS = (
    "tars bring mels as KEY.mel.npy, narrow-band copies as KEY.narrowband.flac, split, speaker and "
    "licence as KEY.json; leave out --index, --mels and --narrowband"
)


class Problem(NamedTuple):
    """A fault of one file, or of all (see `OVERALL`), and whether something was left out."""

    path: Path | Member
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

    @property
    def empty_splits(self) -> list[str]:
        """The splits that have no clips, if training needs one of them."""
        used = {clip.split for clip in self.clips}
        empty = [split for split in SPLITS if split not in used]
        return empty if {"train", "valid"} & set(empty) else []


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
    each: Engine | None = None,
    measured: MeasuredFiles | None = None,
) -> Audit:
    """Measure every audio file under `folder` and make manifest entries of the usable ones.

    Without `index`, a hash of the path in the folder without suffix decides the split (about 2 %
    valid, 2 % test, from three clips on at least one each), and speaker is the first sub-folder.

    Raises AudioError if the folder has no usable audio, ConfigError if the index is wrong, a mel is
    without settings, or both mels and narrowband are given.

    Args:
        folder: The folder of recordings, searched at every depth; or tars, by a path, a URL or a
            pattern such as `shards/train-{000..127}.tar`.
        index: CSV file with a column path (relative to its own folder) and optionally split,
            speaker, licence: only files in it are taken, with its values.
        only: Column of the index → the values to keep.
        min_seconds: Shorter files are left out.
        mels: Folder of mel files to pair the recordings with (see `Mels`); recordings without one
            are left out as "unpaired".
        mel_spec: How the mel files were made that do not state it.
        narrowband: Folder of degraded copies to pair the recordings with (see `Narrowbands`).
        progress: Called with (files done, files in all).
        each: Calls a function for each of some items, several at a time or on several machines, and
            yields the index of the item and the result as they are done; one by one without.
        measured: What an earlier audit that was stopped has measured, and where this one enters it.
    """
    if only and index is None:
        raise ConfigError(f"only={dict(only)} selects rows of an index; give index as well")
    root = Path(os.path.abspath(folder))
    shards = shards_of(folder)
    if shards:
        if index or mels or narrowband:
            raise ConfigError(f"{folder}: {_IN_TARS}")
        entries, companions = _in_tars(shards, mel_spec)
        problems: list[Problem] = []
    else:
        if not root.is_dir():
            raise AudioError(f"{folder}: no such folder; name the folder that holds the recordings")
        entries, problems = _entries(root, index, only or {})
        files = [path for path in entries if isinstance(path, Path)]
        companions = pairing(root, files, mels=mels, mel_spec=mel_spec, narrowband=narrowband)
    work = functools.partial(look, min_seconds=min_seconds, companions=companions)
    paths = sorted(entries, key=_as_path)
    seen = _seen(paths, work, each or _one_by_one, measured, progress)
    usable: dict[Path | Member, tuple[Measurement, CompanionFile | None]] = {}
    first: dict[str, Path | Member] = {}
    for path, (result, pair) in seen.items():
        found, fit = _examine(path, result, min_seconds, first)
        problems += found
        if fit is None:
            continue
        if isinstance(pair, VocoderError):
            problems.append(Problem(path, "unpaired", str(pair), True))
        else:
            usable[path] = fit, pair
    if not usable:
        raise AudioError(f"{folder}: {_why_nothing(root, len(entries), problems)}")
    problems += _unmatched(companions)
    splits = splits_by_name([_relative(path, root) for path in usable])
    clips = [
        _clip(path, root, fit, entries[path], splits, pair) for path, (fit, pair) in usable.items()
    ]
    trimmed = sum(pair is not None and pair.trimmed for _, pair in usable.values())
    return Audit(clips, problems, trimmed)


def _one_by_one(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[tuple[int, Any]]:
    return enumerate(map(work, items))


def _seen(
    paths: Sequence[Path | Member],
    work: Callable[[tuple[Path | Member, Measurement | None]], Seen],
    each: Engine,
    measured: MeasuredFiles | None,
    progress: Callable[[int, int], None] | None,
) -> dict[Path | Member, Seen]:
    """What there is to know of each file, in their order; measurements are entered as they come."""
    items = [(path, measured.get(path) if measured else None) for path in paths]
    seen = dict.fromkeys(paths, Seen(AudioError("was not measured"), None))
    for done, (index, result) in enumerate(each(work, items), start=1):
        path, known = items[index]
        seen[path] = result if isinstance(result, Seen) else Seen(AudioError(str(result)), None)
        if measured and known is None:
            measured.add(path, seen[path].result)
        if progress:
            progress(done, len(paths))
    return seen


def _in_tars(
    shards: list[str], mel_spec: MelSpec | None
) -> tuple[Entries, Mels | Narrowbands | None]:
    """The recordings in tars with what their JSON says, and what they are paired with."""
    recordings = recordings_of(shards)
    return {each.audio: each.facts for each in recordings}, paired_in_tars(recordings, mel_spec)


def _entries(
    root: Path, index: StrPath | None, only: Mapping[str, Collection[str]]
) -> tuple[Entries, list[Problem]]:
    """The recordings, with what the index says of each, and what was left out in finding them."""
    if index is not None:
        listed, notes = read_index(Path(index), root, only)
        entries: dict[Path | Member, dict[str, str]] = dict(listed.items())
        return entries, [Problem(Path(index), "no file", note, True) for note in notes]
    found = find_files(root, READ_SUFFIXES)
    return {path: {} for path in found.files}, _skipped(root, found.skipped)


def _skipped(folder: Path, skipped: Mapping[Path, str]) -> list[Problem]:
    if not skipped:
        return []
    path, reason = next(iter(skipped.items()))
    note = f"{len(skipped)} entries are skipped, such as {path}: it {reason}"
    return [Problem(folder, "skipped", note, True)]


def _why_nothing(root: Path, count: int, problems: list[Problem]) -> str:
    """Why an audit of `count` files found nothing usable, in one line."""
    reason = next((f"; {p.path.name}: {p.explanation}" for p in problems if p.excluded), "")
    if not count and not reason:
        suffixes = Counter(path.suffix for path in root.rglob("*") if path.is_file())
        there = "".join(f"it has {n} {suffix} files; " for suffix, n in suffixes.most_common(1))
        reason = f"; {there}convert what else is audio to wav or flac"
    return f"no usable audio among {count} audio files{reason}"


def _unmatched(companions: Mels | Narrowbands | None) -> list[Problem]:
    """Files of the paired folder that no recording needs, and what could not be searched there."""
    if not companions:
        return []
    problems = _skipped(companions.folder, companions.skipped)
    if companions.orphans:
        count, example = len(companions.orphans), companions.orphans[0]
        note = f"{count} {companions.kind} files have no recording, such as {example}"
        problems.append(Problem(companions.folder, "no recording", note, True))
    return problems


def _examine(
    path: Path | Member,
    measured: Measurement | AudioError,
    min_seconds: float,
    first: dict[str, Path | Member],
) -> tuple[list[Problem], Measurement | None]:
    """The problems of one file, and its measurement if it is usable; `first` collects digests."""
    if isinstance(measured, AudioError):
        kind: Fault = "not scaled" if isinstance(measured, UnscaledAudioError) else "unreadable"
        return [Problem(path, kind, str(measured).removeprefix(f"{path}: "), True)], None
    faults = faults_of(measured, min_seconds)
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


def _as_path(path: Path | Member) -> Path:
    return Path(str(path))


def _relative(path: Path | Member, root: Path) -> Path:
    """The path in the folder, or in the tar."""
    return Path(path.name) if isinstance(path, Member) else path.relative_to(root)


def _clip(
    path: Path | Member,
    root: Path,
    measured: Measurement,
    carried: dict[str, str],
    splits: dict[Path, str],
    pair: CompanionFile | None,
) -> Clip:
    relative = _relative(path, root)
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
