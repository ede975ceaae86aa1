"""Laws of the filter bank: lengths, near-perfect reconstruction, and the content of bands."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vocoder.dsp.pqmf import (
    even_pqmf_analysis,
    even_pqmf_filters,
    even_pqmf_synthesis,
    pqmf_analysis,
    pqmf_filters,
    pqmf_synthesis,
)
from vocoder.errors import ConfigError


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def db(error: Tensor, signal: Tensor) -> float:
    return 10.0 * math.log10((error.square().mean() / signal.square().mean()).item())


@pytest.mark.parametrize("bands", [1, 2, 4, 5])
@pytest.mark.parametrize("samples", [1, 4, 7, 63, 200])
def test_length_law(bands: int, samples: int) -> None:
    filters = pqmf_filters(bands)
    split = pqmf_analysis(noise(2, 1, samples), filters)
    assert split.shape == (2, bands, -(-samples // bands))
    assert pqmf_synthesis(split, filters).shape == (2, 1, split.shape[-1] * bands)


def test_signal_and_bands_are_reconstructed_nearly_perfectly() -> None:
    filters, audio, split = pqmf_filters(), noise(1, 1, 40_000), noise(1, 4, 10_000)
    audio_back = pqmf_synthesis(pqmf_analysis(audio, filters), filters)
    split_back = pqmf_analysis(pqmf_synthesis(split, filters), filters)
    assert db((audio_back - audio)[..., 100:-100], audio) < -63.0
    assert db((split_back - split)[..., 25:-25], split) < -63.0


def test_the_default_cutoff_is_the_best_one() -> None:
    audio = noise(1, 1, 40_000)
    errors = []
    for cutoff in (0.141, 0.142, 0.143):
        filters = pqmf_filters(cutoff=cutoff)
        back = pqmf_synthesis(pqmf_analysis(audio, filters), filters)
        errors.append(db((back - audio)[..., 100:-100], audio))
    assert errors[1] + 20.0 < min(errors[0], errors[2])


@pytest.mark.parametrize("band", range(4))
def test_a_tone_lies_in_its_band_every_second_one_reversed(band: int) -> None:
    low, width, samples = band * 0.25, 0.25, 8192
    tone = torch.sin(math.pi * (low + 0.4 * width) * torch.arange(samples))[None, None]
    levels = pqmf_analysis(tone, pqmf_filters()).square().mean(-1)[0]
    assert levels.argmax() == band
    others = torch.cat([levels[:band], levels[band + 1 :]])
    assert 10 * math.log10((others.max() / levels[band]).item()) < -40.0
    spectrum = torch.fft.rfft(pqmf_analysis(tone, pqmf_filters())[0, band]).abs()
    place = 0.6 if band % 2 else 0.4
    assert spectrum.argmax().item() == pytest.approx(place * samples / 8, abs=1)


def test_filters_are_those_of_the_formula() -> None:
    """The prototype by numpy, the modulation by hand for one coefficient of each band."""
    time = np.arange(63) - 31
    prototype = 0.142 * np.sinc(0.142 * time) * np.kaiser(63, 9.0)
    filters = pqmf_filters()[:, 0].numpy()
    for band in range(4):
        center = 2 * prototype[31] * math.cos((-1) ** band * math.pi / 4)
        assert filters[band, 31] == pytest.approx(center, rel=1e-6)
        angle = (2 * band + 1) * math.pi / 8 * 5 + (-1) ** band * math.pi / 4
        assert filters[band, 36] == pytest.approx(2 * prototype[36] * math.cos(angle), rel=1e-5)


@pytest.mark.parametrize("change", [{"bands": 0}, {"taps": 61}, {"cutoff": 0.0}, {"cutoff": 1.0}])
def test_impossible_banks_are_named(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="even number of taps"):
        pqmf_filters(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(("bands", "cutoff"), [(2, 0.32), (4, 0.158867), (8, 0.0792)])
def test_even_filters_reconstruct_a_signal_up_to_its_ends_and_without_delay(
    bands: int, cutoff: float
) -> None:
    filters = even_pqmf_filters(bands, size=8 * bands, cutoff=cutoff)
    for samples in (bands, 3 * bands, 400 * bands):
        audio = noise(2, 1, samples)
        split = even_pqmf_analysis(audio, filters, stride=bands)
        assert split.shape == (2, bands, samples // bands + 8)
        back = even_pqmf_synthesis(split, filters)
        assert back.shape == audio.shape
        assert db(back - audio, audio) < -45.0  # a few samples vary


def test_the_default_cutoff_is_the_best_one_for_even_filters() -> None:
    audio = noise(1, 1, 40_000)
    errors = []
    for cutoff in (0.1579, 0.158867, 0.1599):
        filters = even_pqmf_filters(cutoff=cutoff)
        back = even_pqmf_synthesis(even_pqmf_analysis(audio, filters, stride=4), filters)
        errors.append(db(back - audio, audio))
    assert errors[1] < min(errors[0], errors[2])


def test_even_filters_are_every_other_coefficient_of_odd_ones_at_twice_the_rate() -> None:
    dense = pqmf_filters(8, taps=62, cutoff=0.158867 / 2)[:4]
    torch.testing.assert_close(even_pqmf_filters(), 2.0 * dense[..., ::2])


@pytest.mark.parametrize("change", [{"bands": 1}, {"size": 28}, {"size": 0}, {"cutoff": 1.0}])
def test_impossible_even_banks_are_named(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="a multiple of twice their number"):
        even_pqmf_filters(**change)  # type: ignore[arg-type]
