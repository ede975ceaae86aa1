"""The harmonic-plus-noise source: levels, pitch, voicing, and its convolutions."""

import math

import pytest
import torch

from vocoder.dsp.excitation import harmonic_sines
from vocoder.nn.source import HarmonicSource, source_convs

RATE, HOP = 22050, 256


@pytest.fixture
def source() -> HarmonicSource:
    torch.manual_seed(0)
    return HarmonicSource(sample_rate=RATE, hop_length=HOP).eval()


def test_is_a_weighted_sum_of_sines_and_little_noise(source: HarmonicSource) -> None:
    f0 = torch.full((2, 40), 150.0)
    sines = 0.1 * harmonic_sines(f0, 9, hop_length=HOP, sample_rate=RATE)
    weight, bias = source.linear.weight[0, :, None].detach(), source.linear.bias.detach()
    made = torch.atanh(source(f0)[:, 0]).detach()
    noise = made - (weight * sines).sum(dim=1) - bias
    assert noise.std() == pytest.approx(0.003 * weight.square().sum().sqrt().item(), rel=0.05)
    assert noise.mean().abs() < 1e-4


def test_unvoiced_frames_are_noise_a_third_as_strong_as_the_sines(source: HarmonicSource) -> None:
    f0 = torch.tensor([[9.0] * 40 + [150.0] * 40])
    noise = torch.atanh(source(f0)[0, 0, : 40 * HOP]).detach() - source.linear.bias.item()
    level = 0.1 / 3 * source.linear.weight.square().sum().sqrt().item()
    assert noise.std() == pytest.approx(level, rel=0.05)
    spectrum = torch.fft.rfft(noise).abs().square()
    for band in spectrum[1:].chunk(4):  # white
        assert band.mean() / spectrum.mean() == pytest.approx(1.0, abs=0.15)


def test_evaluation_noise_depends_on_the_position_alone(source: HarmonicSource) -> None:
    whole = source(torch.zeros(2, 30))
    assert torch.equal(whole[0], whole[1])
    start = source(torch.zeros(1, 10))
    torch.testing.assert_close(start, whole[:1, :, : 10 * HOP], rtol=0.0, atol=1e-6)


def test_training_noise_is_drawn_for_each_item(source: HarmonicSource) -> None:
    made = source.train()(torch.zeros(2, 30))
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made, source(torch.zeros(2, 30)))


def test_only_the_weights_learn(source: HarmonicSource) -> None:
    f0 = torch.full((1, 10), 150.0, requires_grad=True)
    source(f0).square().sum().backward()
    assert f0.grad is None
    assert all(p.grad.abs().sum() > 0 for p in source.parameters())


@pytest.mark.parametrize("rates", [[8, 8, 2, 2, 2], [5, 3], [3, 3, 1], [4], [1, 1]])
@pytest.mark.parametrize("extra", [0, 1])
def test_source_convs_give_the_length_and_width_of_every_stage(
    rates: list[int], extra: int
) -> None:
    """Also with the one column more that a centered spectrogram has, at the last stage."""
    widths, frames, total = list(range(2, 2 + len(rates))), 7, math.prod(rates)
    source = torch.randn(1, 3, frames * total + extra)
    for stage, conv in enumerate(source_convs(3, widths, rates)):
        length = frames * math.prod(rates[: stage + 1])
        last = math.prod(rates[stage + 1 :]) == 1
        assert conv(source).shape == (1, widths[stage], length + extra * last)
