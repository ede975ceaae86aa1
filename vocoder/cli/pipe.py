"""A stream between two pipes: mel frames in, PCM out, and its lead over playback.

npy   .npy arrays [M, f], or [f, M] or [1, M, f] where only that fits, one after another, as
      `numpy.save` writes them; the mel settings in our own mel files are compared with those of
      the stream
f32   little-endian float32, the M values of each frame in turn
"""

import itertools
import math
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from io import BufferedIOBase
from typing import IO, Any, BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray

from vocoder.errors import AudioError, MelMismatchError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_conversion import differences
from vocoder.inference.streams.synthesis import Stream
from vocoder.io.pcm import Clipping, pcm16
from vocoder.io.untrusted import NPY_MAGIC, load_npy, parse_json

Floats = NDArray[np.float32]
Check = Callable[[NDArray[Any]], None]
_ENDLESS = 0xFFFFFFFF  # the size in the header of a WAV file of unknown length


def read_npy(
    file: BufferedIOBase, *, spec: MelSpec, chunk: int, check: Check | None = None
) -> Iterator[NDArray[Any]]:
    """Read mels from .npy arrays; each is yielded when complete, in pieces of `chunk` frames.

    `check` is called with every whole mel before. Nothing in the arrays is executed. Raises
    VocoderError for what is no array or is cut short, MelMismatchError for one that is no mel of
    `spec`, and what `check` raises.
    """
    source, turned = _Counted(file), None
    for number in itertools.count(1):
        begin, where = source.position, f"stdin, array {number}"
        try:
            array = load_npy(cast(BinaryIO, source), None, where, MelMismatchError)
        except VocoderError as error:
            if source.ended and source.position == begin:
                return
            if number == 1 and not source.head.startswith(NPY_MAGIC):
                raise VocoderError(f"{error}, raw floats need --mel-format f32") from error
            raise
        if array.dtype == np.uint8 and array.ndim == 1:
            _compare(array.tobytes(), spec, where)
            continue
        mel, turned = _bands_first(array, spec, turned, where)
        if check and mel.dtype.kind == "f":
            check(mel)
        for start in range(0, mel.shape[1], chunk):
            yield mel[:, start : start + chunk]


def _bands_first(
    array: NDArray[Any], spec: MelSpec, turned: bool | None, where: str
) -> tuple[NDArray[Any], bool]:
    """The array as a mel [M, f], and whether it came as [f, M].

    `turned` tells that of the arrays before. A square one is taken as they were.
    """
    shape, bands = array.shape[1:] if array.ndim == 3 else array.shape, spec.n_mels
    if len(shape) != 2 or array.size != math.prod(shape) or bands not in shape:
        raise MelMismatchError(
            f"{where}: has the shape {list(array.shape)}; "
            f"a stream takes mels [{bands}, f] or [f, {bands}]"
        )
    square = shape[0] == shape[1]
    now = bool(turned) if square else shape[1] == bands
    if turned is not None and now != turned:
        raise MelMismatchError(
            f"{where}: has the shape {list(array.shape)}, but the arrays before were taken as "
            f"{f'[{bands}, f]' if now else f'[f, {bands}]'}; write all of them in one layout"
        )
    mel = array.reshape(shape)
    return (mel.T if now else mel), now


def read_f32(
    file: BufferedIOBase, *, spec: MelSpec, chunk: int, check: Check | None = None
) -> Iterator[Floats]:
    """Read mels from raw floats; whole frames are yielded as they arrive, at most `chunk` at once.

    `check` is called with them before. Raises MelMismatchError if the last frame is cut short or
    the bytes are an .npy array.
    """
    size = 4 * spec.n_mels
    held, frames = b"", 0
    while data := _received(file.read1, chunk * size - len(held)):
        held += data
        if not frames and held.startswith(NPY_MAGIC):
            raise MelMismatchError("stdin: is an .npy array; leave out --mel-format f32")
        whole = len(held) // size
        if whole:
            values = np.frombuffer(held, dtype="<f4", count=whole * spec.n_mels)
            mel = values.reshape(whole, spec.n_mels).T
            if check:
                check(mel)
            yield mel
        held, frames = held[whole * size :], frames + whole
    if held:
        raise MelMismatchError(
            f"stdin: ends {len(held)} bytes into frame {frames + 1}; "
            f"a frame is {spec.n_mels} float32 values, {size} bytes"
        )


class PcmWriter:
    """Writes mono PCM to an unbuffered `file`: little-endian 16-bit integers, or `floats` (32-bit).

    16-bit samples are those that `write_audio` writes; what they cannot hold is counted in
    `clipping`, which is to be told at the end. `wav` puts a header in front, of unknown
    length. Raises VocoderError if the file cannot be written, BrokenPipeError if its reader has
    gone, AudioError for audio that is not finite.
    """

    def __init__(
        self, file: IO[bytes], *, sample_rate: int, floats: bool = False, wav: bool = False
    ) -> None:
        self._file, self._floats = file, floats
        self.clipping = Clipping("stdout")
        if wav:
            self._send(_wav_header(sample_rate, floats))

    def write(self, audio: Floats) -> None:
        """Write samples at once. Shape: [t], nominally in [-1, 1]."""
        if not len(audio):
            return
        if self._floats:
            if not np.isfinite(audio).all():
                raise AudioError("stdout: the audio has NaN or infinite samples")
            self._send(audio.astype("<f4").tobytes())
            return
        samples = torch.from_numpy(audio)
        self.clipping.add(samples)
        self._send(pcm16(samples).numpy().astype("<i2").tobytes())

    def _send(self, data: bytes) -> None:
        try:
            while data:  # a file without a buffer may accept a part only
                data = data[self._file.write(data) or 0 :]
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise VocoderError(
                f"stdout: cannot be written ({error.strerror}); check the free space"
            ) from error


class Health:
    """Measures how far audio is ahead of a player that starts with the first of it.

    When the player runs empty, which is an under-run, it continues with the next audio that
    arrives. `tell` is called with a line of text about once a second, and one at the end.
    """

    def __init__(
        self,
        sample_rate: int,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.seconds, self.underruns = 0.0, 0
        self.first = self.worst = 0.0
        self._sample_rate, self._tell, self._clock = sample_rate, tell, clock
        self._begin: float | None = None
        self._playing = self._told = 0.0  # when the player began, less its pauses; the last line

    def came(self) -> None:
        """Record that mel frames have arrived."""
        if self._begin is None:
            self._begin = self._clock()

    def made(self, samples: int) -> None:
        """Record that `samples` of audio have been written."""
        assert self._begin is not None
        if not samples:
            return
        now = self._clock()
        if not self.seconds:
            self.first, self._playing, self._told = now - self._begin, now, now
            self.worst = samples / self._sample_rate
        else:
            ahead = self.seconds - (now - self._playing)
            self.worst = min(self.worst, ahead)
            if ahead < 0.0:
                self.underruns += 1
                self._playing -= ahead
        self.seconds += samples / self._sample_rate
        if now - self._told >= 1.0:
            self._told = now
            ahead = self.seconds - (now - self._playing)
            self._tell(f"{self.seconds:.2f} s of audio, {1e3 * ahead:.0f} ms ahead, {self._so_far}")

    def end(self) -> None:
        """Record that there is no more audio; reports the totals."""
        assert self._begin is not None
        took = self._clock() - self._begin
        self._tell(f"in all {self.seconds:.2f} s of audio in {took:.2f} s, {self._so_far}")

    @property
    def _so_far(self) -> str:
        return (
            f"at worst {1e3 * self.worst:.0f} ms, first audio after {1e3 * self.first:.0f} ms, "
            f"under-runs: {self.underruns}"
        )


def run(
    stream: Stream[NDArray[Any]],
    mels: Iterable[NDArray[Any]],
    writer: PcmWriter,
    *,
    health: Health | None = None,
) -> None:
    """Push every mel, flush at the end, and write all audio as soon as it is final.

    If a mel is bad, the audio written before is the beginning of the right audio. Raises
    VocoderError if there was no mel, and what `Stream.push`, `mels` and `writer` raise.
    """
    for mel in mels:
        if health:
            health.came()
        first = stream.frames + 1
        try:
            audio = stream.push(mel)
        except MelMismatchError as error:
            last = stream.frames + mel.shape[-1]
            raise MelMismatchError(f"stdin, frames {first} to {last}: {error}") from error
        writer.write(audio)
        if health:
            health.made(len(audio))
    if not stream.frames:
        raise VocoderError("stdin: no mel frame arrived; does the program before it run?")
    rest = stream.flush()
    if not stream.samples:
        raise MelMismatchError(f"stdin: {stream.frames} frame, too few for a sample of audio")
    writer.write(rest)
    if health:
        health.made(len(rest))
        health.end()


class _Counted:
    """A pipe that counts its bytes, keeps the first of them, and tells when it has ended."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file, self.position, self.head, self.ended = file, 0, b"", False

    def read(self, size: int, /) -> bytes:
        data = _received(self._file.read, size)
        self.head, self.ended = self.head or data, not data
        self.position += len(data)
        return data


def _received(read: Callable[[int], bytes], size: int) -> bytes:
    try:
        return read(size)
    except OSError as error:
        raise VocoderError(f"stdin: cannot be read ({error.strerror or error})") from error


def _compare(contract: bytes, spec: MelSpec, where: str) -> None:
    """Raise MelMismatchError unless `contract`, the settings in a mel file of ours, is `spec`."""
    try:
        stated = MelSpec.from_dict(parse_json(contract, "JSON"), "mel_spec")
    except VocoderError as error:
        raise MelMismatchError(f"{where}: neither a mel nor its settings ({error})") from error
    differing = differences(stated, spec)
    if differing:
        listed = ", ".join(
            f"{n} {theirs} (here: {ours})" for n, (theirs, ours) in differing.items()
        )
        raise MelMismatchError(f"{where}: the mel was made with {listed}; set --preset accordingly")


def _wav_header(sample_rate: int, floats: bool) -> bytes:
    """Header of a mono WAV file of unknown length: 44 bytes."""
    kind, width = (3, 4) if floats else (1, 2)
    layout = struct.pack("<HHIIHH", kind, 1, sample_rate, sample_rate * width, width, 8 * width)
    return struct.pack(
        "<4sI4s4sI16s4sI",
        *(b"RIFF", _ENDLESS, b"WAVE"),
        *(b"fmt ", len(layout), layout),
        *(b"data", _ENDLESS),
    )
