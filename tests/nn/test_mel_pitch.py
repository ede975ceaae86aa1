"""F0 estimation from a mel: decoding, voicing and losses."""

import pytest
import torch

from vocoder.dsp.pitch import Pitch
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.nn.pitch import MelPitch, PitchEstimate

SPEC = MelSpec.preset("hifigan_22k_80")


@pytest.fixture
def pitch() -> MelPitch:
    torch.manual_seed(0)
    return MelPitch(SPEC, channels=16, blocks=1).eval()


@pytest.mark.parametrize("hz", [85.0, 120.0, 180.0, 260.0, 380.0])
def test_a_tone_is_found_before_any_training(hz: float, pitch: MelPitch) -> None:
    time = torch.arange(22050) / 22050
    harmonics = torch.arange(1, 13)[:, None]
    tone = (torch.cos(2 * torch.pi * hz * harmonics * time) / harmonics).sum(0) / 8
    with torch.inference_mode():
        mel = MelSpectrogram(SPEC)(tone[None, None])
        f0, _ = pitch.decode(pitch(mel))
    assert (1200 * torch.log2(f0[0, 5:-5] / hz)).abs().max() < 60


def test_decoding_interpolates_between_the_bins(pitch: MelPitch) -> None:
    distance = torch.arange(len(pitch.bins)) - 40.3
    logits = (-0.5 * distance.square())[None, :, None].expand(1, -1, 9)
    f0, voiced = pitch.decode(PitchEstimate(logits, torch.full((1, 9), 20.0)))
    between = pitch.bins[40] + 0.3 * (pitch.bins[41] - pitch.bins[40])
    assert torch.allclose(torch.log2(f0), between.expand(1, 9), atol=1e-4)
    assert (voiced > 0.999).all()


def test_unvoiced_frames_take_the_pitch_of_voiced_neighbours(pitch: MelPitch) -> None:
    best = torch.full((12,), 30)
    best[6:] = 90
    logits = 50.0 * torch.nn.functional.one_hot(best, len(pitch.bins)).T[None].float()
    voicing = torch.where(torch.arange(12) < 6, 20.0, -20.0)[None]
    f0, _ = pitch.decode(PitchEstimate(logits, voicing))
    expected = torch.exp2(pitch.bins[30])
    assert torch.allclose(f0[0, :8], expected.expand(8), rtol=1e-3)


def test_losses_fall_towards_the_right_answer(pitch: MelPitch) -> None:
    target = Pitch(torch.full((1, 5), 200.0), torch.tensor([[True, True, True, False, False]]))
    octaves = torch.log2(target.f0)[:, None] - pitch.bins[:, None]
    right = PitchEstimate(-(48 * octaves).square() / 2, torch.tensor([[9.0, 9, 9, -9, -9]]))
    wrong = PitchEstimate(right.logits.roll(20, dims=1), -right.voicing)
    for name in ("pitch", "voicing"):
        assert pitch.losses(right, target)[name] < 0.5 * pitch.losses(wrong, target)[name]
    # Unvoiced frames have no pitch to be wrong about.
    logits = right.logits.clone()
    logits[..., 3:] = wrong.logits[..., 3:]
    changed = pitch.losses(PitchEstimate(logits, right.voicing), target)
    assert torch.equal(changed["pitch"], pitch.losses(right, target)["pitch"])


def test_f0_is_zero_where_unvoiced(pitch: MelPitch) -> None:
    mel = torch.randn(2, SPEC.n_mels, 12) - 5.0
    f0, voiced = pitch.decode(pitch(mel))
    assert torch.equal(pitch.f0(mel), torch.where(voiced > 0.5, f0, 0.0))
    pitch.out.bias.data[-1] = -50.0
    assert (pitch.f0(mel) == 0.0).all()
