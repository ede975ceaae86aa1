"""Recordings paired with a mel file or a narrow-band copy: matching, checking and reading them.

Mels are for fine-tuning on the predictions of an acoustic model. Narrow-band copies are for
restoring what a telephone or an in-ear microphone removed: the copy is the input, the recording
the target.
"""

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vocoder.data.manifest import Clip
from vocoder.errors import AudioError, ConfigError, MelMismatchError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_conversion import convert, layout
from vocoder.io.audio import READ_SUFFIXES, AudioInfo, StrPath, probe, read_blocks
from vocoder.io.mel_file import SUFFIXES, read_mel

_TOLERANCE = 1  # frames: what tools differ by in how they treat the last window
_PER_SECOND = 50  # a copy may last 1/50 s more or less: a block of a codec or of a sound card
_BLOCK = 2**18  # samples read at a time


class CompanionFile(NamedTuple):
    """The mel file or the narrow-band copy of a recording.

    `spec` is how the mel was made, if the file does not state it. `trimmed`: recording and file
    differ in length, within the tolerance.
    """

    mel: Path | None = None
    spec: MelSpec | None = None
    narrowband: Path | None = None
    trimmed: bool = False


class Companions:
    """Matches the files of a folder with the recordings that they belong to.

    A recording's file has the same relative path apart from the suffix, or else the same name, if
    that is unique among both. `orphans` are the files without a recording. Raises ConfigError if
    the folder has no file with these suffixes.

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
        files = [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
        ]
        if not files:
            listed = ", ".join(sorted(suffixes))
            raise ConfigError(f"{folder}: no {listed} file there; name the folder of {kind} files")
        by_path, by_name = defaultdict(list), defaultdict(list)
        for file in files:
            by_path[file.relative_to(self.folder).with_suffix("")].append(file)
            by_name[file.stem].append(file)
        names = Counter(path.stem for path in recordings)
        self.candidates = {
            path: by_path.get(path.relative_to(root).with_suffix(""))
            or (by_name.get(path.stem, []) if names[path.stem] == 1 else [])
            for path in recordings
        }
        claimed = {file for found in self.candidates.values() for file in found}
        self.orphans = [file for file in files if file not in claimed]

    def find(self, recording: Path) -> Path:
        """The file of a recording; AudioError if there is none, or more than one."""
        found = self.candidates[recording]
        if not found:
            raise AudioError(f"no {self.kind} file of that name in {self.folder}")
        if len(found) > 1:
            listed = ", ".join(map(str, found))
            raise AudioError(f"several {self.kind} files of that name, keep one: {listed}")
        return found[0]


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

    def pair(self, recording: Path, samples: int, sample_rate: int) -> CompanionFile:
        """The mel file of a recording of `samples` at `sample_rate`.

        Raises AudioError if there is none, MelMismatchError if it cannot be read or does not fit,
        ConfigError if neither the file nor `settings` states how it was made.
        """
        path = self.find(recording)
        mel, spec = _read(path, self.settings)
        expected = _expected_frames(path, mel, spec, samples, sample_rate)
        bare = spec is self.settings
        return CompanionFile(
            mel=path, spec=spec if bare else None, trimmed=mel.shape[-1] != expected
        )


class Narrowbands(Companions):
    """Matches recordings with the narrow-band copies of a folder, and checks that they fit."""

    def __init__(self, folder: StrPath, root: Path, recordings: Collection[Path]) -> None:
        super().__init__(folder, root, recordings, suffixes=READ_SUFFIXES, kind="narrowband")

    def pair(self, recording: Path, samples: int, sample_rate: int) -> CompanionFile:
        """The narrow-band copy of a recording of `samples` at `sample_rate`; it is read to its end.

        Raises AudioError if there is none, or it cannot be read, is silent or of another length.
        """
        path = self.find(recording)
        info = _as_long(path, samples, sample_rate)
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


def narrowband_copy(clip: Clip) -> Clip:
    """The narrow-band copy of a paired clip, as a clip that `read_crop` can read.

    Raises AudioError, which names the file, if it cannot be read or no longer has the length of the
    recording.
    """
    assert clip.narrowband is not None
    try:
        info = _as_long(clip.narrowband, clip.samples, clip.sample_rate)
    except AudioError as error:
        raise AudioError(f"{clip.path}: {error}, then run `vocoder prepare` again") from error
    return dataclasses.replace(clip, path=clip.narrowband, **info._asdict())


def read_paired_mel(clip: Clip, target: MelSpec) -> Tensor:
    """Read the mel of a paired clip, converted to `target` and no longer than the recording.

    Raises MelMismatchError, which names the file, if it cannot be converted exactly, cannot be
    read, or no longer has the length of the recording.

    Shape: [M, F].
    """
    assert clip.mel is not None
    mel, source = _read(clip.mel, clip.mel_spec)
    try:
        mel = convert(mel, source, target)
    except MelMismatchError as error:
        raise MelMismatchError(f"{clip.mel}: {error}") from error
    try:
        return mel[:, : _expected_frames(clip.mel, mel, target, clip.samples, clip.sample_rate)]
    except MelMismatchError as error:
        raise MelMismatchError(f"{clip.path}: {error}, then run `vocoder prepare` again") from error


def _read(path: Path, settings: MelSpec | None) -> tuple[Tensor, MelSpec]:
    """A mel [M, F], and how it was made: as the file states, otherwise `settings`."""
    try:
        mel, stated = read_mel(path)
    except VocoderError as error:
        raise MelMismatchError(str(error)) from error
    spec = stated or settings
    if spec is None:
        raise ConfigError(
            f"{path}: does not state how the mel was made; give `vocoder prepare` a --preset or "
            "--model for such files"
        )
    try:
        return layout(mel, spec), spec
    except MelMismatchError as error:
        raise MelMismatchError(f"{path}: {error}") from error


def _expected_frames(path: Path, mel: Tensor, spec: MelSpec, samples: int, sample_rate: int) -> int:
    """Number of frames of a recording; MelMismatchError if its mel differs beyond the tolerance."""
    expected = spec.frames(round(samples * spec.sample_rate / sample_rate))
    frames = mel.shape[-1]
    if abs(frames - expected) > _TOLERANCE or min(frames, expected) <= spec.frames(0):
        raise MelMismatchError(
            f"{path} has {frames} frames, the recording gives {expected} (hop_length "
            f"{spec.hop_length} at {spec.sample_rate} Hz); make one from the other"
        )
    return expected


def _as_long(path: Path, samples: int, sample_rate: int) -> AudioInfo:
    """The header of a copy; AudioError if its length differs from the recording's too much."""
    info = probe(path)
    difference = abs(info.samples * sample_rate - samples * info.sample_rate)
    if difference * _PER_SECOND > info.sample_rate * sample_rate:
        raise AudioError(
            f"{path} lasts {info.samples / info.sample_rate:.3f} s, the recording "
            f"{samples / sample_rate:.3f} s; cut both at the same moments"
        )
    return info
