"""Spectrograms for the eye: levels, times and frequencies are where they belong."""

import dataclasses
import io
import math
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from vocoder.errors import AudioError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.plots.png import png
from vocoder.plots.spectrogram import FrequencyAxis, difference, mel_picture, spectrum_picture

RATE = 16000


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    return torch.sin(2.0 * math.pi * hertz / RATE * torch.arange(round(seconds * RATE)))


@pytest.mark.parametrize("axis", get_args(FrequencyAxis))
@pytest.mark.parametrize("hertz", [250.0, 3000.0])
def test_full_scale_tone_is_at_0_db_and_its_frequency(axis: FrequencyAxis, hertz: float) -> None:
    picture = spectrum_picture(tone(hertz), RATE, axis=axis)
    column = picture.decibels[:, picture.decibels.shape[1] // 2]
    assert column.max().item() == pytest.approx(0.0, abs=0.3)
    assert picture.frequencies[column.argmax()].item() == pytest.approx(hertz, rel=0.02)
    quieter = spectrum_picture(0.1 * tone(hertz), RATE, axis=axis)
    assert quieter.decibels.max().item() == pytest.approx(column.max().item() - 20.0, abs=0.1)


@pytest.mark.parametrize("seconds", [0.001, 0.3, 100.0])
def test_columns_cover_the_time_and_a_click_is_in_its_own(seconds: float) -> None:
    samples = round(seconds * RATE)
    audio = torch.zeros(samples)
    audio[samples * 3 // 4] = 1.0
    picture = spectrum_picture(audio, RATE, columns=200)
    columns = picture.decibels.shape[1]
    assert columns <= 200
    assert seconds <= picture.seconds < seconds * (1.0 + 2.0 / columns)
    loudest = picture.decibels.mean(0).argmax().item()
    window = 0.04 / picture.seconds * columns  # the click is in all windows that have it
    assert abs(loudest + 0.5 - 0.75 * seconds / picture.seconds * columns) <= 1.0 + window / 2


def test_highest_frequency_and_silence() -> None:
    picture = spectrum_picture(torch.zeros(RATE), RATE, f_max=4000.0)
    assert picture.hertz == 4000.0 and picture.frequencies[-1].item() <= 4000.0
    assert picture.decibels.unique().tolist() == [-120.0]


def test_mel_pictures_of_one_recording_are_equal_in_all_normalisations() -> None:
    spec = MelSpec.preset("hifigan_22k_80")
    mel = MelSpectrogram(spec)(torch.randn(1, 1, 8192).mul(0.1))[0]
    expected = mel_picture(mel, spec)
    assert expected.decibels[0, 0].item() == pytest.approx(mel[0, 0].item() * 20 / math.log(10.0))
    decibels = dataclasses.replace(spec, log="db", mean=-50.0, scale=20.0)
    got = mel_picture(decibels.compress(spec.expand(mel)), decibels)
    torch.testing.assert_close(got.decibels, expected.decibels, atol=1e-3, rtol=0.0)
    assert expected.seconds == pytest.approx(32 * 256 / 22050)
    assert expected.frequencies[-1].item() < 8000.0 == expected.hertz


def test_difference_is_of_audible_levels() -> None:
    audio = tone(1000.0) * 0.25
    first, louder = (spectrum_picture(gain * audio, RATE) for gain in (1.0, 2.0))
    assert difference(first, first).decibels.abs().max().item() == 0.0
    changed = difference(first, louder, dynamic_range=40.0).decibels
    row = int((first.frequencies - 1000.0).abs().argmin())
    assert changed[row, 100].item() == pytest.approx(6.02, abs=0.01)
    assert changed[-1].abs().max().item() == 0.0  # far below both


def test_what_cannot_be_drawn_is_refused() -> None:
    spec = MelSpec.preset("hifigan_22k_80")
    for audio in (torch.zeros(0), torch.zeros(2, 8), torch.tensor([0.0, math.nan])):
        with pytest.raises(AudioError):
            spectrum_picture(audio, RATE)
    for settings in ({"f_max": 30.0}, {"window_ms": 0.1}, {"axis": "bark"}):
        with pytest.raises(ConfigError):
            spectrum_picture(tone(100.0), RATE, **settings)  # type: ignore[arg-type]
    for mel in (torch.zeros(79, 5), torch.zeros(80, 0), torch.full((80, 2), math.inf)):
        with pytest.raises(MelMismatchError):
            mel_picture(mel, spec)
    with pytest.raises(ConfigError, match="low < high"):
        png(torch.zeros(2, 2), 0.0, 0.0)


def test_png_has_the_first_row_at_the_bottom_and_the_colours_of_its_limits() -> None:
    values = torch.tensor([[-1.0, 0.0], [1.0, 9.0]])
    for size in (None, (64, 64)):
        encoded = png(values, -1.0, 1.0, colours="difference", size=size)
        pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(int)
        assert pixels.shape[:2] == (size or (2, 2))
        blue, middle, red = pixels[-1, 0], pixels[-1, -1], pixels[0, -1]
        assert blue[2] > blue[0] + 50 and red[0] > red[2] + 50 and middle.min() > 230
