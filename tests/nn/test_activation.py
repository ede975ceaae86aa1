"""Periodic activations are initialised as published, and anti-aliasing removes aliases."""

import math

import pytest
import torch
from torch import nn

from vocoder.nn.activation import AntiAliased, Snake, SnakeBeta


@pytest.mark.parametrize("log_scale", [False, True])
@pytest.mark.parametrize("make", [Snake, SnakeBeta])
def test_start_is_x_plus_sine_squared(make: type, log_scale: bool) -> None:
    x = torch.randn(2, 3, 50)
    torch.testing.assert_close(make(3, log_scale=log_scale)(x), x + torch.sin(x) ** 2)


@pytest.mark.parametrize("log_scale", [False, True])
def test_alpha_is_the_frequency_and_beta_the_magnitude(log_scale: bool) -> None:
    act, alpha, beta = SnakeBeta(2, log_scale=log_scale), [0.5, 2.0], [3.0, 0.25]
    stored = (torch.tensor(alpha), torch.tensor(beta))
    with torch.no_grad():
        act.alpha.copy_(stored[0].log() if log_scale else stored[0])
        act.beta.copy_(stored[1].log() if log_scale else stored[1])
    x = torch.randn(1, 2, 20)
    for channel in range(2):
        row = x[0, channel]
        expected = row + torch.sin(alpha[channel] * row) ** 2 / beta[channel]
        torch.testing.assert_close(act(x)[0, channel], expected)


def test_snake_is_snake_beta_with_one_parameter() -> None:
    snake, both = Snake(1), SnakeBeta(1)
    for act in (snake, both):
        nn.init.constant_(act.alpha, 1.7)
    nn.init.constant_(both.beta, 1.7)
    x = torch.randn(1, 1, 30)
    assert torch.equal(snake(x), both(x))


def test_anti_aliasing_removes_aliases() -> None:
    """The fifth power of a tone at 0.18 has a component at 0.9, whose alias is at 0.1."""

    class FifthPower(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.pow(5)

    tone = torch.sin(2 * math.pi * 0.18 * torch.arange(2000))[None, None]

    def alias(act: nn.Module) -> float:
        spectrum = torch.fft.rfft(act(tone)[0, 0, 500:1500] * torch.hann_window(1000)).abs()
        return float(spectrum[97:104].max())

    assert alias(AntiAliased(FifthPower())) < 0.05 * alias(FifthPower())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("samples", [1, 3, 20])
def test_shape_and_gradients(samples: int, causal: bool) -> None:
    act = AntiAliased(SnakeBeta(4, log_scale=True), causal=causal)
    y = act(torch.randn(2, 4, samples))
    assert y.shape == (2, 4, samples)
    y.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in act.parameters())
