"""Pictures of artefacts, and the command that measures the detectors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from vocoder.evaluation.artefacts.artefact import Artefact
from vocoder.evaluation.artefacts.catalogue import detect
from vocoder.evaluation.artefacts.picture import picture
from vocoder.io.audio import write_audio

CLIPS = Path(__file__).parents[3] / "egs" / "clips"
RATE = 24000


def artefact(detector: str, low_hz: float | None = None) -> Artefact:
    return Artefact(
        detector=detector,
        begin=0.4,
        end=0.6,
        low_hz=low_hz,
        high_hz=low_hz and low_hz + 10.0,
        level=1.0,
        unit="dB",
        words=f"something about {detector}",
    )


@pytest.mark.parametrize(("detector", "panels"), [("clicks", 2), ("tremor", 2), ("tones", 3)])
def test_a_picture_shows_the_artefact_and_the_reference(detector: str, panels: int) -> None:
    audio = 0.1 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    found = artefact(detector, 200.0 if detector != "clicks" else None)
    drawn = picture(found, audio, RATE, 0.5 * audio)
    (title,) = [drawn.get_suptitle()]
    assert title == f"something about {detector}"
    shown = [axes for axes in drawn.axes if axes.get_title(loc="left") or axes.get_title()]
    assert len(shown) == panels
    left, right = shown[0].get_xlim()
    assert left < 0.45 and right > 0.45  # at its beginning at least


@pytest.mark.slow
def test_the_command_counts_and_draws(tmp_path: Path, vocoder_command: Callable[..., Any]) -> None:
    at = torch.arange(2 * RATE) / RATE
    noise = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    audio = 0.05 * noise * (1.0 + torch.sin(8.0 * at))
    whistled = audio.clone()
    whistled[RATE : RATE + RATE // 2] *= 1e-4
    whistled += 0.001 * torch.sin(2 * torch.pi * 3002.0 * at)
    write_audio(tmp_path / "clean.wav", audio[None], RATE)
    write_audio(tmp_path / "whistled.wav", whistled[None], RATE)
    write_audio(tmp_path / "short.wav", audio[None, :1000], RATE)
    options = ("--planted", "1", "--seconds", "2", "--pictures", str(tmp_path / "p"))
    result = vocoder_command("bench", "artefacts", str(tmp_path), *options)
    assert result.code == 0
    assert "short.wav is left out: the recording has 1000 samples" in result.err
    assert "alone: whistled.wav: a tone at 3,002 Hz" in result.out
    assert "clean.wav" not in result.out
    with Image.open(tmp_path / "p" / "dc.png") as drawn:
        assert drawn.format == "PNG" and drawn.width > 300


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["none.wav"], "none.wav"), ([str(CLIPS / "README.md")], "README.md"), (["."], "no .wav")],
)
def test_wrong_input_of_the_command_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vocoder_command: Callable[..., Any],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = vocoder_command("bench", "artefacts", *arguments)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1 and words in result.err


def test_a_hundred_milliseconds_are_enough() -> None:
    audio = 0.1 * torch.randn(RATE // 10, generator=torch.Generator().manual_seed(0))
    assert detect(audio, RATE, audio) == []
