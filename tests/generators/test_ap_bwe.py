"""AP-BWE: published losses from one pass, and streams of signals whose phases are ±π."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.generators.bandwidth_extension.ap_bwe import APBWE, OFFSET
from vocoder.streaming.plan import Plan

SIZES = {"channels": 8, "hidden": 12, "blocks": 2, "n_fft": 64, "hop_length": 8, "win_length": 32}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def generator() -> APBWE:
    torch.manual_seed(0)
    return APBWE(**SIZES, cutoff_range=[4000.0, 4000.0])


def stft(audio: Tensor) -> Tensor:
    window = torch.hann_window(32)
    return torch.stft(audio[:, 0], 64, 8, 32, window, center=True, return_complex=True)


def wrapped(angles: Tensor) -> Tensor:
    """Mean distance to the nearest multiple of 2 π."""
    return (angles - 2 * math.pi * torch.round(angles / (2 * math.pi))).abs().mean()


def test_losses_are_the_published_ones(generator: APBWE) -> None:
    real, given = torch.randn(2, 2, 1, 160)
    log_amplitude, direction = generator.spectrum(given)
    bins = stft(real)
    error = direction.angle() - bins.angle()
    fake = log_amplitude.exp() * direction
    target = torch.polar(bins.abs() + OFFSET, bins.angle())
    audio = torch.istft(fake, 64, 8, 32, torch.hann_window(32), center=True)[:, None]
    expected = {
        "log_amplitude": F.mse_loss(log_amplitude, torch.log(bins.abs() + OFFSET)),
        "instantaneous_phase": wrapped(error),
        "group_delay": wrapped(error.diff(dim=1)),
        "instantaneous_frequency": wrapped(error.diff(dim=2)),
        "complex": F.mse_loss(torch.view_as_real(fake), torch.view_as_real(target)),
        "consistency": F.mse_loss(torch.view_as_real(fake), torch.view_as_real(stft(audio))),
    }
    torch.testing.assert_close(generator.auxiliary(real, narrowband=given), expected)
    torch.testing.assert_close(generator(given), audio, rtol=0.0, atol=1e-5)


def test_audio_and_losses_take_one_pass(generator: APBWE) -> None:
    real, given = torch.randn(2, 2, 1, 160)
    passes: list[Tensor] = []
    hook = generator.to_gain.register_forward_hook(lambda _, __, made: passes.append(made))
    audio, losses = generator.with_losses(real, narrowband=given)
    hook.remove()
    assert len(passes) == 1
    assert torch.equal(audio, generator(given))
    assert losses == generator.auxiliary(real, narrowband=given)


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_losses_of_silence_are_finite(generator: APBWE, level: float) -> None:
    given = level * torch.randn(2, 1, 160)
    losses = generator.auxiliary(torch.zeros(2, 1, 160), narrowband=given)
    torch.stack([*losses.values()]).sum().backward()
    for parameter in generator.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_amplitudes_are_added_to_those_given(generator: APBWE) -> None:
    torch.nn.init.zeros_(generator.to_gain.weight)
    torch.nn.init.zeros_(generator.to_gain.bias)
    given = torch.randn(1, 1, 160)
    assert generator.auxiliary(given, narrowband=given)["log_amplitude"] == 0.0


@pytest.mark.usefixtures("plain_kernels")
def test_stream_equals_one_call_for_phases_of_plus_or_minus_pi(generator: APBWE) -> None:
    generator.freeze()
    examples = [0.1 * torch.randn(items, 1, 8 * hops) for items, hops in ((2, 3), (1, 4))]
    plan = Plan(generator, *({"narrowband": example} for example in examples))
    level = torch.zeros(1, 1, 400)
    level[..., 100:250] = -0.5  # even: its spectra are real, but for rounding
    states, made = plan.begin(), []
    with torch.inference_mode():
        for begin in range(0, 400, 7):
            piece, last = level[..., begin : begin + 7], begin + 7 >= 400
            audio, states = plan.step(states, [piece], last=last)
            made += [] if audio is None else [audio]
        whole = generator(level)
    assert (torch.cat(made, dim=-1) - whole).abs().max() <= 1e-5 * whole.abs().max()


@pytest.mark.parametrize("wrong", [{"n_fft": 63}, {"win_length": 65}, {"hop_length": 33}])
def test_windows_that_do_not_fit_are_an_error(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="win_length"):
        APBWE(**{**SIZES, **wrong}, cutoff_range=[4000.0, 4000.0])
