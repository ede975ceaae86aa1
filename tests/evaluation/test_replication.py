"""Band replication: the low band does not change, the high band gets a fitting envelope."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.dsp.resample import resample
from vocoder.errors import ConfigError
from vocoder.evaluation.replication import replicate_band
from vocoder.io.audio import read_audio

RATE = 48000


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """A full-band recording [1, T]."""
    path = Path(__file__).parents[2] / "egs/clips/kathleen/arctic_b0264.flac"
    return read_audio(path)[0]


def narrowed(audio: Tensor, cutoff: int) -> Tensor:
    again = resample(resample(audio, RATE, 2 * cutoff), 2 * cutoff, RATE)
    return torch.nn.functional.pad(again, (0, audio.shape[-1] - again.shape[-1]))


def energy(audio: Tensor, low: float, high: float, rate: int = RATE) -> float:
    """dB between two frequencies."""
    power = torch.fft.rfft(audio.double()).abs().square()
    frequency = torch.fft.rfftfreq(audio.shape[-1], 1 / rate, dtype=torch.float64)
    within = power[..., (frequency >= low) & (frequency < high)].sum()
    return 10.0 * math.log10(float(within) / audio.shape[-1] + 1e-30)


def log_power(audio: Tensor) -> Tensor:
    window = torch.hann_window(2048)
    spectrum = torch.stft(audio, 2048, 512, window=window, return_complex=True)
    return spectrum.abs().square().clamp_min(1e-8).log10()


def distance(a: Tensor, b: Tensor) -> float:
    """Log-spectral distance."""
    return float((log_power(a) - log_power(b)).square().mean(-2).sqrt().mean())


@pytest.mark.parametrize("cutoff", [2000, 4000, 8000, 12000])
def test_the_low_band_is_unchanged_and_the_spectral_distance_falls(
    cutoff: int, speech: Tensor
) -> None:
    narrow = narrowed(speech, cutoff)
    wide = replicate_band(narrow, sample_rate=RATE, cutoff=cutoff)
    assert wide.shape == narrow.shape
    assert energy(wide - narrow, 0, cutoff) < energy(narrow, 0, cutoff) - 100.0
    assert distance(wide, speech) < 0.55 * distance(narrow, speech)


def test_the_slope_of_the_envelope_is_limited() -> None:
    """Noise that rises, is flat, falls, falls very steeply: dB per octave above the cutoff."""
    noise = torch.randn(4 * RATE, generator=torch.manual_seed(0))
    spectrum = torch.fft.rfft(noise)
    frequency = torch.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = torch.log2(frequency.clamp_min(1.0) / 4000)
    for slope, expected in ((9.0, 0.0), (0.0, 0.0), (-6.0, -6.0), (-30.0, -10.0)):
        shaped = (
            spectrum * 10.0 ** (slope * octaves / 20.0) * (frequency < 4000) * (frequency > 500)
        )
        wide = replicate_band(torch.fft.irfft(shaped, n=len(noise)), sample_rate=RATE, cutoff=4000)
        level = 10.0 * log_power(wide).mean(-1)  # of bins of 23.4 Hz
        fall = level[427:853].mean() - level[214:427].mean()  # from 5-10 to 10-20 kHz
        assert fall == pytest.approx(expected, abs=1.5)


def test_a_tone_is_copied_as_tones() -> None:
    """Phases continue from frame to frame; otherwise copies would be spread over many bins."""
    tone = torch.sin(2 * math.pi * 3000.0 / RATE * torch.arange(RATE))
    wide = replicate_band(tone, sample_rate=RATE, cutoff=4000)
    middle = (wide - tone)[RATE // 4 : 3 * RATE // 4]  # bins of 2 Hz
    power = torch.fft.rfft(middle * torch.hann_window(len(middle))).abs().square()
    strongest = power.sort(descending=True).values
    assert strongest[:60].sum() > 0.95 * power.sum()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_any_rate_and_shape_with_independent_rows(rate: int) -> None:
    audio = torch.randn(2, 3, 5001, generator=torch.manual_seed(0))
    narrow = resample(resample(audio, rate, rate // 4), rate // 4, rate)[..., :5000]
    wide = replicate_band(narrow, sample_rate=rate, cutoff=rate / 8)
    assert wide.shape == narrow.shape
    alone = replicate_band(narrow[1, 2], sample_rate=rate, cutoff=rate / 8)
    torch.testing.assert_close(wide[1, 2], alone)
    assert energy(wide, rate / 4, rate / 2, rate) > energy(wide, 0, rate / 8, rate) - 20.0


@pytest.mark.parametrize("samples", [1, 100, 3000])
def test_silence_stays_silence_of_any_length(samples: int) -> None:
    silence = replicate_band(torch.zeros(2, samples), sample_rate=RATE, cutoff=4000)
    assert torch.equal(silence, torch.zeros(2, samples))
    short = replicate_band(torch.ones(samples), sample_rate=RATE, cutoff=4000)
    assert short.shape == (samples,) and bool(short.isfinite().all())


@pytest.mark.parametrize("cutoff", [100.0, 24000.0, 30000.0])
def test_a_cutoff_without_a_band_on_either_side_is_an_error(cutoff: float) -> None:
    with pytest.raises(ConfigError, match="must lie between"):
        replicate_band(torch.zeros(100), sample_rate=RATE, cutoff=cutoff)
