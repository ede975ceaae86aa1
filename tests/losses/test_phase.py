"""Phase losses: the papers' formulas above the floor, bounded gradients below, invariances."""

import math
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vocoder.dsp.phase import (
    FLOOR,
    consistency,
    group_delay,
    instantaneous_frequency,
    instantaneous_phase,
)
from vocoder.dsp.stft import Padding, hann_window, istft, stft
from vocoder.errors import ConfigError
from vocoder.losses.phase import GroupDelay, InstantaneousFrequency, InstantaneousPhase

DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "phase": instantaneous_phase,
    "delay": group_delay,
    "frequency": instantaneous_frequency,
}
LOSSES: dict[str, nn.Module] = {
    "phase": InstantaneousPhase(),
    "delay": GroupDelay(),
    "frequency": InstantaneousFrequency(),
}
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spectral_losses.npz")
Bins = NDArray[np.complex128]


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)


def papers(name: str, fake: Bins, real: Bins, floor: float = 1e-300) -> float:
    """Lu et al. 2024 in double; bins whose magnitude is below `floor` are weighted by it."""
    error = np.angle(fake) - np.angle(real)
    weight = np.minimum(1.0, np.abs(fake) / floor) * np.minimum(1.0, np.abs(real) / floor)
    if name != "phase":
        axis = {"delay": -2, "frequency": -1}[name]
        error = np.diff(error, axis=axis)
        weight = np.delete(weight, 0, axis) * np.delete(weight, -1, axis)
    return float((weight * np.abs(error - 2 * np.pi * np.round(error / (2 * np.pi)))).mean())


def analysis(audio: NDArray[np.float64]) -> Bins:
    spectrum = librosa.stft(audio, n_fft=1024, hop_length=80, win_length=320, pad_mode="reflect")
    return np.asarray(spectrum)


@pytest.mark.parametrize("name", DISTANCES)
def test_above_the_floor_distances_are_the_papers_formulas(name: str) -> None:
    fake, real = noise(2, 3, 65, 20)
    fake, real = (x + 10 * FLOOR * x.sgn() for x in (fake, real))
    expected = papers(name, fake.to(torch.complex128).numpy(), real.to(torch.complex128).numpy())
    assert DISTANCES[name](fake, real).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_speech_are_those_of_an_independent_computation(name: str) -> None:
    fake, real = (GOLDEN[key] for key in ("fake", "real"))  # [T]: speech with noise, and speech
    value = LOSSES[name](torch.tensor(fake)[None, None], torch.tensor(real)[None, None]).item()
    fake, real = (analysis(audio.astype(np.float64)) for audio in (fake, real))
    assert value == pytest.approx(papers(name, fake, real, FLOOR), rel=1e-4)
    assert value == pytest.approx(papers(name, fake, real), rel=0.02)


@pytest.mark.parametrize(("name", "power"), [("phase", 1), ("delay", 2), ("frequency", 2)])
def test_below_the_floor_a_bin_is_weighted_by_its_magnitude(name: str, power: int) -> None:
    fake, real = noise(2, 1, 33, 9).sgn()
    half = DISTANCES[name](0.5 * FLOOR * fake, real)
    assert half.item() == pytest.approx(0.5**power * DISTANCES[name](fake, real).item(), rel=1e-4)


@pytest.mark.parametrize(("name", "uses"), [("phase", 1), ("delay", 2), ("frequency", 2)])
@pytest.mark.parametrize("level", [0.0, 1e-38, 1e-20, 1e-10, 0.1 * FLOOR, 0.999 * FLOOR, 1.0])
def test_gradient_is_bounded_at_every_level(name: str, uses: int, level: float) -> None:
    fake, real = noise(2, 1, 17, 40)
    fake = (level * fake.sgn()).requires_grad_()
    DISTANCES[name](fake, real).backward()
    assert fake.grad is not None
    largest = fake.grad.abs().max().item() * fake.numel()  # of a bin's own share in the mean
    assert largest <= 1.1 * uses * math.hypot(1.0, math.pi) / FLOOR


def test_silence_has_zero_distance() -> None:
    fake, real = noise(2, 1, 17, 9)
    for distance in DISTANCES.values():
        assert distance(fake, torch.zeros_like(real)).item() == 0.0
        assert distance(torch.zeros_like(fake), real).item() == 0.0


def test_polarity_and_gain() -> None:
    real = torch.randn(1, 1, 3000, generator=torch.Generator().manual_seed(0))
    assert LOSSES["phase"](-real, real).item() == pytest.approx(math.pi, rel=1e-3)
    assert LOSSES["delay"](-real, real).item() == LOSSES["frequency"](-real, real).item() == 0.0
    for loss in LOSSES.values():
        assert loss(0.5 * real, real).item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(("name", "axis"), [("delay", 0), ("frequency", 1)])
@pytest.mark.parametrize("step", [0.3, 4.0])
def test_a_phase_slope_along_one_axis_changes_one_distance(
    name: str, axis: int, step: float
) -> None:
    slope = step * torch.stack(torch.meshgrid(torch.arange(33), torch.arange(9), indexing="ij"))
    real = noise(1, 33, 9)
    fake = real * torch.polar(torch.ones(33, 9), slope[axis])
    other = {"delay": "frequency", "frequency": "delay"}[name]
    wrapped = min(step, 2 * math.pi - step)
    assert DISTANCES[name](fake, real).item() == pytest.approx(wrapped, rel=1e-4)
    assert DISTANCES[other](fake, real).item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_one_sample_is_long_enough(name: str) -> None:
    loss = LOSSES[name](torch.full((1, 1, 1), 0.5), torch.ones(1, 1, 1))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_a_resolution_that_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigError, match=r"resolution \[512, 600, 240\]"):
        GroupDelay(resolution=[512, 600, 240])


@pytest.mark.parametrize("padding", ["same", "center"])
def test_only_spectra_of_signals_are_consistent(padding: Padding) -> None:
    window = hann_window(64, 64)

    def inconsistency(spectrum: Tensor) -> float:
        return consistency(spectrum, window, hop_length=16, padding=padding).item()

    arbitrary = noise(2, 33, 12)
    audio = istft(arbitrary, window, hop_length=16, padding=padding)
    assert inconsistency(arbitrary) > 0.1
    assert inconsistency(stft(audio, window, hop_length=16, padding=padding)) < 1e-12
    assert inconsistency(0.1 * arbitrary) == pytest.approx(0.01 * inconsistency(arbitrary))


def test_consistency_is_that_of_librosa() -> None:
    spectrum = noise(513, 30)
    audio = librosa.istft(spectrum.numpy(), hop_length=80, win_length=320)
    error = analysis(audio) - spectrum.numpy()
    value = consistency(spectrum[None], hann_window(320, 1024), hop_length=80)
    assert value.item() == pytest.approx(float((np.abs(error) ** 2).mean()) / 2, rel=1e-4)


def test_consistency_trains_a_spectrum() -> None:
    window = hann_window(64, 64)
    spectrum = noise(1, 33, 12).requires_grad_()
    before = consistency(spectrum, window, hop_length=16)
    (gradient,) = torch.autograd.grad(before, spectrum)
    assert consistency(spectrum - 0.1 * gradient, window, hop_length=16) < before
    silence = torch.zeros(1, 33, 12, dtype=torch.complex64, requires_grad=True)
    consistency(silence, window, hop_length=16).backward()
    assert silence.grad is not None and silence.grad.abs().max() == 0.0
