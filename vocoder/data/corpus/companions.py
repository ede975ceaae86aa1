"""Matching of recordings with the mel files or the narrow-band copies of a folder."""

import functools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from vocoder.data.corpus.names import recording_names
from vocoder.data.corpus.own_mel import differs_from_recording
from vocoder.data.pairs import CompanionFile, as_long, expected_frames, read_stated
from vocoder.errors import AudioError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec
from vocoder.io.audio import READ_SUFFIXES, StrPath, read_blocks
from vocoder.io.folder import find_files
from vocoder.io.mel_file import SUFFIXES
from vocoder.io.members import Member

_BLOCK = 2**18  # samples read at a time


class Companions:
    """Matches the files of a folder with the recordings that they belong to.

    A recording's file has the same relative path apart from the suffix, or else the same name, if
    that is unique among both; the name may be extended as `recording_names` knows it. `orphans` are
    the files without a recording, `skipped` what could not be searched. Raises ConfigError if the
    folder has no file with these suffixes.

    Args:
        folder: Where the files are, at any depth.
        root: The folder of the recordings.
        recordings: Absolute paths under `root`.
        suffixes: Of the files to match, in lower case.
        kind: The name of such a file in messages.
    """

    def __init__(
        self,
        folder: StrPath,
        root: Path,
        recordings: Collection[Path],
        *,
        suffixes: Collection[str],
        kind: str,
    ) -> None:
        self.folder, self.kind = Path(os.path.abspath(folder)), kind
        files, self.skipped = find_files(self.folder, suffixes)
        if not files:
            raise ConfigError(
                f"{folder}: no {kind} files there, such as *{', *'.join(sorted(suffixes)[:6])}; "
                f"name the folder of {kind} files"
            )
        names = Counter(path.stem for path in recordings)
        candidates = dict.fromkeys(recordings, list[Path]())
        self.orphans = files
        for named in (_own_name, functools.partial(_extended_name, names=names)):
            left = [path for path, found in candidates.items() if not found]
            candidates |= _matches(left, root, self.orphans, self.folder, names, named)
            claimed = {file for found in candidates.values() for file in found}
            self.orphans = [file for file in files if file not in claimed]
        self.candidates: dict[Path | Member, Sequence[Path | Member]] = {}
        self.candidates.update(candidates.items())

    def find(self, recording: Path | Member) -> Path | Member:
        """The file of a recording; AudioError if there is none, or more than one."""
        found = self.candidates[recording]
        if not found:
            raise AudioError(
                f"no {self.kind} file of that name in {self.folder}{self._hint(recording.stem)}"
            )
        if len(found) > 1:
            listed = ", ".join(map(str, found))
            raise AudioError(f"several {self.kind} files of that name, keep one: {listed}")
        return found[0]

    def _hint(self, name: str) -> str:
        """What was looked for and a name that is there; empty if every file has a recording."""
        if not self.orphans:
            return ""
        example = next((file for file in self.orphans if name in file.name), self.orphans[0])
        looked_for = f"{name}.* or {self.kind}-{name}.*"
        return f", such as {looked_for}; a name that is there is {example.name}"


class Mels(Companions):
    """Matches recordings with the mel files of a folder, and checks that they fit.

    `settings` applies to the mel files that do not state how they were made.
    """

    def __init__(
        self,
        folder: StrPath,
        root: Path,
        recordings: Collection[Path],
        *,
        settings: MelSpec | None = None,
    ) -> None:
        super().__init__(folder, root, recordings, suffixes=SUFFIXES, kind="mel")
        self.settings = settings

    def pair(self, recording: Path | Member, samples: int, sample_rate: int) -> CompanionFile:
        """The mel file of a recording of `samples` at `sample_rate`.

        Raises AudioError if there is none, MelMismatchError if it cannot be read or does not fit,
        ConfigError if neither the file nor `settings` states how it was made.
        """
        path = self.find(recording)
        mel, spec = read_stated(path, self.settings)
        expected = expected_frames(path, mel, spec, samples, sample_rate)
        wrong = differs_from_recording(mel, spec, recording, sample_rate)
        if wrong:
            raise MelMismatchError(f"{path}: {wrong.explanation}")
        bare = spec is self.settings
        return CompanionFile(
            mel=path, spec=spec if bare else None, trimmed=mel.shape[-1] != expected
        )


class Narrowbands(Companions):
    """Matches recordings with the narrow-band copies of a folder, and checks that they fit."""

    def __init__(self, folder: StrPath, root: Path, recordings: Collection[Path]) -> None:
        super().__init__(folder, root, recordings, suffixes=READ_SUFFIXES, kind="narrowband")

    def pair(self, recording: Path | Member, samples: int, sample_rate: int) -> CompanionFile:
        """The narrow-band copy of a recording of `samples` at `sample_rate`; it is read to its end.

        Raises AudioError if there is none, or it cannot be read, is silent or of another length.
        """
        path = self.find(recording)
        info = as_long(path, samples, sample_rate)
        if not max(block.abs().max().item() for block in read_blocks(path, frames=_BLOCK)):
            raise AudioError(f"{path} is silent")
        trimmed = round(info.samples * sample_rate / info.sample_rate) != samples
        return CompanionFile(narrowband=path, trimmed=trimmed)


def pairing(
    root: Path,
    recordings: Collection[Path],
    *,
    mels: StrPath | None,
    mel_spec: MelSpec | None,
    narrowband: StrPath | None,
) -> Mels | Narrowbands | None:
    """Match recordings with the mel files or the narrow-band copies of a folder.

    The result has `pair` for a recording; it is None if neither folder is given. Raises ConfigError
    if both are, or if there are mel settings but no mels.

    Args:
        root: The folder of the recordings.
        recordings: Absolute paths under `root`.
        mels: The folder of mel files.
        mel_spec: How the mel files were made that do not state it.
        narrowband: The folder of narrow-band copies.
    """
    if mel_spec and mels is None:
        raise ConfigError("mel settings (preset or model) apply to mel files; give mels as well")
    if mels is not None and narrowband is not None:
        raise ConfigError("a recording is paired with a mel or with a narrowband file; give one")
    if mels is not None:
        return Mels(mels, root, recordings, settings=mel_spec)
    return None if narrowband is None else Narrowbands(narrowband, root, recordings)


def _own_name(file: Path) -> str:
    return file.stem


def _extended_name(file: Path, *, names: Mapping[str, int]) -> str:
    """The one recording whose name the file's extends; the file's own name if there is none."""
    found = {name for name in recording_names(file.stem) if name in names}
    return found.pop() if len(found) == 1 else file.stem


def _matches(
    recordings: Iterable[Path],
    root: Path,
    files: Iterable[Path],
    folder: Path,
    names: Mapping[str, int],
    named: Callable[[Path], str],
) -> dict[Path, list[Path]]:
    """The files of each recording by path, or by a name that only one recording has.

    `names` counts the recordings of each name, `named` tells the name of a file.
    """
    by_path, by_name = defaultdict(list), defaultdict(list)
    for file in files:
        by_path[file.relative_to(folder).with_name(named(file))].append(file)
        by_name[named(file)].append(file)
    return {
        path: by_path.get(path.relative_to(root).with_suffix(""))
        or (by_name.get(path.stem, []) if names[path.stem] == 1 else [])
        for path in recordings
    }
