"""Extension of recordings: lengths, preserved low band, streams equal to calls, and errors."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vocoder
from vocoder.checkpoint import ModelConfig, save_model
from vocoder.errors import AudioError, CheckpointError, ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.bandwidth_extension.band_filler import BandFiller
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.extender import Extender, load_extender
from vocoder.inference.streams.windows import Windows
from vocoder.io.audio import resample_soxr

RATE = 48000
SIZES: dict[str, Any] = {"channels": 8, "hidden": 8, "blocks": 1, "cutoff_range": [3400.0, 12000.0]}
CONFIG = ModelConfig(
    name="small",
    mel=MelSpec.preset("hifigan_48k_128"),
    generator={
        "_target_": "vocoder.generators.bandwidth_extension.band_filler.BandFiller",
        **SIZES,
    },
)


@pytest.fixture(scope="module")
def extender() -> Extender:
    """An untrained extender, which adds quiet noise and overtones in the whole band."""
    torch.manual_seed(0)
    return Extender(BandFiller(**SIZES), CONFIG)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "small", BandFiller(**SIZES), CONFIG)
    return tmp_path / "small"


@pytest.fixture(scope="module")
def speech() -> Tensor:
    clip = Path(__file__).parents[2] / "egs" / "clips" / "kathleen" / "arctic_a0290.flac"
    return vocoder.read_audio(clip)[0][0, :RATE]


def share(change: Tensor, signal: Tensor, low: float, high: float) -> float:
    """Energy of a change between two frequencies relative to that of the signal, in dB."""
    hz = torch.linspace(0.0, RATE / 2, signal.shape[-1] // 2 + 1)
    inside = (hz >= low) & (hz < high)
    energies = [torch.fft.rfft(x.double())[inside].abs().square().sum() for x in (change, signal)]
    return 10.0 * float(torch.log10(energies[0] / energies[1]))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100])
@pytest.mark.parametrize("output_rate", [None, 44100])
def test_length_is_that_of_the_recording(
    extender: Extender, rate: int, output_rate: int | None
) -> None:
    for samples in (1, 37, 2001):
        wide = extender(torch.randn(samples), sample_rate=rate, output_rate=output_rate)
        assert wide.shape == (round(samples * (output_rate or RATE) / rate),)


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_low_band_is_preserved(extender: Extender, speech: Tensor, rate: int) -> None:
    narrow = resample_soxr(speech, RATE, rate)
    wide = extender(narrow, sample_rate=rate, cutoff=0.49 * rate)
    recording = resample_soxr(narrow, rate, RATE)
    assert share(wide - recording, recording, 0.0, 0.47 * rate) < -60.0
    assert share(wide, recording, 0.5 * rate, RATE / 2) > -20.0  # an upper band was added


def test_cutoff_is_that_of_the_content_and_not_of_the_sample_rate(
    extender: Extender, speech: Tensor
) -> None:
    narrow = resample_soxr(resample_soxr(speech, RATE, 8000), 8000, RATE)
    wide = extender(narrow, sample_rate=RATE)
    assert share(wide - narrow, narrow, 0.0, 3500.0) < -60.0
    assert share(wide - narrow, narrow, 4500.0, RATE / 2) > 20.0


def test_full_band_recording_is_unchanged(
    extender: Extender, speech: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert torch.equal(extender(speech, sample_rate=RATE), speech)
    assert "nothing is missing" in caplog.text


def test_cutoff_below_those_of_the_training_data_gives_a_warning(
    extender: Extender, speech: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        extender(resample_soxr(speech, RATE, 4000), sample_rate=4000)
    assert "small was trained on recordings that end at 3400 Hz" in caplog.text


def test_input_of_the_network_ends_at_its_highest_cutoff(speech: Tensor) -> None:
    class Copy(BandwidthExtender):
        def forward(self, narrowband: Tensor) -> Tensor:
            return narrowband + 0.0

    network = Copy(hop_length=1, cutoff_range=[2000.0, 4000.0])
    narrowband = Extender(network, CONFIG)(
        speech, sample_rate=RATE, cutoff=10000.0, preserve_low_band=False
    )
    assert share(narrowband, speech, 4100.0, RATE / 2) < -60.0
    assert share(narrowband - speech, speech, 0.0, 3700.0) < -60.0


def test_equal_channels_stay_equal(extender: Extender, speech: Tensor) -> None:
    narrow = resample_soxr(speech, RATE, 16000)
    wide = extender(narrow.expand(2, -1), sample_rate=16000, cutoff=7900.0)
    assert torch.equal(wide[0], wide[1])
    assert torch.equal(wide[0], extender(narrow, sample_rate=16000, cutoff=7900.0))


def test_channels_are_independent(extender: Extender, speech: Tensor) -> None:
    narrow = resample_soxr(speech, RATE, 16000)
    pair = torch.stack([narrow, narrow.flip(0)])
    wide = extender(pair, sample_rate=16000, cutoff=7900.0)
    assert torch.equal(wide[0], extender(narrow, sample_rate=16000, cutoff=7900.0))


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_stays_silent(extender: Extender, level: float) -> None:
    wide = extender(level * torch.randn(16000), sample_rate=16000, cutoff=7900.0)
    assert wide.abs().max() < 1e-3  # -60 dBFS
    if not level:
        assert not extender(torch.zeros(16000), sample_rate=16000).any()


@pytest.mark.parametrize("rate", [8000, 48000])
def test_stream_equals_call(extender: Extender, speech: Tensor, rate: int) -> None:
    narrow = resample_soxr(resample_soxr(speech, RATE, 8000), 8000, rate)
    whole = extender(narrow, sample_rate=rate, cutoff=3900.0)
    stream = extender.stream(sample_rate=rate, cutoff=3900.0)
    made, begin, sizes = [], 0, [1, 700, 7, 5000, 0]
    while begin < len(narrow):
        made.append(stream.push(narrow[begin : begin + sizes[0]].numpy()))
        begin, sizes = begin + sizes[0], [*sizes[1:], sizes[0]]
    made.append(stream.flush())
    assert all(isinstance(piece, np.ndarray) for piece in made)
    assert np.abs(np.concatenate(made) - whole.numpy()).max() < 1e-5 * whole.abs().max()
    with pytest.raises(ConfigError, match="flushed"):
        stream.push(narrow)


def test_windows_fade_into_each_other() -> None:
    """With a network that copies its input the output equals the input, in any pieces."""
    windows = Windows(lambda audio: audio.clone(), size=40, overlap=10)
    signal = torch.randn(1, 1, 333)
    pieces = [windows.step(piece) for piece in signal.split(25, dim=-1)]
    pieces.append(windows.step(None, last=True))
    made = torch.cat([piece for piece in pieces if piece is not None], dim=-1)
    assert torch.allclose(made, signal, atol=1e-6)


def test_network_that_cannot_stream_runs_on_windows(speech: Tensor) -> None:
    class Centered(BandwidthExtender):
        def forward(self, narrowband: Tensor) -> Tensor:
            return narrowband - narrowband.mean(dim=-1, keepdim=True)

    extender = Extender(Centered(hop_length=100, cutoff_range=[100.0, 4000.0]), CONFIG)
    assert not extender.can_stream
    long = speech.repeat(9)
    wide = extender(long, sample_rate=RATE, cutoff=4000.0, preserve_low_band=False)
    assert wide.shape == long.shape
    assert extender(
        speech[:50], sample_rate=RATE, cutoff=4000.0, preserve_low_band=False
    ).shape == (50,)


def test_file_equals_call(extender: Extender, speech: Tensor, tmp_path: Path) -> None:
    narrow = torch.stack(
        [resample_soxr(speech, RATE, 8000), resample_soxr(speech.flip(0), RATE, 8000)]
    )
    vocoder.write_audio(tmp_path / "in.flac", narrow, 8000)
    given, rate = vocoder.read_audio(tmp_path / "in.flac")
    assert extender.file(tmp_path / "in.flac", tmp_path / "out.wav", output_rate=44100) == 44100
    made, rate = vocoder.read_audio(tmp_path / "out.wav")
    assert rate == 44100
    assert torch.allclose(
        made, extender(given, sample_rate=8000, output_rate=44100), atol=2 / 32768
    )


def test_damaged_file_leaves_no_output(extender: Extender, tmp_path: Path) -> None:
    source = tmp_path / "in.flac"
    vocoder.write_audio(source, 0.1 * torch.randn(80000), 8000)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"in\.flac"):
        extender.file(source, tmp_path / "out.wav", cutoff=3900.0)
    assert [path.name for path in tmp_path.iterdir()] == ["in.flac"]


def test_load_refuses_extenders_and_load_extender_vocoders(model: Path, tiny_model: Path) -> None:
    assert load_extender(model).cutoff_range == (3400.0, 12000.0)
    with pytest.raises(CheckpointError, match=r"vocoder vocode"):
        load_extender(tiny_model)
    with pytest.raises(CheckpointError, match=r"vocoder extend"):
        vocoder.load(model)


@pytest.mark.parametrize("audio", [torch.zeros(0), torch.zeros(2, 3, 4), torch.full((9,), np.nan)])
def test_bad_audio_is_refused(extender: Extender, audio: Tensor) -> None:
    with pytest.raises(AudioError):
        extender(audio, sample_rate=8000)


def test_cutoff_above_the_band_is_refused(extender: Extender) -> None:
    with pytest.raises(ConfigError, match="5000"):
        extender(torch.randn(80), sample_rate=8000, cutoff=5000.0)


def test_the_command_extends_files_and_folders(
    model: Path, speech: Tensor, tmp_path: Path, vocoder_command: Callable[..., Any]
) -> None:
    narrow = resample_soxr(speech, RATE, 8000)
    for name in ("a", "b"):
        vocoder.write_audio(tmp_path / "in" / f"{name}.wav", narrow, 8000)
    (tmp_path / "in" / "c.wav").write_bytes(b"RIFF")
    result = vocoder_command("extend", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    assert result.code == 2
    assert "c.wav" in result.err and len(result.err.splitlines()) == 1
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["a.wav", "b.wav"]
    audio, rate = vocoder.read_audio(tmp_path / "out" / "a.wav")
    assert (rate, audio.shape) == (RATE, (1, 6 * len(narrow)))
