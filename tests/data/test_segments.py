import logging
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings, strategies as st

from vocoder.data.audit import audit
from vocoder.data.crops import read_crop
from vocoder.data.loader import loader
from vocoder.data.manifest import Clip, read_manifest, write_manifest
from vocoder.data.segments import Batch, Segments
from vocoder.data.validation import validation_clips
from vocoder.errors import AudioError, ConfigError
from vocoder.io.audio import read_audio, resample_soxr

CLIPS = Path(__file__).parents[2] / "egs/clips"
RATE = 8000
SEGMENT = 2048


def same(one: Batch, other: Batch) -> bool:
    return one.names == other.names and torch.equal(one.audio, other.audio)


def synthetic(path: Path, audio: np.ndarray, **changes: Any) -> Clip:
    """Write `audio` [T, C] and describe it, with ample bandwidth and with a peak of 0 dBFS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, RATE)
    values = {"split": "train", "speaker": path.parent.name, "sample_rate": RATE, "peak_dbfs": 0.0}
    values |= {"samples": len(audio), "channels": audio.shape[1], "bandwidth_hz": RATE}
    return Clip(path=path, seconds=len(audio) / RATE, **(values | changes))


def ramp(samples: int, channels: int = 1) -> np.ndarray:
    """Samples whose value is the position, and the sign the channel: 1, 2, 3, … or -1, -2, -3, …"""
    signs = np.array([1, -1])[:channels]
    return ((np.arange(samples)[:, None] + 1) * signs).astype(np.int16)


def places(batch: Batch) -> torch.Tensor:
    return (batch.audio[:, 0] * 32768).round().long()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of all real clips in one split."""
    path = tmp_path_factory.mktemp("real") / "m.csv"
    clips = [vars(clip) | {"split": "train"} for clip in audit(CLIPS).clips]
    write_manifest(path, [Clip(**values) for values in clips])
    return path


def segments(manifest: Path, **changes: Any) -> Segments:
    values = {"sample_rate": 22050, "segment": SEGMENT, "batch_size": 3} | changes
    return Segments(manifest=manifest, **values)


@given(seed=st.integers(0, 2**64 - 2), steps=st.lists(st.integers(0, 2**40)))
@settings(max_examples=10, deadline=None)
def test_batch_is_a_function_of_seed_and_step(real: Path, seed: int, steps: list[int]) -> None:
    used = segments(real, seed=seed)
    for step in steps[:3]:
        np.random.seed(step % 100)
        torch.manual_seed(step)
        audio, _, features, *_ = used[step]
        assert (audio.shape, audio.dtype) == ((3, 1, SEGMENT), torch.float32)
        assert features == {}
    step = 7
    batch = used[step]
    assert same(batch, segments(real, seed=seed)[step])
    for other in (segments(real, seed=seed + 1)[step], used[step + 1]):
        assert not torch.equal(batch.audio, other.audio)


@given(batch_size=st.integers(1, 7), size=st.integers(1, 5), step=st.integers(0, 2**40))
@settings(max_examples=12, deadline=None)
def test_shares_of_all_processes_are_the_batch_of_one(
    real: Path, batch_size: int, size: int, step: int
) -> None:
    mixed: dict[str, Any] = {"batch_size": batch_size, "allow_band_limited": True}
    mixed |= {"tone_share": 0.4, "speed": (0.9, 1.1), "speed_share": 0.5}
    if batch_size < size:
        with pytest.raises(ConfigError, match=rf"batch_size is {batch_size}.*set at least {size}"):
            segments(real, rank=0, world_size=size, **mixed)
        return
    whole = segments(real, **mixed)[step]
    shares = [segments(real, rank=r, world_size=size, **mixed)[step] for r in range(size)]
    assert [name for share in shares for name in share.names] == whole.names
    assert torch.equal(torch.cat([share.audio for share in shares]), whole.audio)
    assert whole.cutoffs is not None
    cutoffs = [share.cutoffs for share in shares if share.cutoffs is not None]
    assert torch.equal(torch.cat(cutoffs), whole.cutoffs)
    counts = [len(share.names) for share in shares]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_number_of_workers_does_not_change_the_data(real: Path, workers: int) -> None:
    data = segments(real)
    state = torch.get_rng_state()
    batches = list(loader(data, start=5, steps=6, workers=workers))
    assert torch.equal(torch.get_rng_state(), state)
    assert len({batch.audio.numpy().tobytes() for batch in batches}) == 6
    for step, batch in enumerate(batches, start=5):
        assert same(batch, data[step])


def test_workers_ignore_the_signals_of_their_process_group(real: Path) -> None:
    data = segments(real)
    batches = loader(data, start=0, steps=40, workers=2)
    seen = [next(batches), next(batches)]
    for child in multiprocessing.active_children():
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(child.pid or 0, number)
    seen += batches
    assert all(same(batch, data[step]) for step, batch in enumerate(seen))
    assert len(seen) == 40
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("new_rate", [16000, 22050, 24000, 44100])
def test_crop_equals_slice_of_the_converted_file(real: Path, new_rate: int) -> None:
    for clip in read_manifest(real):
        whole = resample_soxr(read_audio(clip.path)[0], clip.sample_rate, new_rate)
        end = whole.shape[-1]
        for start in (0, 1, 137, end // 2 + 1, end - SEGMENT - 1, end - SEGMENT):
            crop = read_crop(clip, start=start, samples=SEGMENT, sample_rate=new_rate)
            torch.testing.assert_close(crop, whole[:, start : start + SEGMENT], atol=1e-5, rtol=0)


@given(
    samples=st.integers(1, 6000),
    new_rate=st.sampled_from([4000, 8000, 7999, 11025, 16000]),
    place=st.floats(0, 1),
    length=st.integers(1, 3000),
)
@settings(max_examples=60, deadline=None)
def test_crop_law_for_any_length_and_rate(
    tmp_path_factory: pytest.TempPathFactory, samples: int, new_rate: int, place: float, length: int
) -> None:
    audio = np.random.default_rng(samples).uniform(-0.9, 0.9, (samples, 2))
    clip = synthetic(tmp_path_factory.getbasetemp() / "law/a.wav", audio)
    whole = resample_soxr(read_audio(clip.path)[0], RATE, new_rate)
    start = int(place * max(whole.shape[-1] - 1, 0))
    length = min(length, whole.shape[-1] - start)
    if length > 0:
        crop = read_crop(clip, start=start, samples=length, sample_rate=new_rate)
        torch.testing.assert_close(crop, whole[:, start : start + length], atol=1e-5, rtol=0)


@pytest.mark.parametrize("samples", range(3001, 3009))
def test_crop_reaches_the_last_sample_however_the_length_is_rounded(
    samples: int, tmp_path: Path
) -> None:
    clip = synthetic(tmp_path / "a.wav", ramp(samples))
    whole = resample_soxr(read_audio(clip.path)[0], RATE, RATE // 2)
    end = whole.shape[-1]
    for start in range(end - 9, end):
        crop = read_crop(clip, start=start, samples=end - start, sample_rate=RATE // 2)
        torch.testing.assert_close(crop, whole[:, start:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("new_rate", [RATE, 16000, 7350])
def test_as_much_is_read_of_a_long_file_as_of_a_short_one(
    new_rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = soundfile.SoundFile.read

    def counted(self: soundfile.SoundFile, frames: int = -1, **options: Any) -> Any:
        audio = original(self, frames, **options)
        read.append(len(audio))
        return audio

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    for seconds in (5, 300):
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (seconds * RATE, 1))
        clip = synthetic(tmp_path / f"{seconds}.flac", noise)
        write_manifest(tmp_path / "m.csv", [clip])
        data = segments(tmp_path / "m.csv", sample_rate=new_rate, batch_size=20)
        read.clear()
        assert data[0].audio.abs().amax(-1).min() > 0
        assert len(read) == 20
        assert max(read) <= SEGMENT * RATE / new_rate + (new_rate != RATE) * 1200


def test_every_second_is_equally_likely(tmp_path: Path) -> None:
    lengths = [4000, 12000, 24000]
    clips = [synthetic(tmp_path / f"{n}.wav", ramp(n)) for n in lengths]
    write_manifest(tmp_path / "m.csv", clips)
    data = segments(tmp_path / "m.csv", sample_rate=RATE, segment=4, batch_size=1000, peak_db=None)
    batches = [data[step] for step in range(3)]
    names = [name for batch in batches for name in batch.names]
    starts = torch.cat([places(batch)[:, 0] - 1 for batch in batches])
    for clip in clips:
        mine = torch.tensor([name == str(clip.path) for name in names])
        share = clip.samples / sum(lengths)
        assert abs(mine.sum() - 3000 * share) < 4 * (3000 * share * (1 - share)) ** 0.5
        # Kolmogorov–Smirnov against the uniform distribution, at the 0.1 % level.
        order = starts[mine].sort().values / (clip.samples - 3)
        expected = (torch.arange(len(order)) + 0.5) / len(order)
        assert (order - expected).abs().max() < 1.95 / len(order) ** 0.5


def test_crop_is_contiguous_and_from_one_channel(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", [synthetic(tmp_path / "a.wav", ramp(9000, channels=2))])
    data = segments(tmp_path / "m.csv", sample_rate=RATE, batch_size=60, peak_db=None)
    steps = places(data[0])
    assert torch.equal(steps.diff(), steps.sign()[:, 1:])
    assert 10 < (steps[:, 0] > 0).sum() < 50


def test_short_clip_is_followed_by_silence(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", [synthetic(tmp_path / "a.wav", ramp(100))])
    data = segments(tmp_path / "m.csv", sample_rate=RATE, peak_db=None)
    expected = torch.zeros(3, SEGMENT, dtype=torch.long)
    expected[:, :100] = torch.arange(1, 101)
    assert torch.equal(places(data[0]), expected)


def test_file_peak_is_in_the_range_and_only_the_level_changes(tmp_path: Path) -> None:
    square = 0.05 * np.sign(np.sin(np.arange(30000) + 0.5))[:, None]
    clip = synthetic(tmp_path / "a.wav", square, peak_dbfs=20 * np.log10(0.05))
    write_manifest(tmp_path / "m.csv", [clip])
    level = {
        peak_db: segments(tmp_path / "m.csv", sample_rate=RATE, batch_size=50, peak_db=peak_db)[
            0
        ].audio
        for peak_db in [(-12.0, -0.5), (-6.0, -6.0), None]
    }
    peaks = 20 * level[-12.0, -0.5].abs().amax((1, 2)).log10()
    assert -12.01 <= peaks.min() < -10.5 < -2.0 < peaks.max() <= -0.49
    gain = 10 ** (-6 / 20) / 0.05
    torch.testing.assert_close(level[-6.0, -6.0], level[None] * gain, atol=1e-3, rtol=0)
    assert torch.equal(level[-12.0, -0.5].sign(), level[None].sign())


def test_band_limited_clips_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = [
        synthetic(tmp_path / f"{hertz}.wav", ramp(3000), bandwidth_hz=hertz)
        for hertz in (2999, 3000, 4000)
    ]
    write_manifest(tmp_path / "m.csv", clips)
    with caplog.at_level(logging.WARNING):
        data = segments(tmp_path / "m.csv", sample_rate=RATE, batch_size=40)
    assert "1 of 3 clips" in caplog.text
    assert set(data[0].names) == {str(clip.path) for clip in clips[1:]}
    with pytest.raises(ConfigError, match="none of 3 clips in split 'train'.*9000 Hz"):
        segments(tmp_path / "m.csv", sample_rate=24000)
    with pytest.raises(ConfigError, match="split 'valid' is empty .3 clips"):
        segments(tmp_path / "m.csv", sample_rate=RATE, split="valid")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("fault", ["gone", "broken", "shorter", "other rate", "more channels"])
def test_changed_clip_is_one_line_that_names_it(fault: str, workers: int, tmp_path: Path) -> None:
    clip = synthetic(tmp_path / "a.wav", ramp(SEGMENT))
    write_manifest(tmp_path / "m.csv", [clip])
    data = segments(tmp_path / "m.csv", sample_rate=RATE)
    if fault == "gone":
        clip.path.unlink()
    elif fault == "broken":
        clip.path.write_bytes(b"RIFF and nothing more")
    elif fault == "other rate":
        soundfile.write(clip.path, ramp(SEGMENT), 2 * RATE)
    else:
        soundfile.write(clip.path, ramp(SEGMENT - 1 if fault == "shorter" else 9000, 2), RATE)
    with pytest.raises(AudioError) as caught:
        list(loader(data, start=0, steps=3, workers=workers))
    assert str(caught.value).startswith(f"{clip.path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"segment": 0},
        {"batch_size": 0},
        {"seed": -1},
        {"seed": 2**64},
        {"rank": 2, "world_size": 2},
        {"rank": -1},
        {"peak_db": (-1.0, -2.0)},
        {"peak_db": (-1.0, 0.5)},
        {"split": "trian"},
    ],
)
def test_impossible_values_fail_at_construction(real: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        segments(real, **wrong)


def test_validation_clips_alternate_between_speakers(tmp_path: Path) -> None:
    names = ["c/1", "a/2", "a/1", "b/1", "a/3", "b/2"]
    clips = [
        synthetic(tmp_path / f"{name}.wav", ramp(4000, channels=2), split="valid") for name in names
    ]
    write_manifest(tmp_path / "m.csv", clips)
    chosen = validation_clips(tmp_path / "m.csv", sample_rate=RATE, limit=5, max_seconds=0.25)
    assert [name for name, *_ in chosen] == ["a/1", "b/1", "c/1", "a/2", "b/2"]
    write_manifest(tmp_path / "m.csv", clips[::-1])
    again = validation_clips(tmp_path / "m.csv", sample_rate=RATE, limit=5, max_seconds=0.25)
    for (name, audio, loaded), (other, repeated, _) in zip(chosen, again, strict=True):
        assert (name, loaded) == (other, {})
        assert torch.equal(audio, repeated)
        assert torch.equal(audio, torch.arange(1, 2001)[None] / 32768)
    whole = validation_clips(tmp_path / "m.csv", sample_rate=16000, limit=99, max_seconds=9.0)
    assert [audio.shape for _, audio, _ in whole] == [(1, 8000)] * 6


@pytest.mark.parametrize("bandwidth", [8500, 12000, 24000])
def test_speed_is_in_its_range_and_leaves_enough_bandwidth(bandwidth: int, real: Path) -> None:
    chosen = segments(real, speed=(0.8, 1.25))
    clip = Clip(**vars(chosen.clips[0]) | {"sample_rate": 24000, "bandwidth_hz": bandwidth})
    speeds = [chosen._played_at(clip, value) / 24000 for value in (0.0, 0.3, 0.999)]
    assert speeds == sorted(speeds)
    assert speeds[0] == pytest.approx(max(0.8, min(1.0, 0.9 * 11025 / bandwidth)), rel=2e-3)
    assert speeds[-1] == pytest.approx(1.25, rel=2e-3)


def test_speed_scales_the_pitch_and_is_deterministic(real: Path, tmp_path: Path) -> None:
    time = np.arange(2 * RATE) / RATE
    clip = synthetic(tmp_path / "a" / "tone.wav", 0.5 * np.sin(2 * np.pi * 500 * time)[:, None])
    crop = read_crop(clip, start=100, samples=RATE, sample_rate=RATE, played_at=RATE * 5 // 4)[0]
    spectrum = torch.fft.rfft(crop * torch.hann_window(RATE)).abs()
    assert spectrum.argmax().item() == 625
    one, other = (segments(real, speed=(0.8, 1.25)) for _ in range(2))
    assert same(one[7], other[7])
    assert not same(one[7], segments(real)[7])


def test_impossible_speed_is_an_error(real: Path) -> None:
    with pytest.raises(ConfigError, match="speed"):
        segments(real, speed=(1.2, 0.8))
