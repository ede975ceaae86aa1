"""The embedded extender's network: its excitations and its gate."""

import math

import pytest
import torch
from torch import Tensor

from vocoder.generators.bandwidth_extension.band_filler import BandFiller

RATE = 48000


@pytest.fixture(scope="module")
def network() -> BandFiller:
    torch.manual_seed(0)
    return BandFiller(channels=8, hidden=8, blocks=1, cutoff_range=[3400.0, 12000.0]).eval()


def harmonics(hz: float, count: int) -> Tensor:
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    return sum(0.1 * torch.sin(2 * math.pi * k * hz * time) for k in range(1, count + 1)).float()


def test_overtones_keep_the_pitch_and_are_flat(network: BandFiller) -> None:
    """Of a voice at 500 Hz that ends at 4 kHz: lines at multiples of 500 Hz all the way up."""
    with torch.inference_mode():
        spectrum = network._overtones(harmonics(500.0, 8)[None])[0]
    level = spectrum.abs().square().mean(-1)  # [K]
    bin_hz = RATE / 1024
    for start in (5000.0, 9000.0, 13000.0):
        lines = [level[round((start + 500 * k) / bin_hz)] for k in range(6)]
        gaps = [level[round((start + 250 + 500 * k) / bin_hz)] for k in range(6)]
        assert min(lines) > 4 * max(gaps)
    loudness = [level[int(a / bin_hz) : int((a + 3000) / bin_hz)].mean() for a in (5000, 15000)]
    assert 0.5 < loudness[0] / loudness[1] < 2.0


@pytest.mark.parametrize(
    ("dbfs", "least", "most"), [(-40, 0.99, 1.0), (-90, 0.4, 0.6), (-130, 0, 0.01)]
)
def test_the_gate_is_closed_for_silence(
    network: BandFiller, dbfs: float, least: float, most: float
) -> None:
    audio = 10 ** (dbfs / 20) * torch.randn(1, RATE)
    gate = network._gate(network._stft(audio)).mean().item()
    assert least <= gate <= most


def test_noise_differs_in_each_training_pass(network: BandFiller) -> None:
    audio = 0.1 * torch.randn(2, 1, 2048)
    assert torch.equal(network(audio), network(audio))
    network.train()
    assert not torch.equal(network(audio), network(audio))
    network.eval()
