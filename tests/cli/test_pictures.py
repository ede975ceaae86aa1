"""`vocoder plot`: what it draws of audio and mels, what it says, and wrong input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import write_audio
from vocoder.io.mel_file import write_mel
from vocoder.plots.inputs import DrawnAudio, DrawnMel, read_drawn
from vocoder.plots.panels import PanelSettings, arranged, differences_of

SPEC = MelSpec.preset("hifigan_22k_80")
RATE = SPEC.sample_rate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Half a second as audio, quieter and shorter audio at another rate, and as a mel."""
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(1, RATE // 2, generator=generator) * 0.1
    write_audio(tmp_path / "a.wav", audio, RATE)
    write_audio(tmp_path / "b.wav", 0.5 * audio[:, : RATE // 4].expand(2, -1), RATE)
    write_audio(tmp_path / "c.wav", audio, RATE // 2)
    write_mel(tmp_path / "m.npy", MelSpectrogram(SPEC)(audio[None])[0], SPEC)
    torch.save(torch.zeros(80, 40), tmp_path / "bare.pt")
    (tmp_path / "text.wav").write_text("a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_audio_and_mels_are_drawn_and_what_was_cut_is_said(
    folder: Path, vocoder_command: Callable[..., Any]
) -> None:
    options = ["--difference", "--columns", "2", "--f0", "--size", "4x3", "--dpi", "50"]
    result = vocoder_command("plot", "a.wav", "b.wav", "m.npy", "-o", "p.png", *options)
    assert (result.code, result.out) == (0, "p.png\n")
    assert result.err.splitlines() == [
        "note: b.wav: the mean of its 2 channels is drawn",
        "note: b.wav is 0.250 s shorter than a.wav; the difference is of the common 0.250 s",
    ]
    assert Image.open(folder / "p.png").size == (200, 150)


def test_a_column_has_the_panels_of_an_input_and_empty_places(folder: Path) -> None:
    inputs = [read_drawn(folder / name, begin=0.1) for name in ("a.wav", "m.npy")]
    settings = PanelSettings(kinds=("waveform", "spectrogram", "mel"), spec=SPEC)
    flat, _ = arranged(inputs, ["x", "y"], settings, columns=2)
    assert [type(panel).__name__ for panel in flat] == [
        *("WaveformPanel", "SpectrumPanel", "SpectrumPanel", "NoneType", "SpectrumPanel"),
        "NoneType",
    ]
    assert [panel.title for panel in flat if panel] == ["x", "y", "", ""]
    assert flat[1].picture.begin == pytest.approx(0.1, abs=0.012)  # type: ignore[union-attr]


def test_a_mel_less_the_recording_it_is_of_is_nothing(folder: Path) -> None:
    first, mel = read_drawn(folder / "a.wav"), read_drawn(folder / "m.npy")
    (panel,), _ = differences_of(first, mel, "", PanelSettings())
    assert panel.picture.decibels[:, 4:-4].abs().max() < 0.2  # type: ignore[union-attr]
    quiet = read_drawn(folder / "b.wav")
    (panel,), _ = differences_of(first, quiet, "", PanelSettings())
    inner = panel.picture.decibels[5:-5, 100:-100]  # type: ignore[union-attr]
    assert inner.median().item() == pytest.approx(-6.02, abs=0.05)
    _, notes = differences_of(first, read_drawn(folder / "c.wav"), "", PanelSettings())
    assert notes[-1] == "a.wav and c.wav are compared at 11025 Hz"


def test_a_part_of_a_file_is_read(folder: Path) -> None:
    audio, mel = (read_drawn(folder / name, begin=0.1, end=0.3) for name in ("a.wav", "m.npy"))
    assert isinstance(audio, DrawnAudio) and isinstance(mel, DrawnMel)
    assert (len(audio.audio), audio.begin) == (round(0.2 * RATE), pytest.approx(0.1, abs=1e-4))
    assert mel.begin <= 0.1 and mel.begin + mel.seconds >= 0.3
    assert mel.values.shape[1] == 18


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.wav", "-o", "x.png"], "none.wav: cannot open (No such file"),
        (["text.wav", "-o", "x.png"], "text.wav: cannot read audio"),
        (["bare.pt", "-o", "x.png"], "bare.pt: says no mel settings; name them by --preset"),
        (["a.wav", "-o", "x.jpg"], "x.jpg: choose a name that ends in .png, .svg, .pdf"),
        (["a.wav", "-o", "x.png", "--panels", "mel"], "needs mel settings; name them by --preset"),
        (["a.wav", "-o", "x.png", "--panels", "phase"], "no panel 'phase'; panels are waveform"),
        (["a.wav", "-o", "x.png", "--from", "2"], "a.wav: ends at 0.500 s, before 2 s"),
        (["m.npy", "-o", "x.png", "--from", "2"], "m.npy: ends at 0.499 s, before 2 s"),
        (["a.wav", "-o", "x.png", "--from", "0.2", "--to", "0.1"], "is no part of a recording"),
        (["a.wav", "-o", "x.png", "--difference"], "--difference needs two inputs or more"),
        (["a.wav", "-o", "x.png", "--labels", "a,b"], "--labels has 2 names for 1 inputs"),
        (["a.wav", "-o", "x.png", "--size", "big"], "--size 'big' is not WIDTHxHEIGHT, as 6.3x4"),
        (["a.wav", "-o", "x.png", "--f-max", "20"], "highest frequency is 20 Hz; it must be above"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_input_is_one_line(
    arguments: list[str], message: str, vocoder_command: Callable[..., Any]
) -> None:
    result = vocoder_command("plot", *arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert message in result.err
    assert not Path("x.png").exists()
