"""The Haar transform is invertible and preserves energy."""

import numpy as np
import pytest
import torch

from vocoder.dsp.wavelet import haar


@pytest.mark.parametrize("samples", [1, 2, 7, 16])
def test_haar_is_invertible(samples: int) -> None:
    audio = torch.randn(2, 3, samples)
    low, high = haar(audio).split(3, dim=1)
    assert low.shape == high.shape == (2, 3, -(-samples // 2))
    restored = torch.stack([low + high, low - high], dim=-1).flatten(-2) / 2**0.5
    torch.testing.assert_close(restored[..., :samples], audio)


def test_haar_preserves_the_energy_at_every_level() -> None:
    bands = audio = torch.randn(1, 2, 64)
    for level in range(1, 4):
        bands = haar(bands)
        assert bands.shape == (1, 2 * 2**level, 64 // 2**level)
        torch.testing.assert_close(bands.square().sum(), audio.square().sum())


def test_odd_tail_is_padded_by_reflection() -> None:
    low, high = haar(torch.tensor([[[1.0, 2.0, 5.0]]]))[0]
    np.testing.assert_allclose(low.numpy() * 2**0.5, [3.0, 7.0], atol=1e-6)
    np.testing.assert_allclose(high.numpy() * 2**0.5, [-1.0, 3.0], atol=1e-6)
