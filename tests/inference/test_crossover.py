"""The low-pass filter and the crossover keep their bands and attenuation, at any cutoff."""

import pytest
import torch

from vocoder.inference.crossover import Crossover, LinearPhaseLowPass

RATE = 48000


@pytest.mark.parametrize("cutoff", [60.0, 187.5, 3400.0, 8000.0, 23000.0])
def test_low_pass_has_its_pass_band_and_attenuation(cutoff: float) -> None:
    network = LinearPhaseLowPass(cutoff, sample_rate=RATE, block=250)
    impulse = torch.zeros(1, 1, RATE)
    impulse[..., RATE // 2] = 1.0
    response = torch.fft.rfft(network(impulse).double()).abs()[0, 0]
    hz = torch.arange(len(response))
    passed = response[hz < min(0.96 * cutoff, cutoff - 100.0)]
    assert len(passed) == 0 or (passed - 1.0).abs().max() < 1e-4
    assert response[hz > cutoff].max() < 1e-4


def test_crossover_takes_each_band_from_its_input() -> None:
    network = Crossover(6000.0, sample_rate=RATE, block=200)
    recording, wide = torch.randn(2, 1, 1, RATE)
    made = network(recording, wide)
    hz = torch.arange(RATE // 2 + 1)
    for whole, inside in ((recording, hz < 5700), (wide, hz > 6050)):
        change = torch.fft.rfft((made - whole)[0, 0].double())[inside].abs()
        assert change.max() < 1e-2 * torch.fft.rfft(whole[0, 0].double())[inside].abs().max()
    assert torch.allclose(network(recording, recording), recording, atol=1e-6)
