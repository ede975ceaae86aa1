"""The loss on real and imaginary parts: an independent computation, and its phase dependence."""

import math

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from vocoder.dsp.resolutions import RESOLUTIONS
from vocoder.errors import ConfigError
from vocoder.losses.complex import MultiResolutionComplex
from vocoder.losses.spectral import MultiResolutionSTFT

LOSS = MultiResolutionComplex()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def spectrum(audio: NDArray[np.float64], n_fft: int, hop: int, win: int) -> NDArray[np.complex128]:
    """Centered frames under a periodic Hann window of unit energy, by numpy alone."""
    window = np.sin(np.pi * np.arange(win) / win) ** 2 / math.sqrt(3 / 8 * win)
    window = np.pad(window, (n_fft - win) // 2)
    frames = sliding_window_view(np.pad(audio, n_fft // 2, mode="reflect"), n_fft)[::hop]
    return np.fft.rfft(frames * window)


def test_numbers_of_an_independent_computation() -> None:
    fake, real = noise(2, 3000)
    total = 0.0
    for resolution in RESOLUTIONS:
        x, y = (spectrum(audio.double().numpy(), *resolution) for audio in (fake, real))
        total += np.abs(x.real - y.real).mean() + np.abs(x.imag - y.imag).mean()
    assert LOSS(fake[None, None], real[None, None]).item() == pytest.approx(total / 3, rel=1e-4)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_noise_has_the_same_loss_at_every_resolution(resolution: tuple[int, int, int]) -> None:
    real = 0.1 * noise(1, 1, 40_000)
    loss = MultiResolutionComplex(resolutions=[resolution])(torch.zeros_like(real), real)
    assert loss.item() == pytest.approx(0.1 * 2 / math.sqrt(math.pi), rel=0.02)


def test_loss_depends_on_polarity_unlike_that_of_magnitudes() -> None:
    real = noise(1, 1, 3000)
    assert MultiResolutionSTFT()(-real, real).item() == pytest.approx(0.0, abs=1e-5)
    assert LOSS(-real, real) > 1.0


def test_loss_is_a_norm_of_the_error_and_its_gradient_reduces_it() -> None:
    real, error = noise(2, 2, 2, 3000)  # [B, C, T] each
    near = (real + 0.01 * error).requires_grad_()
    loss = LOSS(near, real)
    assert LOSS(real + 0.1 * error, real).item() == pytest.approx(10 * loss.item(), rel=1e-3)
    loss.backward()
    assert near.grad is not None
    with torch.no_grad():
        assert LOSS(near - 1e-3 * near.grad / near.grad.abs().max(), real) < loss


def test_one_sample_is_long_enough() -> None:
    assert LOSS(torch.zeros(1, 1, 1), torch.ones(1, 1, 1)).isfinite()


def test_a_resolution_that_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigError, match=r"resolution \[512, 600, 240\]"):
        MultiResolutionComplex(resolutions=[(512, 600, 240)])
