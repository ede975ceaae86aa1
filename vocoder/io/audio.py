"""Reading and writing of audio files, and conversion of the sample rate.

All audio files are accessed through this module: a file is read in part or in blocks, checked
once, and written whole or not at all.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import AudioError
from vocoder.io.atomic import replacing_file
from vocoder.io.containers.opening import opened
from vocoder.io.members import Member
from vocoder.io.pcm import Clipping, pcm16

# What a search of a folder takes for audio. A file that is named is read whatever its suffix.
READ_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf"),
    *(".w64", ".rf64", ".bwf", ".wave", ".oga", ".mp2", ".sph", ".nist", ".voc"),
)
WRITE_SUFFIXES = (".flac", ".wav")
StrPath = str | os.PathLike[str]
AudioSource = StrPath | Member
"""What audio is read from: a file, or a file inside a tar."""


class AudioInfo(NamedTuple):
    """Contents of the header of an audio file; `samples` counts one channel."""

    sample_rate: int
    channels: int
    samples: int


def probe(path: AudioSource) -> AudioInfo:
    """Read the header of an audio file. Raises AudioError for a file that cannot be opened."""
    with opened(_located(path)) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames)


def read_audio(
    path: AudioSource, *, start: int = 0, frames: int | None = None
) -> tuple[Tensor, int]:
    """Read samples [start, start + frames) of every channel of a file, and its sample rate.

    The content decides on the format, not the suffix: all that libsndfile knows is read, apart
    from samples without a header. The part equals the same slice of the whole file; one that
    exceeds the file ends with it. Seeking is inexact in Ogg (libsndfile issue 885) and MP3 files
    and impossible in a few others, so that these are decoded from the beginning, long MP3 files
    from a second or more before `start` on: prefer FLAC where short parts of long files are read.
    Raises AudioError if the path is missing, empty, not audio or cut short, if `start` is not a
    sample of the file, or if samples are NaN, infinite, or integers stored as floats.

    Shape: [C, T], float32, nominally in [-1, 1].
    """
    path = _located(path)
    with opened(path) as file:
        if not 0 <= start < file.frames or (frames is not None and frames < 1):
            raise AudioError(
                f"{path}: start {start}, frames {frames} do not lie in its {file.frames} samples"
            )
        count = file.frames - start if frames is None else min(frames, file.frames - start)
        file.skip_to(start)
        return file.take(count), file.samplerate


def read_blocks(path: AudioSource, *, frames: int) -> Iterator[Tensor]:
    """Read a whole file in one pass, `frames` samples at a time; the last block may be shorter.

    Raises AudioError as `read_audio` does. Shape of each block: [C, frames].
    """
    path = _located(path)
    with opened(path) as file:
        for start in range(0, file.frames, frames):
            yield file.take(min(frames, file.frames - start))


def _located(path: AudioSource) -> Path | Member:
    return path if isinstance(path, Member) else Path(path)


def resample_soxr(audio: Tensor, orig_rate: int, new_rate: int) -> Tensor:
    """Convert the sample rate from `orig_rate` to `new_rate` Hz with soxr's HQ filter.

    The result has no delay. Runs on the CPU, passes no gradient, and returns `audio` itself if the
    rates are equal.

    Shape: [..., T] → [..., round(T * new_rate / orig_rate)], float32 on the device of the input.
    """
    if orig_rate < 1 or new_rate < 1:
        raise AudioError(
            f"cannot resample from {orig_rate} Hz to {new_rate} Hz; rates must be positive"
        )
    if orig_rate == new_rate:
        return audio
    samples = round(audio.shape[-1] * new_rate / orig_rate)
    if samples == 0:
        return audio.new_zeros((*audio.shape[:-1], 0), dtype=torch.float32)
    rows = audio.detach().cpu().float().reshape(-1, audio.shape[-1])
    columns = soxr.resample(rows.T.contiguous().numpy(), orig_rate, new_rate, quality="HQ")
    converted = torch.from_numpy(columns).T
    # soxr rounds the length differently: one sample more or less at the very end.
    exact = F.pad(converted, (0, samples - converted.shape[-1]))
    return exact.reshape(*audio.shape[:-1], samples).to(audio.device)


def write_audio(path: StrPath, audio: Tensor, sample_rate: int) -> None:
    """Write audio as 16-bit PCM, WAV or FLAC by the suffix; values outside [-1, 1] are clipped.

    Clipping is logged as a warning. The file appears complete or not at all, and audio from a
    16-bit file is written back bit for bit. Raises AudioError if that suffix or audio (shape, NaN,
    infinity) cannot be written, VocoderError if the path cannot. Shape: [T] or [C, T], T ≥ 1.
    """
    path = Path(path)
    container = _container(path)
    if audio.ndim not in (1, 2) or audio.numel() == 0:
        raise AudioError(f"{path}: cannot write shape {list(audio.shape)}; pass [T] or [C, T]")
    clipping = Clipping(str(path))
    clipping.add(audio)
    columns = np.atleast_2d(pcm16(audio).numpy()).T  # [T, C]
    # Encoded in memory: a full disk then shows as an OSError of one write, not inside libsndfile.
    encoded = io.BytesIO()
    try:
        soundfile.write(encoded, columns, sample_rate, format=container, subtype="PCM_16")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: {container} cannot hold {list(audio.shape)} at {sample_rate} Hz "
            f"({error.error_string})"
        ) from error
    with replacing_file(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
    clipping.warn()


def write_blocks(path: StrPath, blocks: Iterable[Tensor], sample_rate: int) -> int:
    """Write audio of any length block by block, as `write_audio` does; returns its samples.

    Raises as `write_audio` does; where `blocks` raises, no file appears, or the old one stays.
    Shape of each block: [C, T], any T ≥ 0, C that of the first.
    """
    path = Path(path)
    container, clipping = _container(path), Clipping(str(path))
    samples = 0
    with ExitStack() as stack:
        target = _Target(stack.enter_context(replacing_file(path)))
        stack.callback(target.close)
        file: Any = None
        for block in blocks:
            clipping.add(block)
            try:
                if file is None:
                    form = {"format": container, "subtype": "PCM_16"}
                    file = soundfile.SoundFile(target, "w", sample_rate, len(block), **form)
                    stack.callback(file.close)
                file.write(pcm16(block).numpy().T)
            except (soundfile.LibsndfileError, AssertionError) as error:
                target.check()
                reason = getattr(error, "error_string", None) or "it stopped writing"
                raise AudioError(
                    f"{path}: {container} cannot hold {len(block)} channels at {sample_rate} Hz "
                    f"({reason})"
                ) from error
            samples += block.shape[-1]
        if not samples:
            raise AudioError(f"{path}: not written, there is no audio")
        file.close()
        target.check()
    clipping.warn()
    return samples


class _Target:
    """A file for libsndfile to write to that stores the OSError of a failed write.

    libsndfile itself reports no reason.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._error: OSError | None = None
        self.seek, self.tell, self.read = self._file.seek, self._file.tell, self._file.read
        self.close = self._file.close

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self._error = error
            return 0

    def check(self) -> None:
        """Raise the error of a failed write, if there was one."""
        try:
            self._file.flush()
        except OSError as error:
            self._error = error
        if self._error:
            raise self._error


def _container(path: Path) -> str:
    if path.suffix.lower() not in WRITE_SUFFIXES:
        raise AudioError(f"{path}: cannot write this suffix; use {_listed(WRITE_SUFFIXES)}")
    return path.suffix[1:].upper()


def _listed(suffixes: Iterable[str]) -> str:
    return ", ".join(sorted(suffixes))
