"""Quality of the built-in extender, on recordings outside its training data."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import vocoder
from vocoder.evaluation.metrics.spectral import lsd
from vocoder.evaluation.replication import replicate_band
from vocoder.inference.extender import Extender
from vocoder.io.audio import resample_soxr

RATE = 48000
CLIPS = Path(__file__).parents[2] / "egs" / "clips" / "kathleen"
HELD_OUT = ("arctic_b0264", "arctic_b0511")


@pytest.fixture(scope="module")
def extender() -> Extender:
    return vocoder.load_extender()


def recording(name: str) -> Tensor:
    audio, rate = vocoder.read_audio(CLIPS / f"{name}.flac")
    assert rate == RATE
    return audio[0]


def levels(audio: Tensor, low: float, high: float) -> Tensor:
    """Highest magnitude between two frequencies in every frame; 1 for a sine of amplitude 1."""
    window = torch.hann_window(4096)
    spectrum = torch.stft(audio, 4096, 1024, window=window, return_complex=True)
    hz = torch.linspace(0.0, RATE / 2, spectrum.shape[0])
    return spectrum.abs()[(hz >= low) & (hz <= high)].amax(0) / (window.sum() / 2)


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
@pytest.mark.parametrize("name", HELD_OUT)
def test_extender_is_closer_to_the_recording_than_methods_without_a_network(
    extender: Extender, name: str, rate: int
) -> None:
    full = recording(name)
    narrow = resample_soxr(full, RATE, rate)
    plain = resample_soxr(narrow, rate, RATE)
    replicated = replicate_band(plain, sample_rate=RATE, cutoff=0.485 * rate)
    distances = [
        lsd(full[: len(estimate)], estimate[: len(full)], RATE)
        for estimate in (extender(narrow, sample_rate=rate), plain, replicated)
    ]
    assert distances[0] < 0.3 * distances[1]
    assert distances[0] < 0.7 * distances[2]


@pytest.mark.parametrize(("share", "least_db"), [(0.9, -80.0), (0.94, -40.0)])
@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_low_band_is_preserved(
    extender: Extender, rate: int, share: float, least_db: float
) -> None:
    narrow = resample_soxr(recording(HELD_OUT[0]), RATE, rate)
    plain, wide = resample_soxr(narrow, rate, RATE), extender(narrow, sample_rate=rate)
    hz = torch.linspace(0.0, RATE / 2, len(plain) // 2 + 1)
    change, signal = (
        torch.fft.rfft(x.double())[hz < share * rate / 2].abs().square().sum()
        for x in (wide - plain, plain)
    )
    assert 10.0 * torch.log10(change / signal) < least_db


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_sweep_gets_no_mirror_image_and_no_overtones(extender: Extender, rate: int) -> None:
    seconds, amplitude, top = 4, 0.5, 0.45 * rate
    time = torch.arange(seconds * rate, dtype=torch.float64) / rate
    octaves = math.log(top / 50.0)
    turns = 50.0 * seconds / octaves * torch.expm1(octaves * time / seconds)
    sweep = (amplitude * torch.sin(2.0 * math.pi * turns)).float()
    wide = extender(sweep, sample_rate=rate, cutoff=0.49 * rate)
    made = levels(wide, 0.51 * rate, RATE / 2)[8:-8]  # without the clicks at both ends
    assert made.max() < 1e-3 * amplitude  # -60 dB


def test_silence_stays_silent(extender: Extender) -> None:
    dither = torch.randint(-1, 2, (16000,)) / 32768.0
    for silence in (torch.zeros(16000), dither):
        assert extender(silence, sample_rate=16000, cutoff=7900.0).abs().max() < 1e-3  # -60 dBFS


def test_size_and_licence_fit_the_package(extender: Extender) -> None:
    weights = Path(vocoder.__file__).parent / "assets" / "band_filler_48k" / "model.safetensors"
    assert weights.stat().st_size < 10e6
    assert extender.sample_rate == RATE
    assert extender.can_stream
    assert "CSTR VCTK Corpus" in str(extender.config.licences)
