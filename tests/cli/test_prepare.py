"""`vocoder prepare`: what it says of inputs that are left out, on the terminal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from vocoder.data.manifest import read_manifest
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import read_audio, resample_soxr

Command = Callable[..., Any]
PRESET = "hifigan_22k_80"


@pytest.fixture
def speech(tmp_path: Path, clips: list[Path]) -> Path:
    """Four pieces of real recordings of 1.5 s, at 22.05 kHz."""
    folder = tmp_path / "wavs"
    folder.mkdir()
    longest = sorted(clips, key=lambda clip: -clip.stat().st_size)[:4]
    for number, clip in enumerate(longest, start=1):
        audio, rate = read_audio(clip)
        audio = resample_soxr(audio, rate, 22050)[0, 11025 : 11025 + 33075]
        soundfile.write(folder / f"u0{number}.wav", audio.numpy(), 22050)
    return folder


def write_mels(speech: Path, folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    folder.mkdir()
    for wav in speech.iterdir():
        mel = MelSpectrogram(MelSpec.preset(PRESET))(read_audio(wav)[0][None])[0]
        np.save(folder / f"{wav.stem}.npy", change(mel).numpy())


def unit(mel: torch.Tensor) -> torch.Tensor:
    """Keithito's normalisation: 20 log10 of magnitudes, less 20 dB, from -100…0 to 0…1."""
    decibels = 20.0 / np.log(10.0) * mel.clamp_min(np.log(1e-4)) - 20.0
    return (decibels + 100.0) / 100.0


WRONG = {
    "unit": unit,
    "log10": lambda mel: mel / np.log(10.0),
    "linear": lambda mel: mel.exp(),
    "decibels": lambda mel: mel * 20.0 / np.log(10.0),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_mels_that_are_not_those_of_their_recordings_are_refused_by_name(
    change: Callable[[torch.Tensor], torch.Tensor],
    vocoder_command: Command,
    tmp_path: Path,
    speech: Path,
) -> None:
    write_mels(speech, tmp_path / "mels", change)
    common = ("prepare", speech, "--mels", tmp_path / "mels", "--preset", PRESET)
    result = vocoder_command(*common, "-o", tmp_path / "m.csv")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "u01.npy" in result.err
    assert "--normalisation" in result.err
    assert not (tmp_path / "m.csv").exists()


def test_mels_of_a_stated_normalisation_are_taken(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    write_mels(speech, tmp_path / "mels", unit)
    common = ("prepare", speech, "--mels", tmp_path / "mels", "--preset", PRESET)
    result = vocoder_command(*common, "--normalisation", "keithito", "-o", tmp_path / "m.csv")
    assert (result.code, result.err) == (0, "")
    clips = read_manifest(tmp_path / "m.csv")
    assert len(clips) == 4
    assert {clip.mel_spec for clip in clips} == {MelSpec.preset(PRESET).normalised("keithito")}


def test_one_wrong_mel_of_many_is_refused_by_name(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    write_mels(speech, tmp_path / "mels", lambda mel: mel + 0.1 * torch.randn_like(mel))
    path = tmp_path / "mels/u03.npy"
    np.save(path, unit(torch.from_numpy(np.load(path))).numpy())
    common = ("prepare", speech, "--mels", tmp_path / "mels", "--preset", PRESET)
    result = vocoder_command(*common, "-o", tmp_path / "m.csv")
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert line.startswith(f"error: {speech}/u03.wav: {path}: ")
    assert [clip.path.stem for clip in read_manifest(tmp_path / "m.csv")] == ["u01", "u02", "u04"]


def test_an_empty_split_is_a_warning_that_says_what_to_do(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    for name in ("u02", "u03", "u04"):
        (speech / f"{name}.wav").unlink()
    result = vocoder_command("prepare", speech, "-o", tmp_path / "m.csv")
    assert result.code == 0
    assert result.err.startswith(f"warning: {tmp_path}/m.csv: no clips in split valid and test")
    assert "cut long recordings" in result.err


def test_rows_without_file_are_a_warning(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    index = tmp_path / "index.csv"
    index.write_text("path\nwavs/u01.wav\nwavs/u02.wav\nwavs/u03.wav\nwavs/u04\n")
    result = vocoder_command("prepare", speech, "--index", index, "-o", tmp_path / "m.csv")
    assert result.code == 0
    start = f"warning: {index}: 1 of 4 rows match no file, such as 'wavs/u04' in line 5: there is "
    assert result.err == f"{start}{speech}/u04.wav; add the suffix\n"


def test_recordings_beyond_full_scale_are_left_out_by_name(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    for name, gain in (("u01", 3.0), ("u02", 20000.0)):
        audio, rate = soundfile.read(speech / f"{name}.wav")
        audio *= gain / np.abs(audio).max()
        soundfile.write(speech / f"{name}.wav", audio, rate, subtype="FLOAT")
    result = vocoder_command("prepare", speech, "-o", tmp_path / "m.csv")
    assert result.code == 0
    assert [clip.path.stem for clip in read_manifest(tmp_path / "m.csv")] == ["u03", "u04"]
    assert "u01.wav" in result.out.replace("\n", "")
    assert "full scale" in " ".join(result.out.replace("│", " ").split())
