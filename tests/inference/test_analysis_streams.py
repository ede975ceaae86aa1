"""Live analysis: the joined output equals that of the whole audio, however it is cut."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

import vocoder
from vocoder.errors import AudioError, ConfigError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.inference.streams.analysis import MelStream, ResampleStream
from vocoder.inference.vocoder import Vocoder
from vocoder.io.audio import read_audio, resample_soxr

RATES = [8000, 16000, 22050, 44100, 48000]
SPEC = MelSpec.preset("hifigan_22k_80")
ODD = MelSpec(sample_rate=8000, n_fft=61, hop_length=14, win_length=51, n_mels=8)
CENTERED = dataclasses.replace(ODD, padding="center")
SPECS = {**PRESETS, "odd": ODD, "odd_center": CENTERED}
# Sizes of pieces, used over and over: empty ones, single samples, and more than the whole signal.
CUTS = st.lists(st.sampled_from([0, 1, 2, 7, 160, 1024, 5000, 10**6]), min_size=1, max_size=6)

EITHER = pytest.mark.parametrize(
    "make",
    [lambda: MelStream(SPEC, sample_rate=8000), lambda: ResampleStream(8000, 22050)],
    ids=["MelStream", "ResampleStream"],
)


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def pieces(audio: Tensor, cuts: list[int]) -> Iterator[Tensor]:
    """`audio` in at most 300 pieces of these sizes in turn; the last one has the rest."""
    done = 0
    for size in itertools.islice(itertools.cycle(cuts), 300):
        if done + size >= audio.shape[-1]:
            break
        yield audio[..., done : done + size]
        done += size
    yield audio[..., done:]


def streamed(stream: Any, audio: Tensor, cuts: list[int]) -> Tensor:
    made = [stream.push(piece) for piece in pieces(audio, cuts)]
    return torch.cat([*made, stream.flush()], dim=-1)


def assert_close(actual: Tensor, expected: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=atol)


@functools.cache
def baseline(spec: MelSpec) -> Vocoder:
    return vocoder.load("griffin-lim", mel=spec)


def whole(spec: MelSpec, audio: Tensor, rate: int) -> Tensor:
    return baseline(spec).mel(audio, sample_rate=rate)


@pytest.mark.parametrize("new_rate", [22050, 24000])
@pytest.mark.parametrize("orig_rate", RATES)
@settings(max_examples=8, deadline=None)
@given(cuts=CUTS, samples=st.integers(0, 9000), channels=st.sampled_from([1, 2, 5]))
def test_resampling_does_not_depend_on_the_cuts(
    orig_rate: int, new_rate: int, cuts: list[int], samples: int, channels: int
) -> None:
    audio = noise(channels, samples)
    stream = ResampleStream(orig_rate, new_rate, channels=channels)
    converted = streamed(stream, audio, cuts)
    assert converted.shape == (channels, round(samples * new_rate / orig_rate))
    assert torch.equal(converted, resample_soxr(audio, orig_rate, new_rate))


@pytest.mark.parametrize("orig_rate", RATES)
def test_resampling_sample_by_sample(orig_rate: int) -> None:
    audio = noise(3000)
    stream = ResampleStream(orig_rate, 24000)
    made = [stream.push(sample) for sample in torch.split(audio, 1)]
    assert orig_rate == 24000 or any(map(len, made))
    converted = torch.cat([*made, stream.flush()])
    assert torch.equal(converted, resample_soxr(audio, orig_rate, 24000))


@pytest.mark.parametrize("orig_rate", RATES)
def test_resampling_stays_at_most_80_ms_behind(orig_rate: int) -> None:
    stream, taken, made = ResampleStream(orig_rate, 24000), 0, 0
    for piece in torch.split(noise(orig_rate), 100):
        taken += len(piece)
        made += len(stream.push(piece))
        assert made / 24000 >= taken / orig_rate - 0.08


def test_equal_rates_pass_through() -> None:
    stream, audio = ResampleStream(24000, 24000), noise(100)
    assert torch.equal(stream.push(audio), audio)
    assert stream.flush().shape == (0,)


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=5, deadline=None)
@given(cuts=CUTS, samples=st.integers(1, 9000), rate=st.sampled_from([None, *RATES]))
def test_frames_do_not_depend_on_the_cuts(
    name: str, cuts: list[int], samples: int, rate: int | None
) -> None:
    spec = SPECS[name]
    rate = rate or spec.sample_rate
    audio = noise(2, samples + 5)
    audio[:, samples // 2 : samples // 2 + 2000] = 0.0  # the floor of the logarithm
    mel = streamed(MelStream(spec, sample_rate=rate), audio, cuts)
    assert_close(mel, whole(spec, audio, rate))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("samples", [1, 2, 100, 301])
def test_frames_of_short_audio_sample_by_sample(name: str, samples: int) -> None:
    spec, audio = SPECS[name], noise(samples)
    mel = streamed(MelStream(spec, sample_rate=spec.sample_rate), audio, [1])
    assert_close(mel, whole(spec, audio, spec.sample_rate))


def test_frames_of_recordings(clips: list[Path]) -> None:
    for clip in clips[:3]:
        audio, rate = read_audio(clip)
        mel = streamed(MelStream(SPEC, sample_rate=rate), audio, [480])
        assert_close(mel, whole(SPEC, audio, rate))


@pytest.mark.parametrize("name", SPECS)
def test_frame_is_final_after_its_lookahead(name: str) -> None:
    spec = SPECS[name]
    stream = MelStream(spec, sample_rate=spec.sample_rate)
    frames = 8  # far enough from the start
    needed = frames * spec.hop_length + stream.lookahead
    assert stream.push(noise(needed - 1)).shape[-1] == frames - 1
    assert stream.push(noise(1)).shape[-1] == 1


def test_reset_starts_a_new_signal() -> None:
    stream, audio = MelStream(SPEC, sample_rate=16000), noise(4000)
    stream.push(noise(2, 3000))
    stream.reset()
    first = streamed(stream, audio, [1000])
    stream.reset()
    assert torch.equal(streamed(stream, audio, [1000]), first)
    assert_close(first, whole(SPEC, audio, 16000))


def test_buffer_of_the_caller_may_be_reused() -> None:
    audio, buffer = noise(4000), torch.empty(500)
    stream = MelStream(SPEC, sample_rate=22050)
    made = []
    for piece in torch.split(audio, 500):
        made.append(stream.push(buffer.copy_(piece)))
        buffer.fill_(1.0)
    mel = torch.cat([*made, stream.flush()], dim=-1)
    assert_close(mel, whole(SPEC, audio, 22050))


@EITHER
def test_output_has_the_array_kind_of_the_input(make: Callable[[], Any]) -> None:
    stream = make()
    assert isinstance(stream.push(noise(900)), Tensor)
    assert isinstance(stream.push(noise(900).double().numpy()), np.ndarray)
    rest = stream.flush()
    assert isinstance(rest, np.ndarray)
    assert rest.dtype == np.float32
    stream.reset()
    made = stream.push(noise(9000))
    made += 1.0  # not an inference tensor
    made.requires_grad_()


def test_empty_input_gives_empty_output() -> None:
    stream = MelStream(SPEC, sample_rate=8000)
    assert stream.push(noise(2, 0)).shape == stream.flush().shape == (80, 0)
    assert ResampleStream(8000, 16000, channels=2).flush().shape == (2, 0)
    assert ResampleStream(8000, 16000).flush().shape == (0,)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_audio_to_mel_to_audio_is_copy_synthesis(tiny_model: Path, rate: int) -> None:
    tiny: Vocoder = vocoder.load(tiny_model)
    audio = noise(2, 9001)
    analysis, synthesis = tiny.mel_stream(sample_rate=rate), tiny.stream()
    made = [synthesis.push(analysis.push(piece)) for piece in torch.split(audio, 700, dim=-1)]
    assert any(map(len, made))
    made += [synthesis.push(analysis.flush()), synthesis.flush()]
    copy = tiny.resynth(audio, sample_rate=rate)
    peak = float(copy.abs().max())
    assert_close(torch.cat(made)[: len(copy)], copy, atol=1e-5 * peak)


BAD: dict[str, Any] = {
    "int64": torch.arange(9),
    "int16": np.zeros(9, np.int16),
    "NaN": torch.tensor([0.0, torch.nan]),
    "infinite": np.array([0.0, np.inf]),
    "shape": torch.zeros(1, 2, 9),
    r"\[\]": torch.tensor(0.0),
    r"\[0, 9\]": torch.zeros(0, 9),
    r"\[3, 9\]": torch.zeros(3, 9),
}


@pytest.mark.parametrize("kind", [MelStream, ResampleStream])
@pytest.mark.parametrize("message", BAD)
def test_bad_audio_is_refused_and_does_not_change_the_stream(kind: type[Any], message: str) -> None:
    audio = noise(2, 4000)
    mel = kind is MelStream
    stream = MelStream(SPEC, sample_rate=8000) if mel else ResampleStream(8000, 24000, channels=2)
    first = stream.push(audio[:, :1000])
    with pytest.raises(AudioError, match=message) as caught:
        stream.push(BAD[message])
    assert "\n" not in str(caught.value)
    made = torch.cat([first, stream.push(audio[:, 1000:]), stream.flush()], dim=-1)
    expected = whole(SPEC, audio, 8000) if mel else resample_soxr(audio, 8000, 24000)
    assert_close(made, expected)


@EITHER
def test_flushed_stream_needs_a_reset(make: Callable[[], Any]) -> None:
    stream = make()
    stream.flush()
    for call in (lambda: stream.push(noise(5)), stream.flush):
        with pytest.raises(ConfigError, match=r"flushed; reset\(\)"):
            call()
    stream.reset()
    stream.push(noise(5))


def test_impossible_streams_are_refused() -> None:
    with pytest.raises(AudioError, match="0 Hz"):
        MelStream(SPEC, sample_rate=0)
    with pytest.raises(AudioError, match="-1 Hz"):
        ResampleStream(8000, -1)
    with pytest.raises(ConfigError, match="channels is 0"):
        ResampleStream(8000, 16000, channels=0)
