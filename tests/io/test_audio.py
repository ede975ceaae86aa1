"""Audio files: exact parts, lossless writing, resampling, and errors that name the file."""

import logging
import math
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from vocoder.errors import AudioError, VocoderError
from vocoder.io.audio import (
    WRITE_SUFFIXES,
    probe,
    read_audio,
    read_blocks,
    resample_soxr,
    write_audio,
    write_blocks,
)

CLIP = Path(__file__).parents[2] / "egs/clips/lj/LJ001-0013.flac"
RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)


def sine(hertz: float, rate: int, seconds: float = 0.5) -> Tensor:
    time = torch.arange(int(seconds * rate), dtype=torch.float64) / rate
    return 0.5 * torch.sin(2 * math.pi * hertz * time).float()


def encoded(folder: Path, suffix: str) -> Path:
    """A real recording in two different channels, in the container of this suffix."""
    audio, rate = soundfile.read(CLIP, dtype="float32")
    path = folder / f"clip{suffix}"
    soundfile.write(path, np.stack([audio, -0.5 * audio], axis=1), rate)
    return path


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".caf"])
def test_part_equals_slice_of_whole(suffix: str, tmp_path: Path) -> None:
    path = encoded(tmp_path, suffix)
    whole, rate = read_audio(path)
    assert probe(path) == (rate, 2, whole.shape[-1])
    for start, frames in [
        (0, 1),
        (1, 4000),
        (20000, 5000),
        (50000, 3000),
        (whole.shape[-1] - 1, 1),
    ]:
        part, _ = read_audio(path, start=start, frames=frames)
        torch.testing.assert_close(part, whole[:, start : start + frames], atol=1e-6, rtol=0)
    torch.testing.assert_close(
        read_audio(path, start=50000, frames=10**9)[0], whole[:, 50000:], atol=1e-6, rtol=0
    )
    blocks = torch.cat(list(read_blocks(path, frames=9999)), dim=-1)
    torch.testing.assert_close(blocks, whole, atol=1e-6, rtol=0)


def in_blocks(path: Path, audio: Tensor, sample_rate: int) -> None:
    """What `write_audio` does, by way of `write_blocks`."""
    write_blocks(path, torch.tensor_split(audio, 2, dim=-1), sample_rate)


@pytest.mark.parametrize("suffix", WRITE_SUFFIXES)
@pytest.mark.parametrize("shape", [(1, 500), (2, 500), (1, 1)])
def test_sixteen_bit_audio_is_written_and_read_bit_for_bit(
    suffix: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    audio = torch.randint(-32768, 32768, shape, generator=torch.manual_seed(0)) / 32768
    path = tmp_path / f"a{suffix.upper()}"
    write_audio(path, audio, 22050)
    read, rate = read_audio(path)
    assert rate == 22050
    assert torch.equal(read, audio)
    assert soundfile.info(path).subtype == "PCM_16"


@pytest.mark.parametrize("write", [write_audio, in_blocks])
def test_mono_is_one_channel_and_loud_is_clipped_and_counted(
    write: Callable[[Path, Tensor, int], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.wav"
    write(path, torch.tensor([[1.0, -1.0, 0.25]]), 8000)
    assert not caplog.records
    write(path, torch.tensor([[2.0, -2.7, 0.25, 0.0]]), 8000)
    assert read_audio(path)[0].tolist() == [[32767 / 32768, -1.0, 0.25, 0.0]]
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("vocoder.io.pcm", logging.WARNING)
    ]
    assert f"{path}: 2 of 4 samples (50 %)" in caplog.text
    assert "2.70 times" in caplog.text


@given(st.integers(1, 5000), st.sampled_from(RATES), st.sampled_from(RATES))
@settings(max_examples=60, deadline=None)
def test_resample_length_law(samples: int, orig_rate: int, new_rate: int) -> None:
    assert resample_soxr(torch.zeros(2, samples), orig_rate, new_rate).shape == (
        2,
        round(samples * new_rate / orig_rate),
    )


@pytest.mark.parametrize("new_rate", RATES)
@pytest.mark.parametrize("orig_rate", RATES)
def test_resample_keeps_tones_in_place_and_rejects_aliases(orig_rate: int, new_rate: int) -> None:
    low = resample_soxr(sine(1000, orig_rate), orig_rate, new_rate)
    expected = sine(1000, new_rate)[: low.shape[-1]]
    middle = slice(new_rate // 10, -new_rate // 10)
    torch.testing.assert_close(low[middle], expected[middle], atol=1e-4, rtol=0)
    if 0.55 * new_rate < 0.5 * orig_rate:
        above = resample_soxr(sine(0.55 * new_rate, orig_rate), orig_rate, new_rate)
        assert above[middle].abs().max() < 0.5 * 10 ** (-90 / 20)


def test_rows_are_resampled_independently() -> None:
    audio = torch.randn(2, 3, 700, generator=torch.manual_seed(0)) * 0.1
    together = resample_soxr(audio, 44100, 24000)
    for b in range(2):
        for c in range(3):
            alone = resample_soxr(audio[b, c], 44100, 24000)
            torch.testing.assert_close(together[b, c], alone, atol=1e-6, rtol=0)
    with pytest.raises(AudioError, match="0 Hz"):
        resample_soxr(audio, 0, 24000)


def broken(fault: str, folder: Path) -> Path:
    path = folder / "x.wav"
    if fault == "empty":
        path.touch()
    elif fault == "text":
        path.write_text("this is not audio " * 50)
    elif fault == "no samples":
        soundfile.write(path, np.zeros(0), 8000)
    elif fault == "nan":
        soundfile.write(path, np.array([0.0, np.nan, 0.0]), 8000, subtype="FLOAT")
    elif fault == "infinite":
        soundfile.write(path, np.array([0.0, -np.inf, 0.0]), 8000, subtype="FLOAT")
    elif fault == "folder":
        path.mkdir()
    elif fault == "pipe":
        os.mkfifo(path)
    elif fault == "headerless":
        path = folder / "x.raw"
        path.write_bytes(bytes(1000))
    elif fault == "cut short":
        path = folder / "x.flac"
        path.write_bytes(CLIP.read_bytes()[:30000])
    elif fault == "below a file":
        path = CLIP / "x.wav"
    return path


FAULTS = [
    "missing",
    "empty",
    "text",
    "no samples",
    "nan",
    "infinite",
    "folder",
    "pipe",
    "headerless",
]


@pytest.mark.parametrize("fault", [*FAULTS, "cut short", "below a file"])
def test_unreadable_file_is_one_line_that_names_it(fault: str, tmp_path: Path) -> None:
    path = broken(fault, tmp_path)
    for read in (read_audio, lambda path: list(read_blocks(path, frames=1000))):
        with pytest.raises(AudioError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("start", "frames"), [(-1, 1), (56989, None), (0, 0), (5, -2)])
def test_part_outside_the_file_is_refused(start: int, frames: int | None) -> None:
    with pytest.raises(AudioError, match="56989 samples"):
        read_audio(CLIP, start=start, frames=frames)


@pytest.mark.parametrize(
    ("name", "audio", "rate", "reason"),
    [
        ("a.mp3", torch.zeros(9), 8000, "suffix"),
        ("a.wav", torch.zeros(0), 8000, "shape"),
        ("a.wav", torch.zeros(1, 1, 9), 8000, "shape"),
        ("a.wav", torch.tensor([0.0, torch.nan]), 8000, "NaN"),
        ("a.flac", torch.zeros(9, 100), 8000, "cannot hold"),
        ("a.flac", torch.zeros(100), 10**6, "cannot hold"),
        ("file/a.wav", torch.zeros(9), 8000, "cannot be written"),
    ],
)
def test_audio_that_cannot_be_written_leaves_no_file(
    name: str, audio: Tensor, rate: int, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VocoderError, match=reason) as caught:
        write_audio(tmp_path / name, audio, rate)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, torch.full((8,), 0.5), 8000)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(VocoderError, match="free space"):
            write_audio(path, torch.zeros(100_000), 8000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
