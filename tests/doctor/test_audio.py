"""Recordings: what was done to real ones is told, and whole ones are left in peace."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from vocoder.data.corpus.measure import faults_of, measure
from vocoder.doctor.audio import examine_audio
from vocoder.errors import AudioError
from vocoder.io.audio import read_audio, resample_soxr

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
VOICE = CLIPS / "kathleen" / "arctic_a0290.flac"  # 48 kHz, full band
RATE = 48000


@pytest.fixture(scope="module")
def voice() -> Tensor:
    """A recording at 0.9 of full scale. Shape: [1, T]."""
    audio = read_audio(VOICE)[0]
    return 0.9 * audio / audio.abs().max()


def from_rate(audio: Tensor, rate: int) -> Tensor:
    return resample_soxr(resample_soxr(audio, RATE, rate), rate, RATE)


def from_mp3(audio: Tensor, quality: float = 0.0) -> Tensor:
    file = io.BytesIO()
    soundfile.write(file, audio.T.numpy(), RATE, format="MP3", compression_level=quality)
    file.seek(0)
    return torch.from_numpy(soundfile.read(file, dtype="float32")[0])[None]


def with_hum(audio: Tensor, mains: int) -> Tensor:
    time = torch.arange(audio.shape[-1]) / RATE
    return audio + sum(0.01 / k * torch.sin(2 * torch.pi * mains * k * time) for k in range(1, 6))


def with_gap(audio: Tensor) -> Tensor:
    audio = audio.clone()
    audio[:, RATE : RATE + RATE // 20] = 0.0
    return audio


def noisy(audio: Tensor) -> Tensor:
    noise = torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))
    return audio + 0.3 * audio.square().mean().sqrt() * noise


# What is done to a recording → the finding, and words of it.
DONE: dict[str, tuple[Callable[[Tensor], Tensor], str, str]] = {
    "16 kHz": (lambda x: from_rate(x, 16000), "bandwidth", "resampled from 16000 Hz"),
    "telephone": (lambda x: from_rate(x, 7200), "bandwidth", "telephone band"),
    "MP3": (from_mp3, "codec", "a lossy codec"),
    "MP3 of few bits": (lambda x: from_mp3(x, 0.8), "codec", "a lossy codec"),
    "clipped": (lambda x: (3 * x).clamp(-1, 1), "clipping", "full-scale"),
    "clipped, then quieter": (lambda x: 0.4 * (3 * x).clamp(-1, 1), "clipping", "-8.0 dBFS"),
    "offset": (lambda x: 0.8 * x + 0.03, "DC", "+0.03"),
    "50 Hz": (lambda x: with_hum(x, 50), "mains hum", "50 Hz"),
    "60 Hz": (lambda x: with_hum(x, 60), "mains hum", "60 Hz"),
    "8 bits": (lambda x: (x * 128).round() / 128, "bit depth", "8 bits"),
    "8 bits, quieter": (lambda x: 0.37 * (x * 128).round() / 128, "bit depth", "8 bits"),
    "noise": (noisy, "noise", "under the loudest"),
    "equal channels": (lambda x: torch.cat([x, x]), "channels", "equal: mono"),
    "dead channel": (lambda x: torch.cat([x, 0 * x]), "channels", "right channel is silent"),
    "inverted channel": (lambda x: torch.cat([x, -x]), "channels", "inverted"),
    "silence": (lambda x: torch.cat([torch.zeros(1, 2 * RATE), x], 1), "silence", "2.0"),
    "gap": (with_gap, "digital silence", "such as at 1.00 s"),
    "quiet": (lambda x: 0.005 * x, "level", "dBFS"),
}


@pytest.mark.parametrize("what", DONE)
def test_what_was_done_to_a_recording_is_told(what: str, voice: Tensor, tmp_path: Path) -> None:
    change, name, words = DONE[what]
    path = tmp_path / "a.wav"
    soundfile.write(path, change(voice).T.numpy(), RATE, subtype="PCM_16")
    (finding,) = [each for each in examine_audio(path).findings if each.name == name]
    assert finding.severity != "ok" and finding.advice
    assert words in finding.value


def test_whole_recordings_have_no_problems_and_agree_with_prepare() -> None:
    for path in (VOICE, CLIPS / "nathalie" / "nl_rhasspy_578.flac"):
        found = examine_audio(path)
        assert found.severity == "ok", found
        assert not faults_of(measure(path), 0.3)
        assert found.verdict.endswith("nothing is wrong with it.")


def test_unused_bits_and_integers_stored_as_floats(voice: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    rounded = ((voice * 2**15).round() / 2**15).T.numpy()
    soundfile.write(path, rounded, RATE, subtype="PCM_24")
    (depth,) = [each for each in examine_audio(path).findings if each.name == "bit depth"]
    assert depth.value.startswith("24 bits, of which the lowest 8 are always 0")
    soundfile.write(path, 32768 * rounded, RATE, subtype="FLOAT")
    found = examine_audio(path)
    assert found.severity == "problem"
    assert "divide them by 32768" in found.findings[0].value


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    path.write_bytes(path.read_bytes()[:50000])
    with pytest.raises(AudioError, match=r"cut\.wav: ends \d+ samples early"):
        examine_audio(path)
    path.write_text("no audio")
    with pytest.raises(AudioError, match=r"cut\.wav: "):
        examine_audio(path)


def test_silent_and_very_short_files_are_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    assert {"silent"} <= {each.name for each in examine_audio(path).findings}
    soundfile.write(path, 0.1 * np.ones(100), RATE)
    assert {"too short"} <= {each.name for each in examine_audio(path).findings}
