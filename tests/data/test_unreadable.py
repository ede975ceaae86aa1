"""Clips that go bad after the audit: skipped by a reproducible rule, counted, named."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from vocoder.data.audit import audit
from vocoder.data.loader import loader
from vocoder.data.manifest import Clip, write_manifest
from vocoder.data.segments import Segments
from vocoder.data.unreadable import ATTEMPTS, SkippedClip, SkippedClips
from vocoder.errors import AudioError, ConfigError

RATE = 16000
SEGMENT = 512
COUNT = 8


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:2000] = np.random.default_rng(0).bytes(2000)
    path.write_bytes(content)


def absurd(path: Path) -> None:
    soundfile.write(path, np.full(RATE, 1e20), RATE, subtype="FLOAT", format="WAV")


def not_finite(path: Path) -> None:
    soundfile.write(path, np.full(RATE, math.nan), RATE, subtype="FLOAT", format="WAV")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FAULTS: list[Callable[[Path], None]] = [
    *(empty, truncated, corrupt, absurd, not_finite, folder, os.unlink)
]


def corpus(path: Path, count: int = COUNT) -> Path:
    """A manifest of clips of noise of a second, of which each has a level of its own."""
    clips = []
    for index in range(count):
        file = path / f"{index}.wav"
        noise = np.random.default_rng(index).uniform(-1, 1, RATE)
        soundfile.write(file, noise * (index + 1) / (count + 1), RATE)
        values: dict[str, Any] = {"split": "train", "speaker": "a", "sample_rate": RATE}
        values |= {"samples": RATE, "seconds": 1.0, "channels": 1, "peak_dbfs": 0.0}
        clips.append(Clip(path=file, bandwidth_hz=RATE // 2, **values))
    write_manifest(path / "m.csv", clips)
    return path / "m.csv"


def segments(manifest: Path, **changes: Any) -> Segments:
    values = {"sample_rate": RATE, "segment": SEGMENT, "batch_size": 6, "on_error": "skip"}
    return Segments(manifest=manifest, **(values | changes))


@pytest.mark.parametrize("workers", [0, 2])
def test_every_kind_of_bad_file_is_skipped_counted_and_named_once(
    workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = segments(corpus(tmp_path, count=2 * len(FAULTS)))
    before = [whole[step] for step in range(40)]
    bad = {str(tmp_path / f"{index}.wav") for index in range(len(FAULTS))}
    for path, fault in zip(sorted(bad), FAULTS, strict=True):
        fault(Path(path))
    counted = SkippedClips(2 * len(FAULTS), share=0.5)
    with caplog.at_level(logging.WARNING):
        for step, batch in enumerate(loader(whole, start=0, steps=40, workers=workers)):
            counted.note(batch.skipped)
            counted.count(lambda own: [own])
            assert not set(batch.names) & bad
            assert torch.isfinite(batch.audio).all()
            for index, name in enumerate(before[step].names):
                if name not in bad:  # what can be read is what it was
                    assert batch.names[index] == name
                    assert torch.equal(batch.audio[index], before[step].audio[index])
    assert counted.names == bad
    assert counted.as_values() == {"skipped_crops": counted.crops}
    assert counted.crops >= sum(name in bad for batch in before for name in batch.names)
    lines = [record.getMessage() for record in caplog.records]
    assert sorted(line.split(": skipped, another crop takes its place (")[0] for line in lines) == (
        sorted(bad)
    )


def test_the_crops_in_their_place_follow_from_seed_step_place_and_attempt(tmp_path: Path) -> None:
    manifest = corpus(tmp_path)
    for index in range(3):
        empty(tmp_path / f"{index}.wav")
    batches = [segments(manifest)[step] for step in range(10)]
    assert sum(len(batch.skipped) for batch in batches) > 10
    for step, batch in enumerate(batches):
        shares = [segments(manifest, rank=rank, world_size=3)[step] for rank in range(3)]
        assert torch.equal(torch.cat([share.audio for share in shares]), batch.audio)
        assert sum((share.names for share in shares), []) == batch.names
        assert [each for share in shares for each in share.skipped] == list(batch.skipped)
    others = [segments(manifest, seed=1)[step] for step in range(10)]
    assert all(one.names != other.names for one, other in zip(batches, others, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_corpus_that_is_gone_ends_the_run_in_one_line(workers: int, tmp_path: Path) -> None:
    data = segments(corpus(tmp_path))
    for path in tmp_path.glob("*.wav"):
        path.unlink()
    with pytest.raises(AudioError, match=rf"\.wav: .*{ATTEMPTS}th clip in a row") as caught:
        list(loader(data, start=0, steps=3, workers=workers))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_stop_ends_the_run_at_the_first_bad_clip(workers: int, tmp_path: Path) -> None:
    data = segments(corpus(tmp_path), on_error="stop")
    truncated(tmp_path / "3.wav")
    with pytest.raises(AudioError, match=r"3\.wav: .*cut short"):
        list(loader(data, start=0, steps=20, workers=workers))


def test_more_than_the_share_of_bad_clips_ends_the_run() -> None:
    counted = SkippedClips(100, share=0.05)
    fives = [SkippedClip(f"{index}.wav", "the file is empty") for index in range(5)]
    counted.note(fives + fives)
    counted.count(lambda own: [own, own])  # another process has met the same
    assert (len(counted.names), counted.crops) == (5, 20)
    counted.note([SkippedClip("new.wav", "the file is empty")])
    with pytest.raises(AudioError, match=r"new\.wav: the file is empty; with it, 6 of 100 clips"):
        counted.count(lambda own: [own])
    few = SkippedClips(3, share=0.05)  # one is always tolerated
    few.note(fives[:1])
    few.count(lambda own: [own])


def test_files_missing_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = corpus(tmp_path)
    (tmp_path / "2.wav").unlink()
    with pytest.raises(AudioError, match=r"2\.wav: no such file .1 of 8 are missing"):
        segments(manifest, on_error="stop")
    with caplog.at_level(logging.WARNING):
        assert len(segments(manifest).clips) == COUNT
    assert "2.wav: no such file (1 of 8 are missing); other crops take their place" in caplog.text
    (tmp_path / "3.wav").unlink()
    with pytest.raises(AudioError, match="2 of 8 are missing"):
        segments(manifest)
    segments(manifest, unreadable_share=0.25)


@pytest.mark.parametrize(
    "wrong", [{"on_error": "ignore"}, {"unreadable_share": 0.0}, {"unreadable_share": 1.5}]
)
def test_impossible_settings_are_errors(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}"):
        segments(corpus(tmp_path), **wrong)


def test_a_clip_of_absurd_level_is_refused_by_the_audit(tmp_path: Path) -> None:
    corpus(tmp_path, count=2)
    absurd(tmp_path / "loud.wav")
    result = audit(tmp_path)
    assert [clip.path.name for clip in result.clips] == ["0.wav", "1.wav"]
    problem = next(each for each in result.problems if each.path.name == "loud.wav")
    assert (problem.kind, problem.excluded) == ("not scaled", True)
    assert "1e+20 times full scale" in problem.explanation
