"""Audio files of any format: known by content, whole or refused, and without words of decoders."""

import io
import itertools
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from vocoder.errors import AudioError
from vocoder.io.audio import probe, read_audio, read_blocks
from vocoder.io.containers.opening import UnscaledAudioError
from vocoder.io.containers.silence import decoder_silenced

TONE = 0.5 * np.sin(np.arange(6000) * 0.05) + 0.1 * np.sin(np.arange(6000) * 0.9)
INTEGERS = (np.arange(1000) % 100 * 100).astype("<i2")
# Of sample dumps (SDS), libsndfile's reader is unfinished, RAW has no header; SD2 is two files.
CONTAINERS = soundfile.available_formats().keys() - {"RAW", "SDS", "SD2", "MP3", "OGG"}
ENCODINGS = [
    (container, encoding)
    for container in sorted(CONTAINERS)
    for encoding in soundfile.available_subtypes(container)
    if (container, encoding) not in {("PAF", "PCM_24"), ("WAV", "MPEG_LAYER_III")}
]


def encoded(container: str, encoding: str, samples: NDArray[Any] = TONE) -> bytes:
    file = io.BytesIO()
    rate = 8000 if encoding.startswith(("G7", "NMS", "ALAW", "ULAW")) else 16000
    soundfile.write(file, samples, rate, format=container, subtype=encoding)
    return file.getvalue()


def test_every_format_is_read_whole_in_parts_and_in_blocks_whatever_its_name(
    tmp_path: Path,
) -> None:
    path, read = tmp_path / "x.dat", 0
    for container, encoding in ENCODINGS:
        try:
            path.write_bytes(encoded(container, encoding))
        except soundfile.LibsndfileError:  # it reads some that it does not write
            continue
        whole, rate = read_audio(path)
        assert probe(path) == (rate, 1, whole.shape[-1]), (container, encoding)
        assert len(TONE) <= whole.shape[-1] < 1.1 * len(TONE), (container, encoding)
        for start in (1, 4321):
            part, _ = read_audio(path, start=start, frames=777)
            assert torch.equal(part, whole[:, start : start + 777]), (container, encoding)
        blocks = torch.cat(list(read_blocks(path, frames=997)), dim=-1)
        assert torch.equal(blocks, whole), (container, encoding)
        read += 1
    assert read > 80


def test_formats_that_cannot_seek_are_read_forward(tmp_path: Path) -> None:
    path = tmp_path / "gsm.wav"
    path.write_bytes(encoded("WAV", "GSM610"))
    whole, _ = read_audio(path)
    assert torch.equal(read_audio(path, start=5000, frames=100)[0], whole[:, 5000:5100])


def wav(
    size: int, *, riff: int = 0, data: bytes = INTEGERS.tobytes(), before: bytes = b""
) -> bytes:
    """A WAV file at 16 kHz whose header states this size of its audio."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    body = b"WAVE" + form + before + struct.pack("<4sI", b"data", size) + data
    return struct.pack("<4sI", b"RIFF", riff or len(body)) + body


LIST = struct.pack("<4sI", b"LIST", 26) + b"INFOISFT\x0e\0\0\0some program\0\0"


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFF0000, 0x80000000, 0xFFFFFFFF, 2000])
@pytest.mark.parametrize("before", [b"", LIST], ids=["", "LIST"])
def test_wav_of_unknown_length_from_a_pipe_is_read_to_its_end(
    size: int, before: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    for riff in (0, 8, 36, 0xFFFFFFFF):
        path.write_bytes(wav(size, riff=riff, before=before))
        audio, _ = read_audio(path)
        assert audio[0].mul(32768).short().tolist() == INTEGERS.tolist()
        assert torch.equal(read_audio(path, start=500)[0], audio[:, 500:])


@pytest.mark.parametrize(
    ("container", "name", "form", "sizes"),
    [
        ("AIFF", b"SSND", ">I", [0, 8, 0x7F000008, 0xFFFFFFFF]),
        ("CAF", b"data", ">q", [-1]),
        ("W64", b"data", "<q", [0, 24, 2**63 - 1, -1]),
        ("RF64", b"ds64", "<q", [0, 2**63 - 1, -1]),
        ("AU", b".snd", ">I", [0, 0xFFFFFFFF]),
    ],
)
def test_other_formats_of_unknown_length_are_read_to_their_end(
    container: str, name: bytes, form: str, sizes: list[int], tmp_path: Path
) -> None:
    content = bytearray(encoded(container, "PCM_16"))
    field = content.index(name) + {"W64": 16, "RF64": 16, "AU": 8}.get(container, 4)
    expected = read_audio(written(tmp_path / "whole", content))[0]
    for size in sizes:
        struct.pack_into(form, content, field, size)
        assert torch.equal(read_audio(written(tmp_path / "a", content))[0], expected), size


def written(path: Path, content: bytes | bytearray) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("container", "encoding"),
    [
        *(("WAV", "PCM_16"), ("WAV", "MS_ADPCM"), ("WAVEX", "PCM_24"), ("RF64", "FLOAT")),
        *(("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16")),
        *(("NIST", "PCM_16"), ("SVX", "PCM_16")),
    ],
)
def test_file_that_is_cut_short_is_refused(container: str, encoding: str, tmp_path: Path) -> None:
    content = encoded(container, encoding)
    whole = read_audio(written(tmp_path / "whole", content))[0].shape[-1]
    path = written(tmp_path / "half", content[: len(content) * 3 // 4])
    for read in (read_audio, lambda path: list(read_blocks(path, frames=1000))):
        with pytest.raises(AudioError, match=r"ends \d+ samples early, the file is cut short") as e:
            read(path)
        missing = int(str(e.value).split("ends ")[1].split()[0])
        assert 0.2 * whole < missing < 0.4 * whole


def test_missing_samples_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", wav(2000)[:-400])
    with pytest.raises(AudioError, match="ends 200 samples early"):
        probe(path)


def test_harmless_mistakes_of_wav_headers_are_read(tmp_path: Path) -> None:
    whole = wav(2000)
    for number, content in enumerate(
        [
            wav(2044),  # the header counted as audio
            wav(2036),
            whole + LIST,
            whole + LIST[:10],
            wav(2001, data=INTEGERS.tobytes() + b"\0"),  # an odd size, without its padding
            encoded("WAVEX", "PCM_16", INTEGERS),
            encoded("RF64", "PCM_16", INTEGERS),
        ]
    ):
        assert read_audio(written(tmp_path / str(number), content))[0].shape == (1, 1000), number
    for content in (wav(0, data=b""), wav(0, data=LIST)):
        with pytest.raises(AudioError, match="no samples"):
            read_audio(written(tmp_path / "empty.wav", content))


def test_header_that_claims_more_than_the_file_takes_no_memory(tmp_path: Path) -> None:
    content = bytearray(encoded("FLAC", "PCM_16"))
    content[21] |= 0x0F  # the highest of 36 bits of the number of samples
    content[22:26] = b"\xff" * 4
    with pytest.raises(AudioError, match="cut short"):
        read_audio(written(tmp_path / "a.flac", content))
    content = bytearray(wav(2000))
    struct.pack_into("<I", content, 24, 2**31 - 1)
    with pytest.raises(AudioError, match="2147483647 Hz"):
        read_audio(written(tmp_path / "a.wav", content))


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "m4a": (b"\0\0\0\x1cftypM4A \0\0\2\0", "MPEG-4"),
    "webm": (b"\x1a\x45\xdf\xa3" + bytes(30), "WebM"),
    "wma": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9" + bytes(30), "Windows Media"),
    "aac": (b"\xff\xf1\x50\x80\x2e\x7f\xfc" + bytes(300), "AAC"),
    "amr": (b"#!AMR\n" + bytes(30), "AMR"),
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("suffix", ["mp3", "wav"])
def test_format_that_is_not_read_is_named_with_the_command_that_converts_it(
    name: str, suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content, words = UNREADABLE[name]
    path = written(tmp_path / f"my song.{suffix}", content)
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    target = path.with_suffix(".flac" if suffix == "wav" else ".wav")
    assert words in str(caught.value)
    assert f"ffmpeg -i '{path}' '{target}'" in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<html><body>404</body></html>", "this is text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "an image"),
        (bytes(200), "no known audio format"),
        (wav(2000).replace(b"\x01\0\x01\0", b"\x61\x01\x01\0", 1), "ffmpeg -i"),  # WMA in a WAV
    ],
    ids=["git lfs", "html", "image", "zeros", "wma in wav"],
)
@pytest.mark.parametrize("suffix", ["mp3", "wav", "raw", "vox"])
def test_content_that_is_no_audio_is_named(
    content: bytes, words: str, suffix: str, tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match=words):
        read_audio(written(tmp_path / f"a.{suffix}", content))


@pytest.mark.parametrize("scale", [2**15, 2**23, 2**31])
def test_integers_stored_as_floats_are_refused(scale: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE * scale, 16000, subtype="FLOAT")
    with pytest.raises(UnscaledAudioError, match=f"divide them by {scale}$"):
        read_audio(path)
    with pytest.raises(UnscaledAudioError, match="integers stored as floats"):
        list(read_blocks(path, frames=1000))


def test_floats_beyond_full_scale_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE * 5.4, 16000, subtype="DOUBLE")
    expected = torch.from_numpy((TONE * 5.4).astype("float32"))
    assert torch.equal(read_audio(path)[0][0], expected)


def mp3(seconds: float = 3.0, rate: int = 22050, **settings: Any) -> bytes:
    """An MP3 file of noisy tones."""
    samples = np.arange(round(seconds * rate))
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, len(samples))
    tone = np.sin(samples * 0.05) * (samples % 5000 > 1000)
    file = io.BytesIO()
    soundfile.write(file, 0.3 * tone + 0.1 * noise * tone, rate, format="MP3", **settings)
    return file.getvalue()


VARIABLE: dict[str, Any] = {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
LOWEST: dict[str, Any] = {"bitrate_mode": "CONSTANT", "compression_level": 0.99}


@pytest.mark.parametrize("settings", [VARIABLE, LOWEST], ids=["variable", "lowest"])
def test_parts_of_mp3_equal_slices_of_the_whole_and_the_decoder_is_quiet(
    settings: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = mp3(**settings)
    damaged = bytearray(content)
    for position in range(2000, len(damaged), 1500):
        damaged[position] ^= 0xFF
    for path in (
        written(tmp_path / "a.mp3", content),
        written(tmp_path / "junk first.mp3", bytes(500) + content),
        written(tmp_path / "damaged.mp3", bytes(damaged)),
    ):
        if path.stem == "damaged":  # it may be refused
            with suppress(AudioError):
                read_audio(path)
            continue
        whole, _ = read_audio(path)
        for start in range(1, whole.shape[-1], 9999):
            part, _ = read_audio(path, start=start, frames=3000)
            assert torch.equal(part, whole[:, start : start + 3000])
        assert torch.equal(torch.cat(list(read_blocks(path, frames=999)), dim=-1), whole)
    assert capfd.readouterr() == ("", "")


def test_part_far_into_an_mp3_equals_the_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.mp3", mp3(20.0, **VARIABLE))
    whole, _ = read_audio(path)
    monkeypatch.setattr("vocoder.io.containers.opening._NEAR", 70_000)  # beyond, it seeks
    for start in range(80_000, 430_000, 33_333):
        part, _ = read_audio(path, start=start, frames=3000)
        torch.testing.assert_close(part, whole[:, start : start + 3000], atol=5e-7, rtol=0)


@pytest.mark.parametrize("settings", [VARIABLE, LOWEST], ids=["variable", "constant"])
@pytest.mark.parametrize("tag", [b"", b"ID3\x03\0\0\0\0\1\0" + bytes(128)], ids=["", "ID3"])
def test_mp3_that_does_not_state_its_length_is_read_whole(
    settings: dict[str, Any], tag: bytes, tmp_path: Path
) -> None:
    content = mp3(30.0, **settings)
    header = content.find(b"Xing", 0, 64)
    if header >= 0:  # the first frame is that header alone
        content = content[content.index(content[:2], 4) :]
    path = written(tmp_path / "a.mp3", tag + content + b"TAG".ljust(128, b"\0"))
    whole, rate = read_audio(path)
    assert rate == 22050
    assert 30.0 <= whole.shape[-1] / rate < 30.3
    assert probe(path).samples == whole.shape[-1]
    last = read_audio(path, start=whole.shape[-1] - 500)[0]
    torch.testing.assert_close(last, whole[:, -500:], atol=5e-7, rtol=0)


def test_what_others_write_while_the_decoder_is_silenced_appears(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with decoder_silenced(True):
        os.write(2, b"Note: Trying to resync...\nanother line\n")
        os.write(2, b"[src/libmpg123/layer3.c:do_layer3():1774] error: part2_3_length\n")
        process = os.fork()
        if process == 0:
            os.write(2, b"of a child\n")
            os._exit(0)
        os.waitpid(process, 0)
        with decoder_silenced(True):
            os.write(2, b"Note: nested\n")
    os.write(2, b"last\n")
    assert capfd.readouterr().err == "of a child\nanother line\nlast\n"


def test_decoder_is_silenced_in_several_threads(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a.mp3", mp3(2.0, **LOWEST))
    expected, _ = read_audio(path)
    failures: list[int] = []

    def work(number: int) -> None:
        for start in range(number, 40_000, 10_001):
            part, _ = read_audio(path, start=start, frames=1000)
            if not torch.equal(part, expected[:, start : start + 1000]):
                failures.append(start)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for step in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            step(thread)
    os.write(2, b"last\n")
    assert (failures, capfd.readouterr().err) == ([], "last\n")


def test_names_that_are_no_utf_8_are_read(tmp_path: Path) -> None:
    names = (b"latin \xe9.wav", "中文 é.wav".encode(), b"two\nlines.wav")
    for name, suffix in itertools.product(names, (b"", b".mp3")):
        path = tmp_path / os.fsdecode(name + suffix)
        assert read_audio(written(path, wav(2000)))[0].shape == (1, 1000)
    with pytest.raises(AudioError, match="no file can have this name"):
        read_audio(tmp_path / "nul\0.wav")
