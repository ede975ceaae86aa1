"""F0 as a feature: Hz on the mel's frames, 0 where unvoiced."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.dsp.pitch import track_pitch
from vocoder.features.f0 import F0
from vocoder.features.mel import PRESETS, MelSpec, MelSpectrogram
from vocoder.io.audio import read_audio

SPEC = MelSpec.preset("hifigan_22k_80")


@pytest.fixture(scope="module")
def speech() -> Tensor:
    clips = Path(__file__).parents[2] / "egs" / "clips"
    audio, rate = read_audio(clips / "lj" / "LJ001-0013.flac")
    assert rate == SPEC.sample_rate
    return audio[None, :, : 256 * 120]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("more", [0, 1, 700])
def test_has_the_frames_of_the_mel(name: str, more: int) -> None:
    spec = PRESETS[name]
    audio = torch.randn(2, 1, 4 * spec.hop_length + more)
    f0 = F0(spec)(audio)
    assert f0.shape == (2, spec.frames(audio.shape[-1]))
    assert f0.shape[-1] == MelSpectrogram(spec)(audio).shape[-1]


@pytest.mark.parametrize("padding", ["same", "center"])
def test_is_zero_exactly_where_the_tracker_finds_unvoiced_frames(
    speech: Tensor, padding: str
) -> None:
    spec = MelSpec.from_dict(SPEC.to_dict() | {"padding": padding})
    f0 = F0(spec)(speech)
    pitch = track_pitch(speech[:, 0], sample_rate=22050, hop_length=256, padding=padding)
    assert torch.equal(f0 > 0, pitch.voiced)
    assert torch.equal(f0[f0 > 0], pitch.f0[pitch.voiced])
    assert 0 < (f0 > 0).sum() < f0.numel()


@pytest.mark.parametrize("hz", [130.0, 800.0])
def test_range_can_be_set(hz: float) -> None:
    time = torch.arange(22050) / 22050
    tone = sum(torch.cos(2 * torch.pi * hz * k * time) / k for k in range(1, 5))[None, None]
    f0 = F0(SPEC, f_min=100.0, f_max=1000.0)(0.2 * tone)[0, 5:-5]
    assert (1200 * torch.log2(f0 / hz)).abs().max() < 10
    if hz > 600.0:
        low = F0(SPEC)(0.2 * tone)[0, 5:-5]
        assert (low <= 601.0).all()
