"""Recordings and their mel files: which belong together, how they were made, whether they fit.

For fine-tuning on what an acoustic model predicts: its mels in, the recordings as targets.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vocoder.audio import StrPath
from vocoder.data.manifest import Clip
from vocoder.errors import ConfigError, MelMismatchError, VocoderError
from vocoder.features.fit import convert, layout
from vocoder.features.mel import MelSpec
from vocoder.melfile import SUFFIXES, read_mel

_TOLERANCE = 1  # frames: what tools differ by in how they treat the last window


class Pair(NamedTuple):
    """The mel file of a recording; `spec` is how it was made if the file itself does not say so.

    `trimmed`: it is a frame longer or shorter than the recording.
    """

    mel: Path
    spec: MelSpec | None
    trimmed: bool


class Mels:
    """The mel files under a folder, by the `recordings` under `root` that they belong to.

    A recording's mel file has the same relative path but for the suffix, or else the same name, if
    that is unique among both. `orphans` are the files without a recording. `settings` say how a
    file was made that does not say it itself. Raises ConfigError if the folder has no mel file.
    """

    def __init__(
        self,
        folder: StrPath,
        root: Path,
        recordings: Collection[Path],
        *,
        settings: MelSpec | None = None,
    ) -> None:
        self.folder, self.settings = Path(os.path.abspath(folder)), settings
        files = [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
        ]
        if not files:
            raise ConfigError(
                f"{folder}: no {', '.join(SUFFIXES)} file there; name the mels' folder"
            )
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

    def pair(self, recording: Path, samples: int, sample_rate: int) -> Pair:
        """The mel file of a recording of this length.

        Raises MelMismatchError if there is none that can be read and fits, ConfigError if nobody
        says how it was made.
        """
        found = self.candidates[recording]
        if not found:
            raise MelMismatchError(f"no mel file of that name in {self.folder}")
        if len(found) > 1:
            listed = ", ".join(map(str, found))
            raise MelMismatchError(f"several mel files of that name, keep one: {listed}")
        mel, spec = _read(found[0], self.settings)
        expected = _expected_frames(found[0], mel, spec, samples, sample_rate)
        bare = spec is self.settings
        return Pair(found[0], spec if bare else None, trimmed=mel.shape[-1] != expected)


def read_paired_mel(clip: Clip, want: MelSpec) -> Tensor:
    """The mel of a paired clip as `want` has it, no longer than the recording.

    Raises MelMismatchError, naming the file, if it was made otherwise and cannot be converted
    exactly, cannot be read, or does not have the length of the recording any more.
    Shape: [M, F].
    """
    assert clip.mel is not None
    mel, have = _read(clip.mel, clip.mel_spec)
    try:
        mel = convert(mel, have, want)
    except MelMismatchError as error:
        raise MelMismatchError(f"{clip.mel}: {error}") from error
    try:
        return mel[:, : _expected_frames(clip.mel, mel, want, clip.samples, clip.sample_rate)]
    except MelMismatchError as error:
        raise MelMismatchError(f"{clip.path}: {error}, then run `vocoder prepare` again") from error


def _read(path: Path, settings: MelSpec | None) -> tuple[Tensor, MelSpec]:
    """A mel [M, F], and how it was made: as the file says, otherwise `settings`."""
    try:
        mel, stated = read_mel(path)
    except VocoderError as error:
        raise MelMismatchError(str(error)) from error
    spec = stated or settings
    if spec is None:
        raise ConfigError(
            f"{path}: does not say how the mel was made; give `vocoder prepare` a --preset or "
            "--model for such files"
        )
    try:
        return layout(mel, spec), spec
    except MelMismatchError as error:
        raise MelMismatchError(f"{path}: {error}") from error


def _expected_frames(path: Path, mel: Tensor, spec: MelSpec, samples: int, sample_rate: int) -> int:
    """Frames that a recording gives; MelMismatchError if its mel has not about as many."""
    expected = spec.frames(round(samples * spec.sample_rate / sample_rate))
    frames = mel.shape[-1]
    if abs(frames - expected) > _TOLERANCE or min(frames, expected) <= spec.frames(0):
        raise MelMismatchError(
            f"{path} has {frames} frames, the recording gives {expected} (hop_length "
            f"{spec.hop_length} at {spec.sample_rate} Hz); make one from the other"
        )
    return expected
