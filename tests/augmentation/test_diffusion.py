"""The diffusion chain, and the spectrum of its noise."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vocoder.augmentation.diffusion import Diffusion, SpectralDiffusion, signal_share
from vocoder.dsp.stft import stft
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import read_audio

MEL = MelSpec.preset("hifigan_22k_80")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def speech(clips: list[Path]) -> Tensor:
    """A recording at the rate of `MEL`.   Shape: [1, 1, 8192]."""
    path = next(path for path in clips if path.parent.name == "lj")
    return read_audio(path, start=10000, frames=8192)[0][None]


@pytest.mark.parametrize("length", [1, 10, 505, 1000])
def test_share_is_the_product_over_the_steps(length: int) -> None:
    share, left = [1.0], 1.0
    for step in range(length):
        fraction = step / (length - 1) if length > 1 else 0.0
        left *= 1.0 - (1e-6 + fraction * (0.01 - 1e-6))
        share.append(left)
    np.testing.assert_allclose(signal_share(length).numpy(), share, rtol=1e-12)


@pytest.mark.parametrize(("p", "length"), [(0.0, 10), (0.5, 505), (1.0, 1000)])
def test_chain_grows_with_the_strength(p: float, length: int) -> None:
    assert Diffusion(boundary=0.5, p=p).length == length


def test_half_the_items_stay_clean_and_late_steps_are_more_probable() -> None:
    steps = Diffusion(boundary=0.5, t_min=5, t_max=5).draw_steps(60_000)
    share = torch.bincount(steps) / len(steps)
    expected = [0.5, *(0.5 * t / 15 for t in range(1, 6))]
    np.testing.assert_allclose(share.numpy(), expected, atol=0.01)


def test_clean_items_are_unchanged_and_noise_has_the_stated_power() -> None:
    real, fake = torch.zeros(2, 200, 1, 1000).unbind()
    module = Diffusion(boundary=0.5, noise_std=0.3, t_min=40, t_max=40)
    a, b = module([real, fake + 1.0], {})
    clean = (a == 0.0).all(-1).flatten()
    assert 60 < clean.sum() < 140
    assert torch.equal(b[clean], torch.ones_like(b[clean]))
    # Both signals have the same number of steps item by item: power 0.3² (1 - share), level √share.
    power, level = a.square().mean((1, 2)), b.mean((1, 2))
    torch.testing.assert_close(power, 0.09 * (1.0 - level.square()), rtol=0.3, atol=0.002)
    assert ((a - b + 1.0).abs().amax((1, 2)) > 0.0)[~clean].all()  # the noise is not shared


def test_spectral_diffusion_scales_the_call_to_full_scale_and_preserves_relative_levels() -> None:
    audio = 0.1 * torch.randn(16, 1, 8192)
    real, fake = SpectralDiffusion(MEL, boundary=0.5, p=0.3)(
        [audio, 0.5 * audio], {"mel": MelSpectrogram(MEL)(audio)}
    )
    assert torch.stack([real, fake]).abs().max() == 1.0
    gain = (real / audio).flatten(1)
    clean = gain.std(1) < 1e-6
    assert clean.any() and not clean.all()
    torch.testing.assert_close(fake[clean], 0.5 * real[clean])
    assert gain[clean].std() < 1e-6


def test_silence_is_not_scaled_up() -> None:
    module = SpectralDiffusion(MEL, boundary=0.5)
    quiet = 1e-6 * torch.ones(1, 1, 2048)
    mel = MelSpectrogram(MEL)(quiet)
    runs = [module([quiet], {"mel": mel})[0] for _ in range(30)]
    least = min(x.abs().max().item() for x in runs)  # of the clean ones
    assert least == pytest.approx(1e-4, rel=0.01)


def test_envelope_is_the_published_one(speech: Tensor) -> None:
    """The definition, in double precision: one-sided cepstrum, coefficients 0 … 23, plus 0.01."""
    mel = MelSpectrogram(MEL)(speech[..., :4096])
    spectrum = np.linalg.pinv(MelSpectrogram(MEL).filterbank.double().numpy()) @ np.exp(
        mel[0].double().numpy()
    )
    log = np.log(np.maximum(spectrum, 1e-5))
    bins = np.arange(log.shape[0])
    waves = np.exp(2j * np.pi * np.outer(np.arange(24), bins) / len(bins))
    smooth = (waves.conj().T @ (waves @ log / len(bins))).real
    envelope = SpectralDiffusion(MEL, boundary=0.5).log_envelope(mel)[0]
    np.testing.assert_allclose(envelope.numpy(), np.log(np.exp(smooth) + 0.01), atol=2e-3)


def test_noise_is_shaped_by_the_inverse_of_the_envelope(speech: Tensor) -> None:
    """In every bin and frame: its level and the envelope's add up to that of white noise."""
    module = SpectralDiffusion(MEL, boundary=0.5)
    mel = MelSpectrogram(MEL)(speech)
    noise = module.noise(torch.empty(64, 1, 1, 8192), {"mel": mel})
    bins = stft(noise[:, 0, 0], module.window, hop_length=MEL.hop_length)
    level = 0.5 * bins.abs().square().mean(0).log()
    envelope = module.log_envelope(mel)[0]
    white = 0.5 * math.log(module.window.square().sum().item())
    inner = slice(2, -2)  # frames at the ends include reflected samples
    assert torch.corrcoef(torch.stack([level.flatten(), envelope.flatten()]))[0, 1] < -0.95
    error = (level + envelope - white)[:, inner]
    assert error.abs().mean() < 0.15  # nepers: 1.3 dB


def test_noise_is_as_loud_at_the_edges_and_after_the_last_hop() -> None:
    module = SpectralDiffusion(MEL, boundary=0.5)
    samples = 1024 + 200
    mel = torch.full((1, 80, MEL.frames(samples)), -2.0)
    noise = module.noise(torch.empty(400, 1, 1, samples), {"mel": mel})[:, 0, 0]
    power = noise.square().mean(0)
    for part in (power[:100], power[-200:]):
        assert part.mean().item() == pytest.approx(power.mean().item(), rel=0.1)
