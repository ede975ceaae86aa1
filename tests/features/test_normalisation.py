"""The normalisations of TTS projects: their formulas, and conversion to and from a model's mel."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.features.test_mel import CLIPS
from vocoder.errors import ConfigError
from vocoder.features.mel import PRESETS, MelSpec, MelSpectrogram
from vocoder.features.mel_conversion import convert
from vocoder.features.normalisation import NORMALISATIONS
from vocoder.io.audio import read_audio

BASE = MelSpec.preset("hifigan_22k_80")


@pytest.fixture(scope="module")
def linear() -> Tensor:
    """Mel magnitudes of a recording, with a pause of digital silence."""
    audio, _ = read_audio(CLIPS / "lj" / "LJ001-0013.flac")
    audio = torch.cat([audio[:, :20000], torch.zeros(1, 4096)], dim=1)
    return MelSpectrogram(dataclasses.replace(BASE, log="linear", log_floor=1e-30))(audio[None])[0]


def stored(name: str, x: Tensor) -> Tensor:
    """What a project stores for mel magnitudes, by its own formula."""
    db = 20.0 * x.double().clamp_min(1e-5).log10()
    ln = x.double().clamp_min(1e-5).log()
    unit = (db - 20.0 + 100.0) / 100.0
    int16 = (32768.0 * x.double()).clamp_min(1e-5)
    return {
        "ln": ln,
        "log10": ln / math.log(10.0),
        "db": db,
        "db_ref20": (db - 20.0).clamp_min(-100.0),
        "linear": x.double().clamp_min(1e-5),
        "keithito": unit.clamp(0.0, 1.0),
        "fastvocoder": unit.clamp(0.0, 1.0),
        "specvqgan": unit.clamp(0.0, 1.0),
        "rayhane": (8.0 * unit - 4.0).clamp(-4.0, 4.0),
        "tacotron2": ln,
        "fastspeech2": ln,
        "f5_tts": ln,
        "nemo": ln,
        "gpt_sovits": 2.0 * (ln + 12.0) / 14.0 - 1.0,
        "whisper": (x.double().clamp_min(1e-10).log10() + 4.0) / 4.0,
        "power_db": db / 2.0,
        "int16": int16.log(),
        "int16_log10": int16.log10(),
        "glow_tts": ln,
        "grad_tts": ln,
        "matcha_lj": (ln + 5.536622) / 2.116101,
        "matcha_vctk": (ln + 6.630575) / 2.482914,
    }[name]


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_a_normalisation_stores_what_the_project_stores(linear: Tensor, name: str) -> None:
    ours = BASE.normalised(name).compress(linear).double()
    theirs = stored(name, linear)
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_what_a_project_stores_becomes_the_models_mel(linear: Tensor, name: str) -> None:
    """To 1e-5, apart from what the project has clipped, and back again."""
    spec = BASE.normalised(name)
    converted = convert(stored(name, linear).float(), spec, BASE)
    expected = linear.clamp_min(max(spec.log_floor, BASE.log_floor)).log()
    torch.testing.assert_close(converted, expected, rtol=0.0, atol=1e-5)
    back = convert(converted, BASE, spec).double()
    kept = linear >= max(spec.log_floor, BASE.log_floor)
    torch.testing.assert_close(back[kept], stored(name, linear)[kept], rtol=1e-5, atol=1e-5)


def test_a_normalisation_replaces_that_of_the_preset() -> None:
    matcha = MelSpec.preset("matcha_22k_80")
    assert matcha.normalised("ln") == BASE
    assert matcha.normalised("keithito") == BASE.normalised("keithito")
    assert MelSpec.preset("vocos_24k_100").normalised("log10").log_floor == 1e-7


def test_presets_of_projects_that_fix_both() -> None:
    assert PRESETS["matcha_22k_80"] == BASE.normalised("matcha_lj")
    assert PRESETS["grad_tts_22k_80"] == BASE
    assert PRESETS["glow_tts_22k_80"].padding == "center"
    specvqgan = PRESETS["specvqgan_22k_80"]
    assert (specvqgan.f_min, specvqgan.f_max, specvqgan.scale[0]) == (125.0, 7600.0, 100.0)


def test_unknown_normalisation_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no mel normalisation 'tacotron'; there are db, .*keith"):
        BASE.normalised("tacotron")


def test_silence_is_the_lower_end_of_a_clipped_range() -> None:
    np.testing.assert_allclose(BASE.normalised("keithito").silence, 0.0, atol=1e-6)
    np.testing.assert_allclose(BASE.normalised("rayhane").silence, -4.0, atol=1e-6)


def test_the_manual_lists_every_normalisation_and_preset() -> None:
    page = (CLIPS.parents[1] / "docs" / "pages" / "vocoding.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in row.split("|")[1].replace("`", "").split(", ")}
    named = {name.strip() for name in named}
    assert NORMALISATIONS.keys() | PRESETS.keys() <= named
