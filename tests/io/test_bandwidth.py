"""The bandwidth meter measures cutoffs of resamplers, filters and codecs, in any blocks."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import scipy.signal
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.resample import resample
from vocoder.io import audio as files
from vocoder.io.bandwidth import BandwidthMeter

RATE = 48000


def measure(audio: Tensor, *, rate: int = RATE, block: int = 2**18) -> int:
    meter = BandwidthMeter(rate)
    for part in audio.split(block, dim=-1):
        meter.add(part)
    return meter.bandwidth_hz


def sixteen_bit(audio: Tensor) -> Tensor:
    return files.pcm16(audio).float() / 32768.0


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """A full-band recording."""
    path = Path(__file__).parents[2] / "egs/clips/kathleen/arctic_a0290.flac"
    audio, rate = files.read_audio(path)
    assert rate == RATE
    return audio


@pytest.mark.parametrize("converter", [resample, files.resample_soxr], ids=["ours", "soxr"])
@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 24000])
def test_bandwidth_of_upsampled_audio_is_that_of_the_lower_rate(
    converter: Callable[[Tensor, int, int], Tensor], rate: int, speech: Tensor
) -> None:
    narrow = converter(converter(speech, RATE, rate), rate, RATE)
    assert measure(sixteen_bit(narrow)) == pytest.approx(rate / 2, rel=0.05)


FILTERS = {
    "butterworth 12": lambda cutoff: scipy.signal.butter(12, cutoff, fs=RATE, output="sos"),
    "chebyshev 8": lambda cutoff: scipy.signal.cheby1(8, 0.5, cutoff, fs=RATE, output="sos"),
    "elliptic 8": lambda cutoff: scipy.signal.ellip(8, 0.5, 50, cutoff, fs=RATE, output="sos"),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("cutoff", [3400.0, 8000.0])
def test_leakage_of_steep_filters_is_not_content(name: str, cutoff: float, speech: Tensor) -> None:
    narrow = torch.from_numpy(scipy.signal.sosfilt(FILTERS[name](cutoff), speech.numpy())).float()
    assert measure(sixteen_bit(narrow)) == pytest.approx(cutoff, rel=0.1)


@pytest.mark.skipif("MP3" not in soundfile.available_formats(), reason="libsndfile without MP3")
@pytest.mark.parametrize(("quality", "cutoff"), [(0.99, 8600), (0.5, 20500)])
def test_low_pass_of_a_codec_is_measured(quality: float, cutoff: int, speech: Tensor) -> None:
    coded = io.BytesIO()
    soundfile.write(
        coded, speech[0].numpy(), RATE, format="MP3", compression_level=quality,
        bitrate_mode="CONSTANT",
    )  # fmt: skip
    decoded, _ = soundfile.read(io.BytesIO(coded.getvalue()), dtype="float32")
    assert measure(torch.from_numpy(decoded)[None]) == pytest.approx(cutoff, rel=0.05)


def test_gentle_slopes_are_content(speech: Tensor) -> None:
    """A first-order low-pass attenuates the highest octave by 15 dB, but does not cut it off."""
    dull = scipy.signal.lfilter([0.3], [1.0, -0.7], speech.numpy())
    assert measure(torch.from_numpy(dull).float()) > 0.9 * RATE / 2
    assert measure(speech) > 0.93 * RATE / 2


def test_result_does_not_depend_on_the_blocks(speech: Tensor) -> None:
    narrow = files.resample_soxr(files.resample_soxr(speech, RATE, 8000), 8000, RATE).expand(2, -1)
    expected = measure(narrow)
    for block in (700, 2047, 2048, 5000, narrow.shape[-1]):
        assert measure(narrow, block=block) == expected


def test_silence_has_no_bandwidth_and_short_audio_the_full_one() -> None:
    assert measure(torch.zeros(1, 10_000)) == 0
    assert measure(torch.zeros(1, 2047)) == RATE // 2
    assert BandwidthMeter(RATE).bandwidth_hz == RATE // 2
    padded = torch.cat([torch.zeros(1, 5000), torch.randn(1, 9000) * 0.1, torch.zeros(1, 5000)], -1)
    assert measure(padded) == RATE // 2


def test_memory_and_result_do_not_depend_on_the_duration() -> None:
    """Bursts up to 6 kHz over a stationary noise floor, for more frames than the meter stores."""
    generator = torch.manual_seed(0)
    burst = F.pad(torch.randn(1, 5000, generator=generator), (200, 26_032))
    period = 0.1 * resample(burst, 12000, RATE)  # 61 * 2048 samples
    period += 5e-5 * torch.randn(period.shape, generator=generator)
    meter = BandwidthMeter(RATE)
    sizes, bands = [], []
    for _ in range(110):
        meter.add(period)
        sizes.append(sum(v.nbytes for v in vars(meter).values() if isinstance(v, Tensor)))
        bands.append(meter.bandwidth_hz)
    assert 122 * len(sizes) > 3 * 4096
    assert max(sizes) < 2.2e6
    assert min(bands) == max(bands) == pytest.approx(6000, rel=0.05)
