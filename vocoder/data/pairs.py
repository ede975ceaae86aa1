"""Recordings paired with a mel file or a narrow-band copy: checking and reading them.

Mels are for fine-tuning on the predictions of an acoustic model. Narrow-band copies are for
restoring what a telephone or an in-ear microphone removed: the copy is the input, the recording
the target.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vocoder.data.manifest import Clip
from vocoder.errors import AudioError, ConfigError, MelMismatchError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_conversion import convert, layout
from vocoder.io.audio import AudioInfo, probe
from vocoder.io.mel_file import MelFile, read_mel
from vocoder.io.members import Member

_TOLERANCE = 1  # frames: what tools differ by in how they treat the last window
_PER_SECOND = 50  # a copy may last 1/50 s more or less: a block of a codec or of a sound card


class CompanionFile(NamedTuple):
    """The mel file or the narrow-band copy of a recording.

    `spec` is how the mel was made, if the file does not state it. `trimmed`: recording and file
    differ in length, within the tolerance.
    """

    mel: Path | Member | None = None
    spec: MelSpec | None = None
    narrowband: Path | Member | None = None
    trimmed: bool = False


def narrowband_copy(clip: Clip) -> Clip:
    """The narrow-band copy of a paired clip, as a clip that `read_crop` can read.

    Raises AudioError, which names the file, if it cannot be read or no longer has the length of the
    recording.
    """
    assert clip.narrowband is not None
    try:
        info = as_long(clip.narrowband, clip.samples, clip.sample_rate)
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
    mel, source = read_stated(clip.mel, clip.mel_spec)
    try:
        mel = convert(mel, source, target)
    except MelMismatchError as error:
        raise MelMismatchError(f"{clip.mel}: {error}") from error
    try:
        return mel[:, : expected_frames(clip.mel, mel, target, clip.samples, clip.sample_rate)]
    except MelMismatchError as error:
        raise MelMismatchError(f"{clip.path}: {error}, then run `vocoder prepare` again") from error


def read_stated(path: Path | Member, settings: MelSpec | None) -> tuple[Tensor, MelSpec]:
    """A mel [M, F], and how it was made: as the file states, otherwise `settings`."""
    try:
        mel, stated = _read(path)
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


def _read(path: Path | Member) -> MelFile:
    """Read a mel file, which may lie in a tar."""
    if isinstance(path, Path):
        return read_mel(path)
    with path.unpacked() as copy:
        try:
            return read_mel(copy)
        except VocoderError as error:
            raise VocoderError(str(error).replace(str(copy), str(path))) from error


def expected_frames(
    path: Path | Member, mel: Tensor, spec: MelSpec, samples: int, sample_rate: int
) -> int:
    """Number of frames of a recording; MelMismatchError if its mel differs beyond the tolerance."""
    expected = spec.frames(round(samples * spec.sample_rate / sample_rate))
    frames = mel.shape[-1]
    if abs(frames - expected) > _TOLERANCE or min(frames, expected) <= spec.frames(0):
        raise MelMismatchError(
            f"{path} has {frames} frames, the recording gives {expected} (hop_length "
            f"{spec.hop_length} at {spec.sample_rate} Hz); make one from the other"
        )
    return expected


def as_long(path: Path | Member, samples: int, sample_rate: int) -> AudioInfo:
    """The header of a copy; AudioError if its length differs from the recording's too much."""
    info = probe(path)
    difference = abs(info.samples * sample_rate - samples * info.sample_rate)
    if difference * _PER_SECOND > info.sample_rate * sample_rate:
        raise AudioError(
            f"{path} lasts {info.samples / info.sample_rate:.3f} s, the recording "
            f"{samples / sample_rate:.3f} s; cut both at the same moments"
        )
    return info
