"""Discriminators of short-time spectra against reference implementations."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.discriminators.spectral.amplitude_phase import MultiAmplitude, MultiPhase, phase
from vocoder.discriminators.spectral.band import MultiBand, levelled
from vocoder.discriminators.spectral.complex_stft import MultiScaleComplexSTFT
from vocoder.discriminators.spectral.resolution import MultiResolution
from vocoder.discriminators.spectral.spectrum import Spectrum

TWO = ((128, 32, 128), (64, 16, 60))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def reference(
    discriminator: nn.Module, x: Tensor, layers: list[tuple[int, ...]], slope: float
) -> Tensor:
    """Reference of a discriminator's layers, given as (stride, padding, dilation) by axis."""
    for conv, (*stride, up, across, dilation) in zip(discriminator.convs, layers, strict=True):
        x = F.conv2d(x, conv.weight, conv.bias, stride, (up, across), (dilation, 1))
        x = F.leaky_relu(x, slope)
    return F.conv2d(
        x, discriminator.conv_post.weight, discriminator.conv_post.bias, padding=1
    ).flatten(1)


def centered(audio: Tensor, n_fft: int, hop_length: int, window: Tensor) -> Tensor:
    return torch.stft(
        audio[:, 0], n_fft, hop_length, len(window), window, center=True, return_complex=True
    )


@pytest.mark.parametrize("samples", [300, 1237])
def test_hann_resolution_is_the_published_one(samples: int) -> None:
    audio = torch.randn(2, 1, samples)
    model = MultiResolution(
        resolutions=TWO, channels=4, window="hann", padding="center", halved="frequency"
    ).eval()
    layers = [(1, 1, 1, 4, 1), *[(1, 2, 1, 4, 1)] * 3, (1, 1, 1, 1, 1)]
    for discriminator, (n_fft, hop, win) in zip(model.discriminators, TWO, strict=True):
        spectrogram = centered(audio, n_fft, hop, torch.hann_window(win)).abs().mT[:, None]
        expected = reference(discriminator, spectrogram, layers, 0.1)
        torch.testing.assert_close(discriminator(audio).logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("samples", [128, 1237])
def test_complex_scales_are_the_published_ones(samples: int) -> None:
    audio = torch.randn(2, 1, samples)
    model = MultiScaleComplexSTFT(resolutions=TWO, channels=4).eval()
    layers = [(1, 1, 1, 4, 1), *((1, 2, d, 4, d) for d in (1, 2, 4)), (1, 1, 1, 1, 1)]
    for discriminator, (n_fft, hop, win) in zip(model.discriminators, TWO, strict=True):
        window = torch.hann_window(win)
        bins = (
            torch.stft(audio[:, 0], n_fft, hop, win, window, center=False, return_complex=True)
            / window.square().sum().sqrt()
        )  # [B, K, F]
        parts = torch.view_as_real(bins).permute(0, 3, 2, 1)  # [B, 2, F, K]
        expected = reference(discriminator, parts, layers, 0.2)
        torch.testing.assert_close(discriminator(audio).logits, expected, atol=1e-5, rtol=1e-4)
    assert not hasattr(discriminator.convs[0], "parametrizations")


@pytest.mark.parametrize(("kind", "view"), [(MultiAmplitude, torch.abs), (MultiPhase, torch.angle)])
def test_amplitude_and_phase_are_the_published_ones(
    kind: type[MultiAmplitude], view: Callable[[Tensor], Tensor]
) -> None:
    audio = torch.randn(2, 1, 1237)
    model = kind(resolutions=TWO, channels=4).eval()
    layers = [(2, 2, 3, 2, 1), (2, 1, 2, 1, 1), (2, 2, 2, 1, 1), (2, 1, 1, 1, 1), (2, 2, 1, 1, 1)]
    for discriminator, (n_fft, hop, win) in zip(model.discriminators, TWO, strict=True):
        spectrum = view(centered(audio, n_fft, hop, torch.ones(win)))[:, None]
        expected = reference(discriminator, spectrum, layers, 0.1)
        torch.testing.assert_close(discriminator(audio).logits, expected, atol=1e-5, rtol=1e-4)


def test_bands_are_the_published_ones() -> None:
    audio = torch.randn(2, 1, 1237) + 0.3
    level = 0.8 * (audio - audio.mean(-1, keepdim=True))
    level = level / (audio - audio.mean(-1, keepdim=True)).abs().amax(-1, keepdim=True)
    model = MultiBand(win_lengths=(128, 64), channels=4).eval()
    for discriminator, win, cuts in zip(
        model.discriminators,
        (128, 64),
        [(0, 6, 16, 32, 48, 65), (0, 3, 8, 16, 24, 33)],
        strict=True,
    ):
        bins = centered(level, win, win // 4, torch.hann_window(win))
        parts = torch.view_as_real(bins).permute(0, 3, 2, 1)  # [B, 2, F, K]
        maps, ends = [], []
        for convs, low, high in zip(discriminator.band_convs, cuts, cuts[1:], strict=False):
            x = parts[..., low:high]
            for conv, stride in zip(convs, (1, 2, 2, 2, 1), strict=True):
                padding = [size // 2 for size in conv.kernel_size]
                x = F.leaky_relu(F.conv2d(x, conv.weight, conv.bias, (1, stride), padding), 0.1)
                maps.append(x)
            ends.append(x)
        expected = [x for index, x in enumerate(maps) if index % 5]
        post = discriminator.conv_post
        expected.append(F.conv2d(torch.cat(ends, -1), post.weight, post.bias, padding=1))
        feature_maps = discriminator(levelled(audio)).feature_maps
        assert len(feature_maps) == 21
        for ours, theirs in zip(feature_maps, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_bands_ignore_level_and_offset() -> None:
    audio = torch.randn(1, 2, 999)
    model = MultiBand(win_lengths=(64,), channels=4, audio_channels=2).eval()
    for output, other in zip(model(audio), model(0.01 * audio + 3.0), strict=True):
        torch.testing.assert_close(output.logits, other.logits, atol=1e-3, rtol=1e-3)
    peaks = levelled(torch.stack([audio[0], audio[0] * torch.tensor([[1.0], [0.1]])])).abs()
    assert peaks.amax((1, 2)).tolist() == pytest.approx([0.8, 0.8])
    assert peaks[1, 1].max() < 0.2  # the balance between channels is preserved


def test_frames_of_the_two_paddings_lie_half_a_hop_apart() -> None:
    audio = torch.zeros(1, 1, 640)
    audio[..., 320] = 1.0
    window = torch.hann_window(128)
    energy = [
        Spectrum(window, hop_length=32, padding=padding)(audio).abs().square().sum((0, 1, 2))
        for padding in ("center", "same")
    ]
    assert [len(frames) for frames in energy] == [21, 20]
    assert energy[0].argmax() == 10  # centered on sample 320
    torch.testing.assert_close(energy[1][9], energy[1][10])  # on 304 and 336


def test_phase_of_silence_is_zero_and_that_of_tiny_bins_has_a_finite_gradient() -> None:
    audio = torch.tensor([0.0, 1e-30, 1e-15, 1e-8, -1.0]).requires_grad_()
    angle = phase(torch.complex(audio, torch.zeros(5)))
    assert angle.tolist() == pytest.approx([0.0, 0.0, 0.0, 0.0, math.pi])
    imaginary = torch.zeros(4).requires_grad_()
    phase(torch.complex(audio[:4].detach(), imaginary)).sum().backward()
    assert imaginary.grad is not None
    assert imaginary.grad.tolist() == pytest.approx([0.0, 0.0, 0.0, 1e8], rel=1e-4)
