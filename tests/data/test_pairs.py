"""Paired clips: how files are matched and checked, and that both crops are aligned."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from vocoder.data.audit import Audit, audit
from vocoder.data.crops import read_with_mel, read_with_narrowband
from vocoder.data.loader import loader
from vocoder.data.manifest import Clip, write_manifest
from vocoder.data.pairs import read_paired_mel
from vocoder.data.segments import Segments
from vocoder.data.validation import validation_clips
from vocoder.errors import AudioError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.io.mel_file import write_mel

RATE, HOP = 8000, 64
SPEC = MelSpec(sample_rate=RATE, n_fft=256, hop_length=HOP, win_length=256, n_mels=6)
CENTERED = dataclasses.replace(SPEC, padding="center")
SEGMENT = 8 * HOP


def random_mel(frames: int, spec: MelSpec = SPEC) -> torch.Tensor:
    return torch.randn(spec.n_mels, frames, generator=torch.manual_seed(frames))


def mel_of(recording: Path, spec: MelSpec = SPEC, *, off: int = 0) -> torch.Tensor:
    """The mel of a recording, its end repeated or cut so that it has `off` frames more."""
    audio, rate = read_audio(recording)
    mel = MelSpectrogram(spec)(resample_soxr(audio, rate, spec.sample_rate)[None])[0]
    return torch.cat([mel, mel[:, -20:]], dim=-1)[:, : mel.shape[-1] + off]


def record(path: Path, samples: int, *, rate: int = RATE, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(samples).uniform(-0.5, 0.5, (samples, channels))
    soundfile.write(path, noise, rate)
    return path


def bare(path: Path, mel: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, mel.numpy())
    return path


def audited(tmp_path: Path, **changes: Any) -> Audit:
    values = {"mels": tmp_path / "mels", "mel_spec": SPEC, "min_seconds": 0.0} | changes
    return audit(tmp_path / "wavs", **values)


def paired(
    tmp_path: Path, *, off: int = 0, samples: int = 4000, spec: MelSpec = SPEC, **changes: Any
) -> Clip:
    """A clip with a random mel that is `off` frames longer than the recording."""
    wav = record(tmp_path / f"{samples}.wav", samples, **changes)
    info = soundfile.info(wav)
    expected = spec.frames(round(samples * RATE / info.samplerate))
    mel = bare(wav.with_suffix(".npy"), random_mel(expected + off, spec))
    return Clip(
        path=wav, split="train", speaker="a", seconds=samples / info.samplerate, samples=samples,
        sample_rate=info.samplerate, channels=info.channels, bandwidth_hz=info.samplerate // 2,
        peak_dbfs=-6.0, mel=mel, mel_spec=spec,
    )  # fmt: skip


def segments(manifest: Path, clips: list[Clip], **changes: Any) -> Segments:
    write_manifest(manifest, clips)
    values = {"sample_rate": RATE, "segment": SEGMENT, "batch_size": 8, "mel": SPEC} | changes
    return Segments(manifest=manifest, **values)


# ------------------------------------------------------------------------------------ prepare


def test_mels_are_found_by_path_or_by_a_name_that_is_unique(tmp_path: Path) -> None:
    recordings = {
        "a/1.wav": "a/1.npy",  # the same path
        "b/1.wav": "b/1.pt",
        "b/only.wav": "elsewhere/only.npy",  # the same name, which nothing else has
        "a/2.wav": None,  # two recordings of that name, one mel
        "b/2.wav": None,
        "a/3.wav": None,  # one recording of that name, two mels
        "a/4.wav": None,  # two formats
        "a/5.wav": None,  # nothing
    }
    for number, name in enumerate(recordings):
        record(tmp_path / "wavs" / name, 4000 + number)
    stray = ["c/2.npy", "x/3.npy", "y/3.npy", "a/4.npy", "a/4.pt", "a/.6.npy", "a/7.npy"]
    sources = {mel: name for name, mel in recordings.items() if mel}
    for name in [*sources, *stray]:
        path = tmp_path / "mels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mel(path, mel_of(tmp_path / "wavs" / sources.get(name, "a/5.wav")), SPEC)
    clips, problems, trimmed = audited(tmp_path, mel_spec=None)
    found = {clip.path.relative_to(tmp_path / "wavs").as_posix(): clip.mel for clip in clips}
    expected = {name: tmp_path / "mels" / mel for name, mel in recordings.items() if mel}
    assert found == expected
    assert trimmed == 0
    unpaired = {problem.path.name: problem for problem in problems if problem.kind == "unpaired"}
    assert {"2.wav", "3.wav", "4.wav", "5.wav"} == unpaired.keys()
    assert all(problem.excluded for problem in unpaired.values())
    assert "no mel file of that name" in unpaired["5.wav"].explanation
    assert "a/4.npy" in unpaired["4.wav"].explanation
    (orphans,) = (problem for problem in problems if problem.kind == "no recording")
    assert orphans.explanation.startswith("2 mel files have no recording")


@pytest.mark.parametrize("spec", [SPEC, CENTERED], ids=lambda spec: spec.padding)
@pytest.mark.parametrize("rate", [RATE, 11025])
def test_one_frame_off_is_trimmed_and_more_is_an_error_by_name(
    spec: MelSpec, rate: int, tmp_path: Path
) -> None:
    expected = spec.frames(round(4000 * RATE / rate))
    offs = [-20, -2, -1, 0, 1, 2, 20]
    for number, off in enumerate(offs):
        record(tmp_path / f"wavs/{off}.wav", 4000, rate=rate)
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 4000)
        soundfile.write(tmp_path / f"wavs/{off}.wav", noise, rate)
        bare(tmp_path / f"mels/{off}.npy", mel_of(tmp_path / f"wavs/{off}.wav", spec, off=off))
    clips, problems, trimmed = audited(tmp_path, mel_spec=spec)
    assert {clip.path.stem for clip in clips} == {"-1", "0", "1"}
    assert all(clip.mel_spec == spec for clip in clips)
    assert trimmed == 2
    assert {problem.path.stem for problem in problems} == {"-20", "-2", "2", "20"}
    for problem in problems:
        off = int(problem.path.stem)
        counts = f"{expected + off} frames, the recording gives {expected} "
        assert f"{tmp_path}/mels/{off}.npy has {counts}" in problem.explanation


def test_a_file_that_cannot_be_a_mel_is_named(tmp_path: Path) -> None:
    faults = {"damaged": "damaged", "shape": "n_mels is 6", "nan": "NaN", "good": ""}
    for number, name in enumerate(faults):
        record(tmp_path / f"wavs/{name}.wav", 4000 + number)
        bare(tmp_path / f"mels/{name}.npy", mel_of(tmp_path / f"wavs/{name}.wav"))
    bare(tmp_path / "mels/nan.npy", torch.full((6, 62), torch.nan))
    bare(tmp_path / "mels/shape.npy", torch.zeros(5, 62))
    (tmp_path / "mels/damaged.npy").write_bytes(b"nothing")
    clips, problems, _ = audited(tmp_path)
    assert [clip.path.stem for clip in clips] == ["good"]
    assert {problem.path.stem for problem in problems} == faults.keys() - {"good"}
    for problem in problems:
        assert faults[problem.path.stem] in problem.explanation
        assert f"{problem.path.stem}.npy" in problem.explanation


def test_mel_settings_are_in_the_file_or_given(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        record(tmp_path / f"wavs/{name}.wav", 4000 + number)
    stated = mel_of(tmp_path / "wavs/a.wav", CENTERED)
    write_mel(bare(tmp_path / "mels/a.npy", stated), stated, CENTERED)
    mel = bare(tmp_path / "mels/b.npy", mel_of(tmp_path / "wavs/b.wav"))
    with pytest.raises(ConfigError, match=rf"{mel}: does not state how.*--preset"):
        audited(tmp_path, mel_spec=None)
    # What the file states takes precedence over the settings given.
    clips, problems, trimmed = audited(tmp_path)
    assert [(clip.mel_spec, trimmed) for clip in clips] == [(None, 0), (SPEC, 0)]
    assert problems == []
    with pytest.raises(ConfigError, match="give mels"):
        audited(tmp_path, mels=None)
    with pytest.raises(ConfigError, match="with a mel or with a narrowband file"):
        audited(tmp_path, narrowband=tmp_path / "mels")
    with pytest.raises(ConfigError, match=r"absent: no mel files there.*\.npy"):
        audited(tmp_path, mels=tmp_path / "absent")


# ------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
def test_every_layout_is_read_alike(suffix: str, tmp_path: Path) -> None:
    clip, mel = paired(tmp_path), random_mel(62)
    clip = dataclasses.replace(clip, mel=tmp_path / f"mel{suffix}")
    for stored in (mel, mel.T, mel[None], mel.T[None]):
        write_mel(clip.mel, stored, SPEC)
        assert torch.equal(read_paired_mel(clip, SPEC), mel)


def test_contract_is_converted_or_refused_by_name(tmp_path: Path) -> None:
    decibels = dataclasses.replace(SPEC, log="db", mean=(-3.0,) * 6, scale=(7.0,) * 6)
    linear = random_mel(62).exp().clamp_min(SPEC.log_floor)
    clip = paired(tmp_path)
    for spec, stated in [(decibels, True), (decibels, False), (SPEC, True)]:
        write_mel(clip.mel, spec.compress(linear), spec)
        if not stated:
            bare(clip.mel, spec.compress(linear))
        used = dataclasses.replace(clip, mel_spec=None if stated else spec)
        torch.testing.assert_close(read_paired_mel(used, SPEC), SPEC.compress(linear))
    other = dataclasses.replace(SPEC, hop_length=80)
    with pytest.raises(MelMismatchError, match=rf"{clip.mel}: .*hop_length 64 \(model: 80\)"):
        read_paired_mel(dataclasses.replace(clip, mel_spec=SPEC), other)
    bare(clip.mel, linear)
    with pytest.raises(ConfigError, match=f"{clip.mel}: does not state"):
        read_paired_mel(dataclasses.replace(clip, mel_spec=None), SPEC)


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("spec", [SPEC, CENTERED], ids=lambda spec: spec.padding)
@pytest.mark.parametrize(("rate", "channels"), [(RATE, 1), (11025, 2)])
def test_crop_equals_a_slice_of_the_whole_pair(
    off: int, spec: MelSpec, rate: int, channels: int, tmp_path: Path
) -> None:
    clip = paired(tmp_path, off=off, spec=spec, rate=rate, channels=channels)
    audio = resample_soxr(read_audio(clip.path)[0].mean(0, keepdim=True), rate, RATE)
    frames = min(spec.frames(audio.shape[-1]), spec.frames(audio.shape[-1]) + off)
    mel = torch.from_numpy(np.load(clip.mel))[:, :frames]
    count = spec.frames(SEGMENT)
    seen = set()
    data = segments(tmp_path / "m.csv", [clip], mel=spec, peak_db=(-1.0, -1.0))
    for batch in (data[step] for step in range(12)):
        assert batch.audio.shape == (8, 1, SEGMENT)
        assert batch.features["mel"].shape == (8, 6, count)
        for real, crop in zip(batch.audio, batch.features["mel"], strict=True):
            (start,) = (mel[0] == crop[0, 0]).nonzero()[0].tolist()
            assert torch.equal(crop, mel[:, start : start + count])
            cut = audio[:, start * HOP : start * HOP + SEGMENT]
            torch.testing.assert_close(real, cut, atol=1e-5, rtol=0)
            seen.add(start)
    assert (min(seen), max(seen)) == (0, frames - count)


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("spec", [SPEC, CENTERED], ids=lambda spec: spec.padding)
def test_short_pair_is_followed_by_silence_in_both(off: int, spec: MelSpec, tmp_path: Path) -> None:
    clip = paired(tmp_path, off=off, spec=spec, samples=5 * HOP + 10)
    hops = 5 + min(off, 0)
    batch = segments(tmp_path / "m.csv", [clip], mel=spec)[0]
    whole = read_audio(clip.path)[0][:, : hops * HOP]
    frames = spec.frames(hops * HOP)
    mel = torch.from_numpy(np.load(clip.mel))[:, :frames]
    silence = torch.tensor(spec.silence)[:, None].expand(-1, spec.frames(SEGMENT) - frames)
    assert (silence < -10).all()  # the log floor: in a log-mel, 0 is loud
    for real, crop in zip(batch.audio, batch.features["mel"], strict=True):
        assert torch.equal(real[:, : hops * HOP], whole)
        assert not real[:, hops * HOP :].any()
        assert torch.equal(crop, torch.cat([mel, silence], -1))


def test_batches_are_a_function_of_seed_and_step(tmp_path: Path) -> None:
    clips = [paired(tmp_path, off=off, samples=4000 + off) for off in (-1, 0, 1)]
    data = segments(tmp_path / "m.csv", clips, seed=3, rank=1, world_size=2)
    for workers in (0, 1):
        batches = list(loader(data, start=5, steps=3, workers=workers))
        for step, batch in enumerate(batches, start=5):
            assert batch.names == data[step].names
            assert torch.equal(batch.audio, data[step].audio)
            assert torch.equal(batch.features["mel"], data[step].features["mel"])
    other = segments(tmp_path / "m.csv", clips, seed=4, rank=1, world_size=2)
    assert not torch.equal(other[5].features["mel"], data[5].features["mel"])
    whole, first = (
        segments(tmp_path / "m.csv", clips, seed=3),
        segments(tmp_path / "m.csv", clips, seed=3, rank=0, world_size=2),
    )
    shares = [first[5].features["mel"], data[5].features["mel"]]
    assert torch.equal(torch.cat(shares), whole[5].features["mel"])


@pytest.mark.parametrize("workers", [0, 1])
def test_mel_that_no_longer_fits_is_one_line_with_both_names(workers: int, tmp_path: Path) -> None:
    clip = paired(tmp_path)
    data = segments(tmp_path / "m.csv", [clip])
    bare(clip.mel, random_mel(82))
    with pytest.raises(MelMismatchError) as caught:
        list(loader(data, start=0, steps=2, workers=workers))
    assert str(caught.value).startswith(f"{clip.path}: {clip.mel} has 82 frames")
    assert "gives 62 " in str(caught.value)
    assert "\n" not in str(caught.value)
    clip.mel.unlink()
    with pytest.raises(MelMismatchError, match=f"{clip.mel}: no such file"):
        data[0]


def test_validation_clips_come_with_the_beginning_of_their_mels(tmp_path: Path) -> None:
    clip = dataclasses.replace(paired(tmp_path, channels=2), split="valid")
    write_manifest(tmp_path / "m.csv", [clip])
    for most, samples in [(1000, 1000), (9000, 62 * HOP)]:
        ((_, audio, given),) = validation_clips(
            tmp_path / "m.csv", sample_rate=RATE, limit=1, max_seconds=most / RATE, mel=SPEC
        )
        assert torch.equal(audio, read_audio(clip.path)[0].mean(0, keepdim=True)[:, :samples])
        assert torch.equal(given["mel"], random_mel(62)[:, : SPEC.frames(samples)])


def test_what_cannot_be_trained_on_pairs_is_an_error_at_construction(tmp_path: Path) -> None:
    clip = paired(tmp_path)
    lone = dataclasses.replace(clip, path=record(tmp_path / "b.wav", 100), mel=None, mel_spec=None)
    manifest = tmp_path / "m.csv"
    with pytest.raises(ConfigError, match="1 of 2 clips have a mel file"):
        segments(manifest, [clip, lone])
    with pytest.raises(ConfigError, match=r"data\.speed.*mel files"):
        segments(manifest, [clip], speed=[0.8, 1.25])
    with pytest.raises(ConfigError, match="takes no mel"):
        segments(manifest, [clip], mel=None)
    assert segments(manifest, [clip], speed=[1.0, 1.0]).paired
    assert not segments(manifest, [dataclasses.replace(clip, mel=None)]).paired


def test_pairs_move_with_their_folder(tmp_path: Path) -> None:
    clip = paired(tmp_path / "old")
    write_manifest(tmp_path / "old/m.csv", [clip])
    shutil.move(tmp_path / "old", tmp_path / "new")
    values = {"sample_rate": RATE, "segment": SEGMENT, "batch_size": 2, "mel": SPEC}
    moved = Segments(manifest=tmp_path / "new/m.csv", **values)
    assert moved[0].features["mel"].shape == (2, 6, 8)


def test_only_a_crop_of_the_recording_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = paired(tmp_path, samples=200_000)
    read: list[int] = []
    original = soundfile.SoundFile.read

    def counted(self: soundfile.SoundFile, frames: int = -1, **options: Any) -> Any:
        read.append(frames)
        return original(self, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    read_with_mel(clip, SPEC, place=0.5, most=SEGMENT)
    assert read == [SEGMENT]


# ---------------------------------------------------------------------------- narrow-band copies


def copied(
    tmp_path: Path,
    *,
    samples: int = 4000,
    more: int = 0,
    rates: tuple[int, int] = (RATE, RATE),
    channels: int = 1,
) -> Clip:
    """A clip and its copy: half the amplitude, the other sign, and `more` samples of its own."""
    path = record(tmp_path / "a.wav", samples, rate=rates[0], channels=channels)
    audio = resample_soxr(read_audio(path)[0].mean(0, keepdim=True), *rates)
    end = -0.5 * torch.nn.functional.pad(audio, (0, more))
    soundfile.write(tmp_path / "copy.wav", end.T.numpy(), rates[1], subtype="FLOAT")
    return Clip(
        path=path, split="train", speaker="a", seconds=samples / rates[0], samples=samples,
        sample_rate=rates[0], channels=channels, bandwidth_hz=rates[0] // 2, peak_dbfs=-6.0,
        narrowband=tmp_path / "copy.wav",
    )  # fmt: skip


def copies(manifest: Path, clips: list[Clip], **changes: Any) -> Segments:
    return segments(manifest, clips, **{"mel": None, "narrowband": True} | changes)


def test_copies_are_found_by_name_at_any_rate_and_a_little_longer_or_shorter(
    tmp_path: Path,
) -> None:
    lengths = {-161: False, -160: True, -1: True, 0: True, 160: True, 161: False}  # 160 are 20 ms
    for number, more in enumerate(lengths):
        record(tmp_path / f"wavs/a/{more}.wav", 4000 + number)
        record(tmp_path / f"far/b/{more}.flac", 2 * (4000 + number + more), rate=2 * RATE)
    record(tmp_path / "far/b/alone.wav", 4000)
    clips, problems, trimmed = audited(
        tmp_path, mels=None, mel_spec=None, narrowband=tmp_path / "far"
    )
    found = {int(clip.path.stem): clip.narrowband for clip in clips}
    fitting = [more for more, fits in lengths.items() if fits]
    assert found == {more: tmp_path / f"far/b/{more}.flac" for more in fitting}
    assert trimmed == len(fitting) - 1
    *unpaired, orphans = problems
    assert {int(problem.path.stem) for problem in unpaired} == {-161, 161}
    for problem in unpaired:
        assert (problem.kind, problem.excluded) == ("unpaired", True)
        assert f"far/b/{problem.path.stem}.flac lasts" in problem.explanation
    assert orphans.explanation.startswith("1 narrowband files have no recording")


def test_a_copy_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    faults = {"missing": "of that name in", "torn": "cannot read", "nan": "NaN", "zero": "silent"}
    for number, name in enumerate([*faults, "good"]):
        record(tmp_path / f"wavs/{name}.wav", 4000 + number)
        record(tmp_path / f"far/{name}.wav", 4000 + number)
    (tmp_path / "far/missing.wav").unlink()
    (tmp_path / "far/torn.wav").write_bytes(b"RIFF, or not")
    soundfile.write(tmp_path / "far/nan.wav", np.full(4002, np.nan), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "far/zero.wav", np.zeros(4003), RATE)
    clips, problems, _ = audited(tmp_path, mels=None, mel_spec=None, narrowband=tmp_path / "far")
    assert [clip.path.stem for clip in clips] == ["good"]
    assert {problem.path.stem for problem in problems} == faults.keys()
    for problem in problems:
        assert faults[problem.path.stem] in problem.explanation
        assert str(tmp_path / "far") in problem.explanation


@pytest.mark.parametrize("rates", [(RATE, RATE), (RATE, 11025), (16000, RATE), (11025, 16000)])
@pytest.mark.parametrize("more", [-40, 0, 40])
def test_both_crops_are_of_the_same_time(rates: tuple[int, int], more: int, tmp_path: Path) -> None:
    """They end with the shorter file, and equal slices of the converted files."""
    clip = copied(tmp_path, more=more, rates=rates, channels=2)
    files = read_audio(clip.path)[0], read_audio(clip.narrowband)[0]
    whole = [
        resample_soxr(audio.mean(0, keepdim=True), rate, RATE)
        for audio, rate in zip(files, rates, strict=True)
    ]
    shorter = min(audio.shape[-1] for audio in whole)
    for place in (0.0, 0.37, 1.0 - 1e-9):
        pair = read_with_narrowband(clip, sample_rate=RATE, place=place, most=SEGMENT)
        start = int(place * (shorter - SEGMENT + 1))
        for crop, audio in zip(pair, whole, strict=True):
            cut = audio[:, start : start + SEGMENT]
            assert cut.shape[-1] == SEGMENT
            torch.testing.assert_close(crop, cut, atol=1e-5, rtol=0)


@pytest.mark.parametrize("peak_db", [None, (-20.0, -1.0)])
def test_level_and_place_of_the_copy_are_those_of_the_recording(
    peak_db: tuple[float, float] | None, tmp_path: Path
) -> None:
    clip = copied(tmp_path)
    data = copies(tmp_path / "m.csv", [clip], peak_db=peak_db)
    audio, _, features, *_ = data[3]
    assert audio.shape == features["narrowband"].shape == (8, 1, SEGMENT)
    torch.testing.assert_close(features["narrowband"], -0.5 * audio)
    levels = audio.square().mean((1, 2)).log10() * 10.0
    assert (levels.std() > 2.0) == (peak_db is not None)
    for workers in (0, 1):
        (batch,) = loader(data, start=3, steps=1, workers=workers)
        assert torch.equal(batch.audio, audio)
        assert torch.equal(batch.features["narrowband"], features["narrowband"])


@pytest.mark.parametrize("more", [-20, 0, 20])
def test_a_short_copied_clip_is_followed_by_silence_in_both(more: int, tmp_path: Path) -> None:
    clip = copied(tmp_path, samples=300, more=more)
    audio, _, features, *_ = copies(tmp_path / "m.csv", [clip])[0]
    end = 300 + min(more, 0)
    torch.testing.assert_close(features["narrowband"], -0.5 * audio)
    assert audio[..., end - 1].all()
    assert not audio[..., end:].any()
    assert not features["narrowband"][..., end:].any()


def test_validation_clips_come_with_the_beginning_of_their_copies(tmp_path: Path) -> None:
    clip = dataclasses.replace(copied(tmp_path, more=-7, channels=2), split="valid")
    write_manifest(tmp_path / "m.csv", [clip])
    for most, samples in [(1000, 1000), (9000, 3993)]:
        ((_, audio, given),) = validation_clips(
            tmp_path / "m.csv",
            sample_rate=RATE,
            limit=1,
            max_seconds=most / RATE,
            narrowband=True,
        )
        assert audio.shape == given["narrowband"].shape == (1, samples)
        torch.testing.assert_close(given["narrowband"], -0.5 * audio, atol=1e-6, rtol=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_copy_that_no_longer_fits_is_one_line_with_both_names(
    workers: int, tmp_path: Path
) -> None:
    clip = copied(tmp_path)
    data = copies(tmp_path / "m.csv", [clip])
    record(clip.narrowband, 5000)
    with pytest.raises(AudioError) as caught:
        list(loader(data, start=0, steps=2, workers=workers))
    assert str(caught.value).startswith(f"{clip.path}: {clip.narrowband} lasts 0.625 s")
    assert "\n" not in str(caught.value)


def test_what_cannot_be_trained_on_copies_is_an_error_at_construction(tmp_path: Path) -> None:
    clip = copied(tmp_path)
    lone = dataclasses.replace(clip, narrowband=None)
    manifest = tmp_path / "m.csv"
    with pytest.raises(ConfigError, match="1 of 2 clips have a narrowband file"):
        copies(manifest, [clip, lone])
    with pytest.raises(ConfigError, match=r"data\.speed.*narrowband files"):
        copies(manifest, [clip], speed=[0.8, 1.25])
    with pytest.raises(ConfigError, match="takes no narrowband"):
        copies(manifest, [clip], narrowband=False)
    assert copies(manifest, [clip]).paired == "narrowband"
    assert copies(manifest, [lone])[0].features == {}
