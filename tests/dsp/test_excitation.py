"""Pulses, noise and minimum phase: spectra that are known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from vocoder.dsp.excitation import (
    harmonic_sines,
    indexed_noise,
    minimum_phase,
    noise_table,
    pulse_train,
)

RATE = 24000
HOP = 96
FRAMES = 100
SAMPLES = FRAMES * HOP


def lines(cycles: int) -> Tensor:
    """Amplitude at each frequency of pulses that fit `cycles` times in the signal. Shape: [K]."""
    f0 = torch.full((1, FRAMES), cycles * RATE / SAMPLES)
    pulses = pulse_train(f0, hop_length=HOP, sample_rate=RATE)[0]
    assert pulses.shape == (SAMPLES,)
    amplitudes: Tensor = torch.fft.rfft(pulses.double()).abs() * (2 / SAMPLES)
    return amplitudes


def cosine_sum(f0: Tensor) -> Tensor:
    """The definition of `pulse_train`, harmonic by harmonic, in double precision."""
    hz = torch.nn.functional.interpolate(
        f0.double()[:, None], scale_factor=float(HOP), mode="linear"
    )[:, 0]
    turns = (hz / RATE).cumsum(-1)
    highest = torch.floor(0.5 * RATE / hz)
    total = torch.zeros_like(turns)
    for k in range(1, int(highest.max()) + 1):
        total += torch.where(k <= highest, torch.cos(2 * math.pi * k * turns), 0.0)
    return total * 2 * torch.sqrt(hz / RATE)


@pytest.mark.parametrize("cycles", [25, 37, 101, 211, 1000])
def test_spectrum_is_all_harmonics_at_one_level_and_nothing_else(cycles: int) -> None:
    """Aliases of an f0 that does not divide the rate would show between the harmonics: -90 dB."""
    spectrum = lines(cycles)
    harmonics = torch.arange(cycles, SAMPLES // 2, cycles)
    level = 2 * math.sqrt(cycles / SAMPLES)
    torch.testing.assert_close(
        spectrum[harmonics], torch.full((len(harmonics),), level).double(), rtol=1e-3, atol=0.0
    )
    spectrum[harmonics] = 0.0
    # f0 = rate / (2 k) has a harmonic on Nyquist itself, which is not below it.
    assert spectrum[: SAMPLES // 2].max() < level * 10 ** (-90 / 20)


@pytest.mark.parametrize("hz", [65.0, 110.0, 233.7, 590.0])
def test_power_is_that_of_white_noise_at_any_pitch(hz: float) -> None:
    pulses = pulse_train(torch.full((1, 500), hz), hop_length=HOP, sample_rate=RATE)
    assert pulses.square().mean() == pytest.approx(1.0, abs=0.05)


def test_a_moving_f0_gives_the_sum_of_its_harmonics() -> None:
    f0 = 150.0 * 2.0 ** torch.sin(torch.linspace(0.0, 6.0, FRAMES))[None]
    pulses = pulse_train(f0, hop_length=HOP, sample_rate=RATE)
    torch.testing.assert_close(pulses.double(), cosine_sum(f0), rtol=0.0, atol=2e-3)


def test_phase_stays_exact_for_hours() -> None:
    """8192 Hz for 40 seconds is as many cycles as a voice at 100 Hz has in an hour.

    In single precision the phase would be off by a hundredth of a cycle, 6 % of a full-scale error.
    """
    frames = 10_000
    hz, rate = 8192.0, 24000
    f0 = torch.full((1, frames), hz)
    tail = pulse_train(f0, hop_length=HOP, sample_rate=rate)[0, -1000:]
    count = torch.arange(frames * HOP - 999, frames * HOP + 1, dtype=torch.float64)
    # One harmonic fits below Nyquist. The number of cycles is exact: integers over an integer.
    turns = (count * hz).remainder(rate) / rate
    expected = torch.cos(2 * math.pi * turns) * 2 * math.sqrt(hz / rate)
    torch.testing.assert_close(tail.double(), expected, rtol=0.0, atol=1e-3)


def test_sines_are_multiples_of_a_constant_f0() -> None:
    hz = 117.1875  # a float32 holds it exactly
    sines = harmonic_sines(torch.full((1, FRAMES), hz), 5, hop_length=HOP, sample_rate=RATE)
    assert sines.shape == (1, 5, SAMPLES)
    # At the first center, between two samples, the phase of a whole frame has accumulated.
    time = torch.arange(SAMPLES, dtype=torch.float64) + 0.5 + HOP / 2
    turns = hz / RATE * time * torch.arange(1, 6)[:, None]
    inner = slice(HOP // 2, -HOP // 2)
    expected = torch.sin(2 * math.pi * turns)[:, inner]
    torch.testing.assert_close(sines[0, :, inner].double(), expected, rtol=0.0, atol=1e-5)
    # Beyond the outermost centers the phase is constant.
    assert sines[0, :, : HOP // 2].std(dim=-1).max() < 1e-6


def test_sines_hold_their_phase_where_f0_is_zero() -> None:
    f0 = torch.tensor([[200.0] * 10 + [0.0] * 10 + [300.0] * 10])
    sines = harmonic_sines(f0, 3, hop_length=HOP, sample_rate=RATE)[0]
    steps = sines.diff(dim=-1).abs().amax(dim=0)
    silent = slice(int(9.5 * HOP), int(19.5 * HOP) - 1)
    assert steps[silent].max() < 1e-6
    assert steps.max() < 2 * math.pi * 3 * 300.0 / RATE  # nowhere a jump


def test_sines_keep_their_phase_for_an_hour() -> None:
    """As in `test_phase_stays_exact_for_hours`: the number of cycles is known exactly."""
    frames, hz = 10_000, 8192.0
    tail = harmonic_sines(torch.full((1, frames), hz), 1, hop_length=HOP, sample_rate=RATE)
    last = SAMPLES // FRAMES * frames  # after the last center: whole frames have accumulated
    expected = math.sin(2 * math.pi * ((last * hz) % RATE) / RATE)
    assert tail[0, 0, -1].item() == pytest.approx(expected, abs=1e-4)


def test_noise_depends_on_position_only() -> None:
    table = noise_table(1000)
    whole = indexed_noise(table, torch.zeros(2, 2500))
    assert torch.equal(whole[0], whole[1])
    torch.testing.assert_close(whole[0], table.repeat(3)[:2500], rtol=0.0, atol=0.0)
    for start, end in ((0, 1), (1, 999), (999, 2500)):
        part = indexed_noise(table, torch.randn(2, end - start), offset=start)
        assert torch.equal(part, whole[:, start:end])
    shifted = indexed_noise(table, torch.zeros(2, 10), offset=torch.tensor([[0], [995]]))
    assert torch.equal(shifted[1], whole[0, 995:1005])


def test_noise_is_white_gaussian_and_fixed_by_the_seed() -> None:
    noise = noise_table().double()
    assert torch.equal(noise_table(), noise_table())
    assert not torch.equal(noise_table(seed=1), noise_table())
    assert noise.mean().abs() < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert noise.pow(4).mean() == pytest.approx(3.0, abs=0.1)  # Gaussian kurtosis
    power = torch.fft.rfft(noise).abs().square() / len(noise)
    bands = torch.stack([band.mean() for band in power[1:].chunk(16)])
    torch.testing.assert_close(bands, torch.ones_like(bands), rtol=0.08, atol=0.0)


@pytest.mark.parametrize("pole", [0.9, -0.9, 0.5])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_minimum_phase_of_one_pole_or_zero(pole: float, sign: float) -> None:
    """H(z) = (1 - a / z) ** sign is minimum-phase, so its own phase is expected."""
    z = torch.exp(1j * torch.linspace(0.0, math.pi, 513, dtype=torch.float64))
    response = (1.0 - pole / z) ** sign
    log_magnitude = response.abs().log()[None, :, None].expand(2, -1, 3)
    phase = minimum_phase(log_magnitude)
    assert phase.shape == (2, 513, 3)
    torch.testing.assert_close(phase[1, :, 2], response.angle(), rtol=0.0, atol=1e-9)


def test_minimum_phase_filter_is_causal() -> None:
    """A smooth envelope with peaks and dips; its response must decay before it wraps around."""
    bins = torch.linspace(0.0, math.pi, 513, dtype=torch.float64)
    log_magnitude = (torch.cos(3 * bins) - 0.5 * torch.cos(11 * bins))[None, :, None]
    phase = minimum_phase(log_magnitude)
    impulse = torch.fft.irfft(torch.polar(log_magnitude.exp(), phase), dim=1)[0, :, 0]
    assert impulse[512:].abs().max() < 1e-9 * impulse.abs().max()
    front_loaded = impulse[:32].square().sum() / impulse.square().sum()
    assert front_loaded > 0.95
