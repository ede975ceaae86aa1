"""Laws of the resampler: lengths, tones, no aliases and images, gradients, any filter."""

import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vocoder.dsp.resample import resample
from vocoder.errors import AudioError, ConfigError
from vocoder.io import audio as files

PAIRS = [*permutations((8000, 11025, 24000, 44100, 48000), 2), (22050, 16000), (32000, 12000)]
FADE = 0.1  # seconds


def sweep(rate: int, low: float, high: float) -> Tensor:
    """A second of a tone that glides between two frequencies, with soft ends."""
    time = torch.arange(rate, dtype=torch.float64) / rate
    ramp = torch.sin(torch.minimum(time, 1.0 - time).div(FADE).clamp(0.0, 1.0) * (math.pi / 2))
    smooth = torch.sin(ramp.square() * (math.pi / 2)).square()
    return smooth * torch.sin(2 * math.pi * (low + (high - low) / 2 * time) * time)


def peak_db(audio: Tensor) -> float:
    return 20.0 * math.log10(float(audio.abs().max()))


def above(audio: Tensor, rate: int, cutoff: float) -> Tensor:
    """Content above a frequency."""
    spectrum = torch.fft.rfft(audio)
    spectrum[torch.fft.rfftfreq(len(audio), 1 / rate) < cutoff] = 0.0
    return torch.fft.irfft(spectrum, n=len(audio))


def direct(
    audio: Tensor, orig_rate: int, new_rate: int, zeros: int, rolloff: float, beta: float
) -> Tensor:
    """The definition: every output is a sum over all inputs, at their distances in time."""
    cutoff = min(orig_rate, new_rate) * rolloff
    outputs = np.arange(round(len(audio) * new_rate / orig_rate))[:, None] / new_rate
    crossings = (np.arange(len(audio)) / orig_rate - outputs) * cutoff
    inside = np.sqrt(np.clip(1.0 - (crossings / zeros) ** 2, 0.0, None))
    window = np.i0(beta * inside) / np.i0(beta) * (np.abs(crossings) < zeros)
    return torch.from_numpy((np.sinc(crossings) * window * cutoff / orig_rate) @ audio.numpy())


@pytest.mark.parametrize(("orig_rate", "new_rate"), PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frequencies_below_both_nyquist_frequencies_pass(
    orig_rate: int, new_rate: int, dtype: torch.dtype
) -> None:
    low = min(orig_rate, new_rate) / 2
    converted = resample(sweep(orig_rate, 0.0, 0.91 * low).to(dtype), orig_rate, new_rate)
    assert converted.dtype == dtype
    assert peak_db(converted.double() - sweep(new_rate, 0.0, 0.91 * low)) < -97.0


@pytest.mark.parametrize(("orig_rate", "new_rate"), PAIRS)
def test_no_alias_and_no_image(orig_rate: int, new_rate: int) -> None:
    if new_rate < orig_rate:
        alias = resample(sweep(orig_rate, new_rate / 2, orig_rate / 2), orig_rate, new_rate)
        assert peak_db(alias) < -97.0
    else:
        converted = resample(sweep(orig_rate, 0.0, orig_rate / 2), orig_rate, new_rate)
        assert peak_db(above(converted, new_rate, orig_rate / 2)) < -97.0


@pytest.mark.parametrize(("orig_rate", "new_rate"), [(8000, 48000), (48000, 8000), (44100, 48000)])
def test_the_pass_band_is_flat(orig_rate: int, new_rate: int) -> None:
    frequency = 0.917 * min(orig_rate, new_rate) / 2
    tone = torch.sin(
        2 * math.pi * frequency / orig_rate * torch.arange(orig_rate, dtype=torch.float64)
    )
    inner = resample(tone, orig_rate, new_rate)[new_rate // 4 : -new_rate // 4]
    assert 10 * math.log10(float(2 * inner.square().mean())) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("settings", [(64, 0.95, 10.0), (16, 0.945, 14.77), (6, 0.99, 0.0)])
@pytest.mark.parametrize(
    ("orig_rate", "new_rate"), [(8, 48), (48, 8), (441, 480), (480, 441), (2, 1), (1, 9), (97, 91)]
)
def test_result_is_that_of_the_definition(
    orig_rate: int, new_rate: int, settings: tuple[int, float, float]
) -> None:
    zeros, rolloff, beta = settings
    audio = torch.randn(300, generator=torch.manual_seed(0), dtype=torch.float64)
    ours = resample(audio, orig_rate, new_rate, zeros=zeros, rolloff=rolloff, beta=beta)
    torch.testing.assert_close(
        ours, direct(audio, orig_rate, new_rate, *settings), rtol=0.0, atol=1e-11
    )
    single = resample(audio.float(), orig_rate, new_rate, zeros=zeros, rolloff=rolloff, beta=beta)
    torch.testing.assert_close(single.double(), ours, rtol=0.0, atol=5e-6)


@pytest.mark.parametrize(
    ("orig_rate", "new_rate"), [*PAIRS, (3, 7), (7, 3), (1, 9), (9, 1), (5, 5)]
)
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 5, 63, 1000])
def test_lengths_are_those_of_soxr(orig_rate: int, new_rate: int, samples: int) -> None:
    audio = torch.ones(2, 3, samples)
    converted = resample(audio, orig_rate, new_rate)
    assert converted.shape == (2, 3, round(samples * new_rate / orig_rate))
    assert converted.shape == files.resample_soxr(audio, orig_rate, new_rate).shape


@pytest.mark.parametrize("shape", [(50,), (0, 50), (2, 3, 50), (1, 1, 1, 50)])
def test_any_leading_shape_and_rows_are_independent(shape: tuple[int, ...]) -> None:
    audio = torch.randn(shape)
    converted = resample(audio, 2, 3)
    assert converted.shape == (*shape[:-1], shape[-1] * 3 // 2)
    alone = [resample(row, 2, 3) for row in audio.reshape(-1, 50)]
    expected = torch.cat([torch.zeros(0), *alone]).reshape(converted.shape)
    torch.testing.assert_close(converted, expected, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(("orig_rate", "new_rate"), [(8000, 48000), (44100, 48000)])
def test_it_agrees_with_soxr_on_a_real_recording(
    orig_rate: int, new_rate: int, clips: list[Path]
) -> None:
    audio, rate = files.read_audio(clips[0])
    audio = files.resample_soxr(
        files.resample_soxr(audio, rate, orig_rate // 2), orig_rate // 2, orig_rate
    )
    error = resample(audio, orig_rate, new_rate) - files.resample_soxr(audio, orig_rate, new_rate)
    assert peak_db(error[..., new_rate // 20 : -new_rate // 20]) < peak_db(audio) - 90.0


def test_it_is_differentiable_even_when_inference_came_first() -> None:
    audio = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    for orig_rate, new_rate in ((17, 19), (19, 17), (2, 1)):
        with torch.inference_mode():
            resample(audio.detach(), orig_rate, new_rate, zeros=2)
        assert torch.autograd.gradcheck(lambda x: resample(x, orig_rate, new_rate, zeros=2), audio)  # noqa: B023


def test_result_is_in_single_precision_under_autocast() -> None:
    audio = torch.randn(1, 500)
    with torch.autocast("cpu", torch.bfloat16):
        converted = resample(audio, 3, 4)
        coarse = resample(audio.bfloat16(), 3, 4)
    assert torch.equal(converted, resample(audio, 3, 4))
    assert coarse.dtype == torch.float32


def test_impossible_settings_are_errors() -> None:
    audio = torch.zeros(10)
    with pytest.raises(AudioError, match="0 Hz"):
        resample(audio, 0, 8000)
    for wrong in ({"zeros": 0}, {"rolloff": 1.1}, {"rolloff": 0.0}, {"beta": -1.0}):
        with pytest.raises(ConfigError, match="choose"):
            resample(audio, 1, 2, **wrong)
