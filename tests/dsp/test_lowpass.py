"""Doubling and halving the rate returns the signal; filters are those of SciPy."""

import math

import pytest
import scipy.signal
import torch
from torch import Tensor

from vocoder.dsp.lowpass import downsample2, kaiser_sinc, upsample2
from vocoder.errors import ConfigError

TAPS = kaiser_sinc(12, cutoff=0.25, half_width=0.3)


def sine(cycles_per_sample: float, samples: int = 400) -> Tensor:
    return torch.sin(2 * math.pi * cycles_per_sample * torch.arange(samples))[None, None]


@pytest.mark.parametrize("size", [6, 11, 12, 25, 64])
@pytest.mark.parametrize(("cutoff", "half_width"), [(0.25, 0.3), (0.25, 0.05), (0.1, 0.12)])
def test_filter_is_that_of_scipy(size: int, cutoff: float, half_width: float) -> None:
    attenuation = scipy.signal.kaiser_atten(size // 2, 4 * half_width)
    beta = scipy.signal.kaiser_beta(attenuation)
    expected = scipy.signal.firwin(size, 2 * cutoff, window=("kaiser", beta))
    ours = kaiser_sinc(size, cutoff=cutoff, half_width=half_width)
    torch.testing.assert_close(ours, torch.tensor(expected).float(), rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 5, 33])
def test_lengths_and_constants(samples: int, causal: bool) -> None:
    """Edges are held: a constant stays one, up to the ripple between the two phases of 12 taps."""
    up = upsample2(torch.ones(2, 3, samples), TAPS, causal=causal)
    assert up.shape == (2, 3, 2 * samples)
    assert (up - 1.0).abs().max() < 2e-2
    down = downsample2(torch.ones(2, 3, 2 * samples), TAPS, causal=causal)
    torch.testing.assert_close(down, torch.ones(2, 3, samples))


@pytest.mark.parametrize(("causal", "late"), [(False, 0), (True, 5)])
def test_up_and_down_again_is_a_delay(causal: bool, late: int) -> None:
    x = sine(0.05)
    again = downsample2(upsample2(x, TAPS, causal=causal), TAPS, causal=causal)
    inner = slice(20, -20)
    expected = x if late == 0 else torch.roll(x, late, dims=-1)
    assert (again - expected)[..., inner].abs().max() < 0.02


def test_the_image_is_suppressed() -> None:
    """A tone at 0.1 gets an image at 0.9 cycles per old sample: 0.05 and 0.45 of the new rate."""
    up = upsample2(sine(0.1, 1000), TAPS)[0, 0, 200:-200]
    spectrum = torch.fft.rfft(up * torch.hann_window(len(up))).abs()
    near = [round(f * len(up)) for f in (0.05, 0.45)]
    tone, image = (spectrum[k - 3 : k + 4].max() for k in near)
    assert 20 * torch.log10(image / tone) < -40.0


@pytest.mark.parametrize("change", [upsample2, downsample2])
def test_causal_filters_do_not_depend_on_later_samples(change) -> None:
    x = torch.randn(1, 2, 40)
    later = x.clone()
    later[..., 20:] += 1.0
    a, b = change(x, TAPS, causal=True), change(later, TAPS, causal=True)
    unaffected = a.shape[-1] // 2
    assert torch.equal(a[..., :unaffected], b[..., :unaffected])
    assert not torch.equal(a[..., unaffected], b[..., unaffected])


def test_channels_do_not_mix() -> None:
    x = torch.randn(2, 3, 17)
    for change in (upsample2, downsample2):
        alone = change(x[:, 1:2, :16], TAPS)
        assert torch.equal(change(x[..., :16], TAPS)[:, 1:2], alone)


def test_impossible_filters_are_errors() -> None:
    with pytest.raises(ConfigError, match="cutoff 0.6"):
        kaiser_sinc(12, cutoff=0.6, half_width=0.3)
