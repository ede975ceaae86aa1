"""Streams between pipes: the bytes are those of one call however they are split, or an error."""

import errno
import io
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from vocoder.cli.pipe import Health, PcmWriter, read_f32, read_npy, run
from vocoder.errors import AudioError, MelMismatchError, VocoderError
from vocoder.inference.vocoder import Vocoder
from vocoder.io.audio import write_audio

CHUNK = 16
FRAMES = 60


class Pipe(io.BufferedIOBase):
    """Returns bytes in the pieces in which they arrived; it cannot seek."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        ends = [*sorted(cuts), len(data)]
        self._pieces = [data[a:b] for a, b in zip([0, *ends], ends, strict=False) if b > a]

    def read1(self, size: int = -1, /) -> bytes:
        assert size > 0
        if not self._pieces:
            return b""
        data, rest = self._pieces[0][:size], self._pieces[0][size:]
        self._pieces[:1] = [rest] if rest else []
        return data

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None and size >= 0
        data = b""
        while len(data) < size and (piece := self.read1(size - len(data))):
            data += piece
        return data


class BrokenFile(io.RawIOBase):
    """A file on a disk that fails."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any, /) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class SlowPipe(io.BytesIO):
    """Accepts three bytes at a time, as a pipe that is full may."""

    def write(self, data: Any, /) -> int:
        return super().write(data[:3])


def npy(*arrays: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    for array in arrays:
        np.save(file, array)
    return file.getvalue()


def npy_header(text: str) -> bytes:
    """The head of an .npy array with this header, and 8 bytes."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(8)


def raw(mel: NDArray[Any]) -> bytes:
    return mel.T.astype("<f4").tobytes()


@pytest.fixture(scope="module")
def mel(vocoder: Vocoder) -> NDArray[np.float32]:
    noise = 0.1 * np.random.default_rng(0).standard_normal(FRAMES * vocoder.spec.hop_length)
    return vocoder.mel(noise.astype(np.float32), sample_rate=vocoder.sample_rate)


def cuts_of(data: bytes, seed: int) -> list[int]:
    random = np.random.default_rng(seed)
    return random.integers(0, len(data), random.integers(0, 200)).tolist()


def contract(vocoder: Vocoder, **changes: Any) -> NDArray[np.uint8]:
    """The second array of an .npy mel file."""
    values = vocoder.spec.to_dict() | changes
    return np.frombuffer(json.dumps(values).encode(), dtype=np.uint8)


def made(vocoder: Vocoder, data: bytes, read: Callable[..., Any], **options: bool) -> bytes:
    out = io.BytesIO()
    mels = read(io.BytesIO(data), spec=vocoder.spec, chunk=CHUNK)
    run(vocoder.stream(), mels, PcmWriter(out, sample_rate=vocoder.sample_rate, **options))
    return out.getvalue()


@pytest.mark.parametrize("seed", range(4))
def test_raw_frames_are_the_same_however_the_bytes_are_split(
    vocoder: Vocoder, mel: NDArray[np.float32], seed: int
) -> None:
    data = raw(mel)
    pieces = list(read_f32(Pipe(data, cuts_of(data, seed)), spec=vocoder.spec, chunk=CHUNK))
    assert all(1 <= piece.shape[1] <= CHUNK for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), mel)


def test_raw_frames_are_yielded_before_the_next_arrive(
    vocoder: Vocoder, mel: NDArray[np.float32]
) -> None:
    data, size = raw(mel), 4 * vocoder.spec.n_mels
    ends = [2 * size + 1, 3 * size - 1, 4 * size, 5 * size]
    pieces = read_f32(Pipe(data, ends), spec=vocoder.spec, chunk=CHUNK)
    assert [next(pieces).shape[1] for _ in range(3)] == [2, 2, 1]


@pytest.mark.parametrize("seed", range(4))
def test_arrays_are_the_same_however_the_bytes_are_split(
    vocoder: Vocoder, mel: NDArray[np.float32], seed: int
) -> None:
    ends = [1, 4, 4, 40]
    data = npy(*np.split(mel, ends, axis=1))
    pieces = list(read_npy(Pipe(data, cuts_of(data, seed)), spec=vocoder.spec, chunk=CHUNK))
    assert max(piece.shape[1] for piece in pieces) == CHUNK
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), mel)


@pytest.mark.parametrize("kind", [">f4", "<f8", "f2", "fortran"])
def test_arrays_may_hold_any_floats_in_any_order(
    vocoder: Vocoder, mel: NDArray[np.float32], kind: str
) -> None:
    stored = np.asfortranarray(mel) if kind == "fortran" else mel.astype(kind)
    plain = made(vocoder, npy(stored.astype(np.float32)), read_npy)
    assert made(vocoder, npy(stored), read_npy) == plain


def test_arrays_may_have_the_other_layouts(vocoder: Vocoder, mel: NDArray[np.float32]) -> None:
    plain = made(vocoder, npy(mel), read_npy)
    first, second = np.split(mel, 2, axis=1)
    assert made(vocoder, npy(first.T, second.T), read_npy) == plain
    assert made(vocoder, npy(first[None], second.T[None].swapaxes(1, 2)), read_npy) == plain


def test_square_arrays_are_taken_as_those_before(
    vocoder: Vocoder, mel: NDArray[np.float32]
) -> None:
    plain = made(vocoder, npy(mel), read_npy)
    pieces = [mel[:, :10], mel[:, 10:30], mel[:, 30:50], mel[:, 50:]]  # of 20 bands
    assert made(vocoder, npy(*pieces), read_npy) == plain
    assert made(vocoder, npy(*(piece.T for piece in pieces)), read_npy) == plain
    with pytest.raises(MelMismatchError, match=r"array 2: .* were taken as \[20, f\]"):
        made(vocoder, npy(mel[:, 10:30].T, mel[:, :10].T), read_npy)


def test_contracts_of_mel_files_may_lie_between(vocoder: Vocoder, mel: NDArray[np.float32]) -> None:
    first, second = np.split(mel, 2, axis=1)
    data = npy(first, contract(vocoder), second, contract(vocoder))
    assert made(vocoder, data, read_npy) == made(vocoder, npy(mel), read_npy)


@pytest.mark.parametrize("wav", [False, True])
@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize(("read", "write"), [(read_npy, npy), (read_f32, raw)])
def test_bytes_are_those_of_one_call(
    vocoder: Vocoder,
    mel: NDArray[np.float32],
    read: Callable[..., Any],
    write: Callable[..., bytes],
    floats: bool,
    wav: bool,
) -> None:
    data = made(vocoder, write(mel), read, floats=floats, wav=wav)[44 if wav else 0 :]
    audio = vocoder(mel).astype(np.float64)
    if floats:
        np.testing.assert_allclose(np.frombuffer(data, "<f4"), audio, rtol=0, atol=1e-6)
    else:
        # A sample that lies on the border between two steps may fall to either side.
        values = np.frombuffer(data, "<i2").astype(np.float64)
        assert np.abs(values - 32768.0 * audio).max() <= 0.5 + 32768e-6


def test_integers_are_those_of_a_file(tmp_path: Path) -> None:
    audio = np.random.default_rng(0).uniform(-1.2, 1.2, 999).astype(np.float32)
    audio[:4] = [1.0, -1.0, 0.5 / 32768, 1.5 / 32768]
    out = io.BytesIO()
    PcmWriter(out, sample_rate=8000).write(audio)
    write_audio(tmp_path / "a.wav", torch.from_numpy(audio), 8000)
    stored, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert out.getvalue() == stored.tobytes()


@pytest.mark.parametrize(("floats", "subtype"), [(False, "PCM_16"), (True, "FLOAT")])
def test_header_is_that_of_a_wav_file_without_end(floats: bool, subtype: str) -> None:
    out = io.BytesIO()
    writer = PcmWriter(out, sample_rate=24000, floats=floats, wav=True)
    head = out.getvalue()
    assert len(head) == 44, "the header does not wait for audio"
    assert head[4:8] == head[40:44] == b"\xff\xff\xff\xff"
    writer.write(np.linspace(-0.5, 0.5, 100, dtype=np.float32))
    with soundfile.SoundFile(io.BytesIO(out.getvalue())) as file:
        assert (file.samplerate, file.channels, file.subtype) == (24000, 1, subtype)
        np.testing.assert_allclose(file.read(100), np.linspace(-0.5, 0.5, 100), atol=2e-5)


def test_a_pipe_that_accepts_a_part_gets_the_rest() -> None:
    audio = np.linspace(-1.0, 1.0, 50, dtype=np.float32)
    plain, slow = io.BytesIO(), SlowPipe()
    for out in (plain, slow):
        PcmWriter(out, sample_rate=8000, wav=True).write(audio)
    assert plain.getvalue() == slow.getvalue()


def test_samples_beyond_full_scale_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    audio = np.array([0.0, 1.0, -1.0, 1.5, -2.0, 0.9], dtype=np.float32)
    for floats in (False, True):
        writer = PcmWriter(io.BytesIO(), sample_rate=8000, floats=floats)
        for part in np.split(audio, 2):
            writer.write(part)
        writer.clipping.warn()
    assert caplog.messages == [
        "stdout: 2 of 6 samples (33 %) are beyond full scale, up to 2.00 times, and were clipped"
    ]


def test_input_that_cannot_be_read_is_one_line(vocoder: Vocoder) -> None:
    for read in (read_npy, read_f32):
        mels = read(io.BufferedReader(BrokenFile()), spec=vocoder.spec, chunk=CHUNK)
        with pytest.raises(VocoderError, match=r"stdin: cannot be read \(Input/output error\)"):
            next(mels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_audio_that_is_not_finite_is_not_written(value: float) -> None:
    out = io.BytesIO()
    with pytest.raises(AudioError, match="NaN or infinite"):
        PcmWriter(out, sample_rate=8000).write(np.array([0.0, value], dtype=np.float32))
    assert out.getvalue() == b""


def test_audio_is_written_before_the_next_mel_is_read(
    vocoder: Vocoder, mel: NDArray[np.float32]
) -> None:
    out, sizes = io.BytesIO(), []

    def frames() -> Iterator[NDArray[np.float32]]:
        for frame in range(FRAMES):
            sizes.append(len(out.getvalue()))
            yield mel[:, frame : frame + 1]

    stream = vocoder.stream()
    run(stream, frames(), PcmWriter(out, sample_rate=vocoder.sample_rate))
    late = 2 * stream.plan.latency
    expected = [max(2 * vocoder.spec.hop_length * n - late, 0) for n in range(FRAMES)]
    assert np.all(np.array(sizes) >= expected)
    assert len(out.getvalue()) == 2 * FRAMES * vocoder.spec.hop_length


def bad_arrays(vocoder: Vocoder) -> dict[str, tuple[bytes, str]]:
    good, objects = npy(np.zeros((20, 5), "f4")), npy(np.array([None]))
    wrong = npy(contract(vocoder, log="log10"))
    return {
        "no array": (b"hello, world", "array 1: not an .npy array; .*raw floats need"),
        "raw floats": (raw(np.zeros((20, 5))), "raw floats need --mel-format f32"),
        "cut magic": (good + good[:4], "array 2: cut short"),
        "cut header": (good + good[:40], "array 2: cut short"),
        "cut data": (good[:-1], "array 1: cut short, 399 of 400 bytes"),
        "impossible size": (good.replace(b"(20, 5)", b"(9e9,5)"), "array 1: damaged"),
        "larger than the data": (
            good.replace(b"(20, 5), }  ", b"(2000, 5), }"),
            "array 1: cut short, 400 of 40000 bytes",
        ),
        "bands": (good + npy(np.zeros((21, 5), "f4")), r"array 2: has the shape \[21, 5\]"),
        "others": (npy(np.zeros((5, 21), "f4")), r"\[5, 21\]; .* mels \[20, f\] or \[f, 20\]"),
        "batch": (npy(np.zeros((2, 20, 5), "f4")), r"array 1: has the shape \[2, 20, 5\]"),
        "two layouts": (
            good + npy(np.zeros((5, 20), "f4")),
            r"array 2: has the shape \[5, 20\], but the arrays before were taken as \[20, f\]",
        ),
        "objects": (good + objects, "array 2: holds Python objects; give floats"),
        "garbage after": (good + b"tail of it", "array 2: not an .npy array"),
        "deep": (npy_header(8000 * "("), "array 1: damaged, its .npy header"),
        "320 GB": (
            npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (80, 1000000000)}"),
            "array 1: cut short, 8 of 320000000000 bytes are there",
        ),
        "one axis": (npy(np.zeros(20, "f4")), r"array 1: has the shape \[20\]"),
        "no axis": (npy(np.float32(1.0)), r"array 1: has the shape \[\]"),
        "integers": (npy(np.zeros((20, 5), "i4")), "frames 1 to 5: .*int32 values; give floats"),
        "complex": (npy(np.zeros((20, 5), "c8")), "complex64 values; give floats"),
        "NaN": (good + npy(np.full((20, 3), np.nan)), "frames 6 to 8: the mel has 60 of 60"),
        "contract": (good + wrong, "array 2: .* log log10 .*set --preset accordingly"),
        "bytes": (npy(np.zeros(9, "u1")), "array 1: neither a mel nor its settings"),
        "nothing": (b"", "no mel frame arrived"),
        "no frames": (npy(np.zeros((20, 0), "f4")), "no mel frame arrived"),
    }


BAD_FRAMES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no mel frame arrived"),
    "cut": (raw(np.zeros((20, 5)))[:-1], "ends 79 bytes into frame 5; a frame is 20 float32"),
    "NaN": (raw(np.full((20, 2), np.nan)), "frames 1 to 2: the mel has 40 of 40"),
    "npy": (npy(np.zeros((20, 5), "f4")), "is an .npy array; leave out --mel-format f32"),
}


def test_bad_arrays_are_named(vocoder: Vocoder) -> None:
    for case, (data, words) in bad_arrays(vocoder).items():
        with pytest.raises(VocoderError, match=words) as error:
            made(vocoder, data, read_npy)
        assert str(error.value).startswith("stdin") and "\n" not in str(error.value), case


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bad_frames_are_named(vocoder: Vocoder, case: str) -> None:
    data, words = BAD_FRAMES[case]
    with pytest.raises(VocoderError, match=words) as error:
        made(vocoder, data, read_f32)
    assert str(error.value).startswith("stdin")


def test_nothing_in_an_array_is_executed(vocoder: Vocoder, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "harm",)

    file = io.BytesIO()
    np.save(file, np.array([Harm()], dtype=object), allow_pickle=True)
    with pytest.raises(VocoderError):
        made(vocoder, file.getvalue(), read_npy)
    assert not (tmp_path / "harm").exists()


def test_what_was_written_before_bad_frames_is_right(
    vocoder: Vocoder, mel: NDArray[np.float32]
) -> None:
    out, whole = io.BytesIO(), made(vocoder, raw(mel), read_f32)
    cut = io.BytesIO(raw(mel)[:-1])
    with pytest.raises(MelMismatchError):
        run(
            vocoder.stream(),
            read_f32(cut, spec=vocoder.spec, chunk=CHUNK),
            PcmWriter(out, sample_rate=vocoder.sample_rate),
        )
    assert 0 < len(out.getvalue()) < len(whole)
    assert whole.startswith(out.getvalue())


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


def test_health_counts_the_under_runs_of_a_player() -> None:
    clock, lines = Clock(), []
    health = Health(1000, lines.append, clock=clock)
    # Samples that come at these times; a second of audio is 1000 of them.
    for now, samples in ((5.0, 0), (5.2, 300), (5.3, 300), (5.9, 200), (6.3, 100), (6.31, 0)):
        clock.now = now
        health.came()
        health.made(samples)
    assert health.first == pytest.approx(0.2)
    # Begun at 5.2; empty from 5.8 to 5.9; then 200 ms more, empty from 6.1 to 6.3.
    assert (health.underruns, health.worst) == (2, pytest.approx(-0.2))
    assert health.seconds == pytest.approx(0.9)
    assert len(lines) == 1, "the second after the first audio has passed once"
    assert lines[0].startswith("0.90 s of audio, 100 ms ahead, at worst -200 ms")
    assert lines[0].endswith("first audio after 200 ms, under-runs: 2")
    health.end()
    assert lines[1].startswith("in all 0.90 s of audio in 1.31 s, at worst -200 ms")


def test_health_of_a_regular_source_has_no_under_run() -> None:
    clock, lines = Clock(), []
    health = Health(1000, lines.append, clock=clock)
    for _ in range(50):
        health.came()
        health.made(100)
        clock.now += 0.1 - 1e-6
    assert health.underruns == 0
    assert 0.0 < health.worst <= 0.1
    assert len(lines) == 4
