"""Noise can be trained to be more even than random noise, and stays normally distributed."""

import pytest
import torch
from torch import nn

import vocoder
from vocoder.errors import ConfigError
from vocoder.losses.evenness import NoiseEvenness


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.randn(32768))


def test_gaussian_noise_is_as_uneven_as_stated_at_any_level() -> None:
    torch.manual_seed(0)
    network, loss = Noisy(), NoiseEvenness()
    assert loss(network).item() == pytest.approx(0.49, abs=0.02)
    network.noise.data *= 0.01
    assert loss(network).item() == pytest.approx(0.49, abs=0.02)


def test_unevenness_can_be_reduced_by_training() -> None:
    torch.manual_seed(0)
    network, loss = Noisy(), NoiseEvenness()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(40):
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()
    assert loss(network) < 0.4


def test_noise_of_the_extender_is_even_and_normally_distributed() -> None:
    network = vocoder.load_extender().generator
    noise = network.get_parameter("noise").detach()
    assert noise.unique().numel() > 1000
    standard = (noise - noise.mean()) / noise.std()
    assert standard.pow(4).mean().item() == pytest.approx(3.0, abs=0.15)
    holder = Noisy()
    holder.noise = nn.Parameter(noise.clone())
    assert NoiseEvenness()(holder) < 0.3


def test_a_generator_without_noise_is_refused() -> None:
    with pytest.raises(ConfigError, match="Linear has no noise"):
        NoiseEvenness()(nn.Linear(1, 1))
