"""The kernels between transforms compute what the plain code does, to the bit."""

import pytest
import torch
from torch import Tensor

pytest.importorskip("llvmlite")

from vocoder.dsp.stft import hann_window, istft, magnitude, stft
from vocoder.kernels import spectrogram as kernels

N_FFT, HOP, FRAMES = 1024, 256, 7
WINDOW = hann_window(N_FFT, N_FFT)
MARGIN = (N_FFT - HOP) // 2


@pytest.fixture
def signal() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(FRAMES * HOP)


@pytest.fixture
def bins(signal: Tensor) -> Tensor:
    return stft(signal[None], WINDOW, hop_length=HOP)[0].mT.contiguous()


def test_frames_of_the_reflected_signal_have_its_spectrogram(signal: Tensor, bins: Tensor) -> None:
    padded = torch.full((len(signal) + 2 * MARGIN,), torch.nan)
    padded[MARGIN:-MARGIN] = signal
    frames = torch.empty(FRAMES, N_FFT)
    kernels.reflected_frames(frames, padded, WINDOW, HOP)
    assert torch.equal(torch.fft.rfft(frames), bins)


def test_magnitudes(bins: Tensor) -> None:
    bins[2] = 0.0
    assert torch.equal(kernels.magnitudes(bins, 371), magnitude(bins[:, :371]))


def test_scale(bins: Tensor) -> None:
    gain = torch.rand(bins.shape)
    expected = bins * gain
    kernels.scale(bins, gain)
    assert torch.equal(bins, expected)


@pytest.mark.parametrize("count", [1, 16, 83])
def test_ratios(count: int) -> None:
    target, current = (10.0 ** torch.empty(count).uniform_(-9, 2) for _ in range(2))
    expected = (target / current.clamp_min(1e-6)).clamp(1e-3, 1e3)
    assert torch.equal(kernels.ratios(target, current), expected)


def test_synthesis_with_momentum(bins: Tensor) -> None:
    audio, ahead, before = torch.empty(FRAMES * HOP), torch.empty(FRAMES * HOP), torch.randn(1792)
    frames = torch.fft.irfft(bins, n=N_FFT)
    expected = istft(bins.mT[None], WINDOW, hop_length=HOP)[0]
    kernels.synthesis(audio, ahead, frames, WINDOW, before=before, momentum=0.5)
    assert torch.equal(audio, expected)
    assert torch.equal(ahead, expected + 0.5 * (expected - before))


def test_other_sizes_have_no_kernels() -> None:
    assert kernels.fits(1024, 256)
    assert not kernels.fits(1024, 300)
