"""Bins are those of the definition and of librosa; rate changes those of public code."""

import math
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vocoder.dsp.cqt import (
    CQTSpec,
    cqt,
    cqt_kernels,
    double_rate,
    doubling_filters,
    halve_rate,
    halving_filters,
    octave_levels,
)
from vocoder.errors import ConfigError

HALVING, DOUBLING = halving_filters(), doubling_filters()
Complex = NDArray[np.complex128]


def transform(audio: Tensor, spec: CQTSpec) -> Tensor:
    """Shape: [B, T] → [B, octaves, 2, F, K]."""
    levels = octave_levels(audio, HALVING, spec.octaves)
    return cqt(levels, cqt_kernels(spec), hop_length=spec.hop_length)


def complex_bins(audio: NDArray[Any], spec: CQTSpec) -> Complex:
    """Shape: [T] → [octaves, K, F]."""
    real, imaginary = transform(torch.tensor(audio).float()[None], spec)[0].double().unbind(1)
    return torch.complex(real, imaginary).transpose(1, 2).numpy()


def by_definition(audio: NDArray[Any], spec: CQTSpec, frame: int) -> Complex:
    """One frame, each bin a single sum over the signal at its full rate.   Shape: [octaves, K]."""
    lengths, frequencies = spec.lengths().numpy(), spec.frequencies().numpy()
    bins = np.zeros(lengths.shape, dtype=complex)
    for octave, k in np.ndindex(*lengths.shape):
        ratio = 2 ** (spec.octaves - 1 - octave)
        time = np.arange(len(audio)) - frame * spec.hop_length - (ratio - 1) / 2
        length = lengths[-1, k]
        place = time / ratio + math.ceil(length / 2)
        inside = np.flatnonzero((place >= 0) & (place < length))
        window = np.sin(np.pi * place[inside] / length) ** 2
        wave = np.exp(-2j * np.pi * frequencies[octave, k] * time[inside] / spec.sample_rate)
        value = (audio[inside] * window * wave).sum() / window.sum()
        bins[octave, k] = value * math.sqrt(lengths[octave, k])
    return bins


@pytest.mark.parametrize(
    ("sample_rate", "hop_length", "octaves", "bins_per_octave"),
    [(48000, 512, 9, 24), (44100, 256, 9, 12), (32000, 384, 8, 24), (16000, 16, 5, 36)],
)
def test_bins_are_those_of_the_definition(
    sample_rate: int, hop_length: int, octaves: int, bins_per_octave: int
) -> None:
    spec = CQTSpec(
        sample_rate=sample_rate,
        hop_length=hop_length,
        octaves=octaves,
        bins_per_octave=bins_per_octave,
    )
    audio = np.random.default_rng(0).standard_normal(int(2.5 * sample_rate))
    frame = len(audio) // 2 // hop_length
    expected = by_definition(audio, spec, frame)
    error = np.abs(complex_bins(audio, spec)[..., frame] - expected)
    assert error.max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("bins_per_octave", [24, 48])
def test_magnitudes_are_those_of_librosa(bins_per_octave: int) -> None:
    spec = CQTSpec(sample_rate=48000, hop_length=512, octaves=9, bins_per_octave=bins_per_octave)
    audio = np.random.default_rng(1).standard_normal(4 * 48000)
    step = 2 ** (1 / bins_per_octave)
    theirs = librosa.cqt(
        audio,
        sr=48000,
        hop_length=512,
        fmin=32.7,
        n_bins=9 * bins_per_octave,
        bins_per_octave=bins_per_octave,
        filter_scale=spec.quality * (step**2 - 1) / (step**2 + 1),
        norm=1,
        sparsity=0,
        scale=True,
        pad_mode="constant",
    )
    whole = slice(110, -110)  # frames of which even the longest filter lies within the signal
    expected = np.abs(theirs)[:, whole]
    ours = np.abs(complex_bins(audio, spec)).reshape(expected.shape[0], -1)[:, whole]
    error = ours - expected
    shorter = 24 / bins_per_octave
    assert np.abs(error).max() < 0.03 * shorter * expected.max()
    assert np.sqrt(np.square(error).mean() / np.square(expected).mean()) < 0.015 * shorter


def test_noise_is_as_loud_in_every_octave() -> None:
    spec = CQTSpec(sample_rate=16000, hop_length=64, octaves=7)
    noise = torch.randn(8, 40000, generator=torch.Generator().manual_seed(0))
    bins = transform(noise, spec)[:, :, :, 150:-150]
    power = bins.square().sum(2).mean((0, 2, 3))  # a Hann window of unit sum: 1.5 / length
    assert torch.allclose(power, torch.tensor(1.5), rtol=0.1)


@pytest.mark.parametrize(("octave", "k"), [(0, 0), (3, 7), (8, 23)])
def test_sine_is_loudest_in_its_bin(octave: int, k: int) -> None:
    spec = CQTSpec(sample_rate=48000, hop_length=256)
    frequency = spec.frequencies()[octave, k]
    sine = torch.sin(2 * math.pi * frequency * torch.arange(4 * 48000) / 48000)
    frame = transform(sine.float()[None], spec)[0, :, :, 375].square().sum(1).sqrt()
    assert frame.argmax() == octave * 24 + k
    assert frame.max().item() == pytest.approx(
        spec.lengths()[octave, k].sqrt().item() / 2, rel=0.01
    )


@pytest.mark.parametrize("samples", [1, 15, 16, 17, 63, 64, 65, 1000, 1023])
def test_frames_and_levels_of_any_length(samples: int) -> None:
    spec = CQTSpec(sample_rate=8000, hop_length=48, octaves=5, bins_per_octave=12)
    audio = torch.randn(2, samples, generator=torch.Generator().manual_seed(0)).requires_grad_()
    levels = octave_levels(audio, HALVING, 5)
    assert [level.shape for level in levels] == [(2, max(samples, 16) >> o) for o in range(5)]
    bins = cqt(levels, cqt_kernels(spec), hop_length=48)
    assert bins.shape == (2, 5, 2, max(samples, 16) // 48 + 1, 12)
    (gradient,) = torch.autograd.grad(bins.square().sum(), audio)
    assert gradient.isfinite().all() and (gradient != 0).any()


def test_an_octave_does_not_depend_on_those_above() -> None:
    noise = torch.randn(1, 3000, generator=torch.Generator().manual_seed(0))
    levels = octave_levels(noise, HALVING, 6)
    kernels = cqt_kernels(CQTSpec(sample_rate=16000, hop_length=64, octaves=6))
    whole = cqt(levels, kernels, hop_length=64)
    below = cqt(levels[1:], kernels[:5], hop_length=32)
    torch.testing.assert_close(below, whole[:, :5])


def test_silence_has_zero_bins() -> None:
    spec = CQTSpec(sample_rate=16000, hop_length=64, octaves=7)
    assert (transform(torch.zeros(1, 999), spec) == 0).all()


def test_low_pass_is_that_of_nnaudio() -> None:
    """Whose design has a transition of 0.1 % instead of none: taps differ by 7e-7 at most."""
    frequencies = [0.0, 0.5 / 1.001, 0.5 * 1.001, 1.0]
    expected = scipy.signal.firwin2(256, frequencies, [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(HALVING[:256, 0].numpy(), expected, atol=1e-6)


def test_interpolation_is_that_of_torchaudio() -> None:
    try:
        from torchaudio.transforms import Resample
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"torchaudio cannot be loaded here: {str(error).splitlines()[0]}")
    audio = torch.randn(3, 517)
    torch.testing.assert_close(double_rate(audio, DOUBLING), Resample(1, 2)(audio))


@pytest.mark.parametrize("samples", [2, 3, 31, 32, 33, 64, 127, 128, 129, 400])
def test_rate_changes_by_blocks_are_convolutions(samples: int) -> None:
    audio = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    halved = F.conv1d(F.pad(audio[:, None], (127, 128)), HALVING[None, None, :256, 0], stride=2)
    torch.testing.assert_close(halve_rate(audio, HALVING), halved[:, 0, : samples // 2])
    phases = F.conv1d(audio[:, None], DOUBLING[:15, :2].T[:, None], padding=7)
    doubled = phases.transpose(1, 2).flatten(1)
    torch.testing.assert_close(double_rate(audio, DOUBLING), doubled)


@pytest.mark.parametrize("cycles", [0.01, 0.1, 0.2, 0.23])
def test_sines_keep_their_level_at_other_rates(cycles: float) -> None:
    def sine(cycles: float, time: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * cycles * time)[None]

    time = torch.arange(2000, dtype=torch.float64)
    audio = sine(cycles, time).float()
    halved = halve_rate(audio, HALVING)[:, 100:-100]
    expected = sine(cycles, 2 * time[:1000] + 0.5).float()[:, 100:-100]
    torch.testing.assert_close(halved, expected, rtol=0.0, atol=3e-3)
    doubled = double_rate(audio, DOUBLING)[:, 50:-50]
    expected = sine(cycles, torch.arange(4000) / 2).float()[:, 50:-50]
    torch.testing.assert_close(doubled, expected, rtol=0.0, atol=1e-2)


def test_frequencies_above_the_new_nyquist_are_removed() -> None:
    high = torch.sin(2 * math.pi * 0.27 * torch.arange(2000, dtype=torch.float64)).float()[None]
    assert halve_rate(high, HALVING)[:, 100:-100].abs().max() < 3e-3


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"hop_length": 384}, "multiple of 256"),
        ({"sample_rate": 32000}, "set octaves to 8 or less"),
        ({"sample_rate": 8000}, "set octaves to 6 or less"),
        ({"octaves": 0}, "positive"),
        ({"bins_per_octave": 0}, "positive"),
        ({"f_min": 0.0}, "positive"),
    ],
)
def test_impossible_sizes_are_named(changes: dict[str, Any], fix: str) -> None:
    with pytest.raises(ConfigError, match=fix):
        CQTSpec(**({"sample_rate": 48000, "hop_length": 512} | changes))


@pytest.mark.parametrize("sample_rate", [16000, 22050, 24000, 32000, 44100, 48000])
def test_error_names_the_largest_number_of_octaves_that_fits(sample_rate: int) -> None:
    with pytest.raises(ConfigError, match="set octaves to") as refused:
        CQTSpec(sample_rate=sample_rate, hop_length=1 << 20, octaves=12)
    fitting = int(str(refused.value).split("set octaves to ")[1].split()[0])
    CQTSpec(sample_rate=sample_rate, hop_length=1 << 20, octaves=fitting)
    with pytest.raises(ConfigError, match="set octaves to"):
        CQTSpec(sample_rate=sample_rate, hop_length=1 << 20, octaves=fitting + 1)
