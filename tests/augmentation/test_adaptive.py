"""Adaptive augmentation: each operation by itself, and all operations alike in every signal."""

import math

import pytest
import torch
from torch import Tensor

from vocoder.augmentation.adaptive import AdaptiveAugmentation, equalise, roll

OFF = {"gain_db": 0.0, "shift": 0.0, "filter_db": 0.0, "noise_std": 0.0}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def augmented(audio: Tensor, **strengths: float) -> Tensor:
    module = AdaptiveAugmentation(boundary=0.0, p=0.5, **(OFF | strengths))
    (x,) = module([audio], {})
    return x


def test_without_strength_nothing_changes() -> None:
    audio = torch.randn(8, 2, 501)
    assert torch.equal(AdaptiveAugmentation(boundary=0.0)([audio], {})[0], audio)


def test_equal_signals_come_out_equal() -> None:
    audio = torch.randn(8, 2, 501)
    one, other = AdaptiveAugmentation(boundary=0.0, p=0.8)([audio, audio.clone()], {})
    assert torch.equal(one, other)
    assert not torch.equal(one, audio)


def test_augmentation_is_one_affine_map_for_all_signals() -> None:
    """Noise and decisions are shared: x → Ax + n, so the mean of two signals maps to their mean."""
    a, b = torch.randn(2, 8, 1, 400).unbind()
    module = AdaptiveAugmentation(boundary=0.0, p=0.8)
    x, y, middle = module([a, b, (a + b) / 2], {})
    torch.testing.assert_close((x + y) / 2, middle, atol=1e-5, rtol=1e-4)


def test_each_operation_has_the_strength_as_probability() -> None:
    audio = torch.ones(4000, 1, 64)
    changed = {
        name: (augmented(audio.cumsum(-1), **{name: value}).abs() != audio.cumsum(-1))
        .any(-1)
        .float()
        .mean()
        .item()
        for name, value in {"gain_db": 6.0, "filter_db": 6.0, "noise_std": 0.1}.items()
    }
    assert changed == {name: pytest.approx(0.5, abs=0.03) for name in changed}


def test_polarity_is_inverted_in_half_of_the_chosen_items() -> None:
    signs = augmented(torch.ones(4000, 1, 8))[:, 0]
    assert torch.equal(signs.abs(), torch.ones_like(signs))
    assert (signs[:, 0] < 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_gains_have_the_stated_spread() -> None:
    decibels = 20.0 * torch.log10(augmented(torch.ones(4000, 1, 1), gain_db=6.0).abs()).flatten()
    chosen = decibels[decibels != 0.0]
    assert chosen.mean().item() == pytest.approx(0.0, abs=0.5)
    assert chosen.std().item() == pytest.approx(6.0, abs=0.4)


def test_shift_is_circular_and_no_further_than_stated() -> None:
    x = torch.zeros(2000, 1, 80)
    x[..., 40] = 1.0
    place = augmented(x, shift=0.25).abs().argmax(-1)
    assert (place.min().item(), place.max().item()) == (20, 60)
    shift = torch.tensor([1, -2])
    expected = torch.stack([torch.arange(5).roll(1), torch.arange(5).roll(-2)])[:, None]
    assert torch.equal(roll(torch.arange(5).expand(3, 2, 1, 5), shift)[1], expected)


@pytest.mark.parametrize("samples", [1, 2, 511, 512])
def test_equaliser_with_equal_octaves_is_a_gain(samples: int) -> None:
    x = torch.randn(2, 3, 1, samples)
    louder = equalise(x, torch.full((3, 4), 20.0))
    torch.testing.assert_close(louder, 10.0 * x, atol=1e-4, rtol=1e-4)


def test_equaliser_scales_a_tone_by_its_octave() -> None:
    samples, octave_db = 1024, torch.tensor([[3.0, -6.0, 9.0, 1.0]])
    for below, decibels in [(1.0, -6.0), (2.0, 9.0), (1.5, 1.5), (3.0, 1.0), (6.0, 1.0)]:
        cycles = round(samples / 2 * 2.0**-below)
        tone = torch.sin(2 * math.pi * cycles * torch.arange(samples) / samples)[None, None, None]
        gain = 10.0 ** (decibels / 20.0)
        torch.testing.assert_close(equalise(tone, octave_db), gain * tone, atol=0.01, rtol=0.0)


def test_no_eigenvalue_vanishes_below_the_limit() -> None:
    """Those of the uniform shift, the operation with the lowest ones."""
    turn = torch.linspace(0.01, 200.0, 200_000, dtype=torch.float64)
    p_max = AdaptiveAugmentation(boundary=0.0).p_max
    assert (1.0 - p_max + p_max * torch.sin(turn) / turn).min() > 0.02
