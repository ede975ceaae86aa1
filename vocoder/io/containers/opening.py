"""Opening of audio files: by content, complete or not at all, with errors that name the file."""

import math
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from vocoder.errors import AudioError
from vocoder.io.containers.chunks import find_body
from vocoder.io.containers.mpeg import EMPTY_TAG, is_mpeg, xing_header
from vocoder.io.containers.silence import decoder_silenced
from vocoder.io.containers.splice import SplicedFile
from vocoder.io.containers.unsupported import KNOWN, explanation, is_mistaken
from vocoder.io.members import Member

_RATES = range(100, 10_000_001)  # Hz; others are damage, and resampling them would take all memory
_HEAD = 512  # bytes that are read first
_SCALED = 32.0  # times full scale: beyond, samples are integers that nobody divided
_NEAR = 2**20  # samples that are decoded from the beginning of an MPEG file
_LEAD = 2**16  # samples of an MPEG file that are decoded before those wanted, if they are not near
_PER_BYTE = 64  # samples that a byte of a file may hold before its header is doubted


class UnscaledAudioError(AudioError):
    """Audio of floats in the range of integers, such as ±32768, that nobody divided."""


class AudioFile(soundfile.SoundFile):  # type: ignore[misc]
    """An audio file of `size` bytes that is read forward.

    libsndfile reads `source`: a path, a descriptor, or a file object; `raw` is closed with it.
    soundfile seeks after every read, to where it is already: MP3 decoders then start anew.
    """

    def __init__(self, path: Path | Member, raw: Any, source: Any, size: int, head: bytes) -> None:
        self.path, self.raw, self.size, self.head = path, raw, size, head
        self.mpeg = is_mpeg(head, path.suffix)
        with decoder_silenced(self.mpeg):
            super().__init__(source, closefd=False)

    def seekable(self) -> bool:
        """Not for soundfile, see above."""
        return False

    def close(self) -> None:
        """Close the file."""
        super().close()
        self.raw.close()

    def take(self, count: int) -> Tensor:
        """The next `count` samples of every channel, checked. Shape: [C, count], float32."""
        samples = self._decode(count)
        if len(samples) < count:
            raise self.shortened(count - len(samples))
        if not self.subtype.startswith("PCM"):  # integers are always in range
            self._check_level(samples)
        return torch.from_numpy(samples.T.copy())

    def _check_level(self, samples: np.ndarray[Any, Any]) -> None:
        peak = float(np.maximum(samples.max(), -samples.min()))
        if not math.isfinite(peak):
            raise AudioError(
                f"{self.path}: has NaN or infinite samples; record or convert it again"
            )
        if peak > _SCALED:
            scale = next((2**bits for bits in (15, 23, 31) if peak <= 2**bits), None)
            raise UnscaledAudioError(
                f"{self.path}: samples reach {peak:.6g} times full scale, probably integers stored "
                f"as floats; divide them by {scale or f'{peak:.6g}'}"
            )

    def shortened(self, missing: int) -> AudioError:
        """The error of a file that lacks samples at its end."""
        return AudioError(
            f"{self.path}: ends {missing} samples early, the file is cut short; "
            "copy or record it again"
        )

    def _decode(self, count: int) -> np.ndarray[Any, Any]:
        """The next `count` samples, or less at the end. Shape: [T, C]."""
        with decoder_silenced(self.mpeg):
            if count * self.channels <= _PER_BYTE * self.size + _NEAR:
                return self.read(count, dtype="float32", always_2d=True)  # type: ignore[no-any-return]
            # The header may claim any length: only what can be decoded takes memory.
            parts = [np.empty((0, self.channels), dtype="float32")]
            while count > 0 and (len(parts) == 1 or len(parts[-1])):
                parts.append(self.read(min(count, _NEAR), dtype="float32", always_2d=True))
                count -= len(parts[-1])
            return np.concatenate(parts)

    def skip_to(self, start: int) -> None:
        """Go from the beginning to a sample."""
        if start == 0:
            return
        begin = start
        inexact = self.head[:4] == b"OggS" or self.subtype.startswith("DWVW")
        if inexact or not super().seekable() or (self.mpeg and start <= _NEAR):
            begin = 0
        elif self.mpeg:
            begin = start - _LEAD  # the decoder needs earlier frames, and then is exact
        with decoder_silenced(self.mpeg):
            if begin:
                self.seek(begin)
            while begin < start:
                skipped = self.read(min(start - begin, _LEAD), dtype="float32", always_2d=True)
                begin += len(skipped) or start


@contextmanager
def opened(path: Path | Member) -> Iterator[AudioFile]:
    """Open an audio file; libsndfile's errors and empty or shortened files become AudioError."""
    try:
        with _open(path) as file:
            yield file
    except OSError as error:
        raise AudioError(f"{path}: cannot open ({error.strerror}); check the path") from error
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: {explanation(path, error.error_string)}") from error


def _size(path: Path | Member) -> int:
    if isinstance(path, Member):
        if path.size == 0:
            raise AudioError(f"{path}: the file is empty; write the shard again")
        return path.size
    try:
        status = path.stat()
    except ValueError as error:  # a NUL, or a character that no file name has
        raise AudioError(f"{str(path)!r}: no file can have this name") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise AudioError(f"{path}: is {kind}; name an audio file")
    if status.st_size == 0:
        raise AudioError(f"{path}: the file is empty; copy or record it again")
    return status.st_size


def _open(path: Path | Member) -> AudioFile:
    size = _size(path)
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb", buffering=0))
        head = raw.read(_HEAD)
        if is_mistaken(head):
            raise AudioError(f"{path}: {explanation(path, '')}")
        source, lacking = _source(path, raw, head, size)
        file: AudioFile = stack.enter_context(AudioFile(path, raw, source, size, head))
        _check(file, lacking)
        stack.pop_all()  # it stays open
        return file


def _source(path: Path | Member, raw: Any, head: bytes, size: int) -> tuple[Any, float]:
    """What libsndfile is to read, and the share of the audio that the file lacks."""

    def at(position: int, count: int) -> bytes:
        if position + count <= len(head):
            return head[position : position + count]
        if position >= size:
            return b""
        raw.seek(position)
        return bytes(raw.read(count))

    lacking = 0.0
    if body := find_body(at, size):
        if header := body.completed(at, size):
            return SplicedFile(raw, header, body.begin, size - body.begin), 0.0
        lacking = body.lacking(size) / max(size - body.begin, 1)
    elif is_mpeg(head, path.suffix) and (found := xing_header(raw)):
        return SplicedFile(raw, *found, size - found[1]), 0.0
    if path.suffix.lower() == ".raw":  # of which soundfile wants to be told the format
        return SplicedFile(raw, b"", 0, size), lacking
    if isinstance(path, Member):
        bare = is_mpeg(head, path.suffix) and head[:4] != b"RIFF" and head[:3] != b"ID3"
        return SplicedFile(raw, EMPTY_TAG if bare else b"", 0, size), lacking
    if os.name == "posix" and head.startswith(KNOWN):
        raw.seek(0)
        return raw.fileno(), lacking  # cheaper than to open it twice
    # Some MP3 files are known by their suffix only.
    return os.fsencode(path) if os.name == "posix" else str(path), lacking


def _check(file: AudioFile, lacking: float) -> None:
    """Raise AudioError for a file without usable samples, or that lacks a share of them."""
    if not file.head.startswith(KNOWN) and file.format == "RAW":
        raise AudioError(f"{file.path}: {explanation(file.path, 'there is no header')}")
    if file.frames <= 0:
        raise AudioError(f"{file.path}: holds no samples; copy or record it again")
    if file.samplerate not in _RATES:
        raise AudioError(f"{file.path}: states {file.samplerate} Hz; its header is damaged")
    if lacking:
        raise file.shortened(round(file.frames * lacking))
