"""Corpora in tars: the same crops as from files, from disk and from an object storage."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from vocoder.data.audit import audit
from vocoder.data.loader import loader
from vocoder.data.manifest import Clip, read_manifest, write_manifest
from vocoder.data.segments import Segments
from vocoder.data.shards.listing import members_of, shards_of
from vocoder.data.shards.writing import write_shards
from vocoder.errors import AudioError, ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io import members
from vocoder.io.audio import read_audio
from vocoder.io.mel_file import write_mel
from vocoder.io.members import CACHE_VARIABLE, Member

from .test_unreadable import RATE, corpus

SPEC = MelSpec.preset("hifigan_16k_80")


@pytest.fixture
def storage() -> Iterator[Any]:
    """An object storage in memory, by its file system."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def segments(manifest: Path, **changes: Any) -> Segments:
    values = {"sample_rate": RATE, "segment": 2048, "batch_size": 5} | changes
    return Segments(manifest=manifest, **values)


def same(one: Segments, other: Segments, steps: int = 4) -> None:
    for step in range(steps):
        assert torch.equal(one[step].audio, other[step].audio)
        for name, feature in one[step].features.items():
            assert torch.equal(feature, other[step].features[name])


@pytest.mark.parametrize("where", ["disk", "storage", "cached"])
@pytest.mark.parametrize("workers", [0, 2])
def test_crops_from_tars_are_those_from_files(
    where: str, workers: int, tmp_path: Path, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = segments(corpus(tmp_path))
    folder = str(tmp_path / "tars") if where == "disk" else "memory://bucket/tars"
    if where == "cached":
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    packed = write_shards(files.clips, folder, most=80_000)
    write_manifest(tmp_path / "s.csv", packed)
    assert read_manifest(tmp_path / "s.csv") == packed
    assert len({clip.path.shard for clip in packed if isinstance(clip.path, Member)}) == 4
    sharded = segments(tmp_path / "s.csv")
    same(files, sharded)
    if where != "storage" or workers == 0:  # what is in memory is in every forked process
        for step, batch in enumerate(loader(sharded, start=2, steps=3, workers=workers), start=2):
            assert torch.equal(batch.audio, files[step].audio)
            assert all(":" in name for name in batch.names)
    if where == "cached":
        assert len(list((tmp_path / "cache").glob("*-train-00000?.tar"))) == 4


def test_long_remote_files_are_read_in_blocks(
    tmp_path: Path, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = write_shards(read_manifest(corpus(tmp_path, count=1)), "memory://bucket")
    monkeypatch.setattr(members, "_AT_ONCE", 1000)
    audio, _ = read_audio(packed[0].path, start=5000, frames=100)
    assert torch.equal(audio, read_audio(tmp_path / "0.wav", start=5000, frames=100)[0])


def test_a_failing_storage_is_tried_again_and_then_named(
    tmp_path: Path, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = write_shards(read_manifest(corpus(tmp_path, count=1)), "memory://bucket")
    calls, fetch = [], type(storage).cat_file

    def failing(self: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) % 3:
            raise RuntimeError("503 slow down\nlong trace")
        return fetch(self, *arguments, **named)

    monkeypatch.setattr(type(storage), "cat_file", failing)
    monkeypatch.setattr(members, "_PAUSE", 0.0)
    assert read_audio(packed[0].path)[0].shape == (1, RATE)
    monkeypatch.setattr(members, "_TRIES", 2)
    with pytest.raises(AudioError, match=r"train-000000\.tar:0\.wav: .*storage \(503 slow down\)$"):
        read_audio(packed[0].path)
    storage.rm("/bucket", recursive=True)
    monkeypatch.setattr(type(storage), "cat_file", fetch)
    with pytest.raises(AudioError, match="the shard does not exist"):
        read_audio(packed[0].path)


@pytest.mark.parametrize("remote", [False, True])
def test_paired_files_go_along(remote: bool, tmp_path: Path, storage: Any) -> None:
    transform, clips = MelSpectrogram(SPEC), []
    for clip in read_manifest(corpus(tmp_path)):
        path = tmp_path / f"{clip.path.stem}.npy"
        write_mel(path, transform(read_audio(clip.path)[0][None])[0], SPEC)
        clips.append(Clip(**vars(clip) | {"mel": path}))
    folder = "memory://bucket" if remote else str(tmp_path / "tars")
    write_manifest(tmp_path / "m.csv", clips)
    write_manifest(tmp_path / "s.csv", write_shards(clips, folder))
    files, sharded = (segments(tmp_path / name, mel=SPEC) for name in ("m.csv", "s.csv"))
    same(files, sharded)
    found = audit(f"{folder}/train-000000.tar")
    assert {clip.mel.name for clip in found.clips if clip.mel} == {f"{i}.mel.npy" for i in range(8)}
    copies = [Clip(**vars(clip) | {"mel": None, "narrowband": clip.path}) for clip in clips]
    other = "memory://copies" if remote else str(tmp_path / "copies")
    write_manifest(tmp_path / "n.csv", copies)
    write_manifest(tmp_path / "t.csv", write_shards(copies, other))
    same(*(segments(tmp_path / name, narrowband=True) for name in ("n.csv", "t.csv")))
    assert all(clip.narrowband for clip in audit(f"{other}/*.tar").clips)


@pytest.mark.parametrize("remote", [False, True])
def test_tars_of_others_are_audited(remote: bool, tmp_path: Path, storage: Any) -> None:
    corpus(tmp_path, count=6)
    soundfile.write(tmp_path / "broken.wav", [0.0] * 100, RATE)
    for shard in range(2):
        with tarfile.open(tmp_path / f"set-{shard:03d}.tar", "w") as tar:
            for index in range(3 * shard, 3 * shard + 3):
                tar.add(tmp_path / f"{index}.wav", f"{'long' * 40}/{index}.wav")
                (tmp_path / "x.json").write_text(
                    json.dumps({"split": "dev", "speaker": "s", "n": 1})
                )
                tar.add(tmp_path / "x.json", f"{'long' * 40}/{index}.json")
                tar.add(tmp_path / "x.json", f"{'long' * 40}/{index}.other.json")
            tar.add(tmp_path / "broken.wav", f"broken{shard}.wav")
    pattern = f"{tmp_path}/set-{{000..001}}.tar"
    if remote:
        for path in tmp_path.glob("*.tar"):
            storage.pipe(f"/b/{path.name}", path.read_bytes())
        pattern = "memory://b/set-{000..001}.tar"
    result = audit(pattern)
    assert [clip.path.stem for clip in result.clips] == list("012345")
    assert {(clip.split, clip.speaker) for clip in result.clips} == {("valid", "s")}
    assert sum(problem.kind == "too short" for problem in result.problems) == 2
    for clip in result.clips:
        name = f"{clip.path.stem}.wav"
        assert torch.equal(read_audio(clip.path)[0], read_audio(tmp_path / name)[0])


def test_a_complete_tar_is_not_written_again(tmp_path: Path) -> None:
    clips, folder = read_manifest(corpus(tmp_path)), tmp_path / "tars"
    first = write_shards(clips, str(folder), most=80_000)
    content = {path: path.read_bytes() for path in folder.iterdir()}
    written = {path: path.stat().st_mtime_ns for path in content}
    last = sorted(content)[-1]
    last.write_bytes(content[last][:5000])  # as if it had been killed
    assert write_shards(clips, str(folder), most=80_000) == first
    assert {path: path.read_bytes() for path in folder.iterdir()} == content
    assert [p for p in content if p.stat().st_mtime_ns != written[p]] == [last]
    (folder / "train-000009.tar").write_bytes(content[last])
    with pytest.raises(ConfigError, match=r"train-000009\.tar: belongs to another corpus"):
        write_shards(clips, str(folder), most=80_000)


def test_keys_have_no_dots_and_are_unique(tmp_path: Path) -> None:
    clips = []
    for name in ("a.b.wav", "a_b.wav", "c.wav", "c.flac", "d/c.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, [0.1, 0.2] * 800, RATE)
        values: dict[str, Any] = {"split": "test", "speaker": "s", "sample_rate": RATE}
        values |= {"samples": 1600, "seconds": 0.1, "channels": 1, "peak_dbfs": 0.0}
        clips.append(Clip(path=path, bandwidth_hz=8000, **values))
    packed = write_shards(clips, str(tmp_path / "tars"))
    assert [clip.path.name for clip in packed] == [
        *("a_b.wav", "a_b_wav.wav", "c.wav", "c_flac.flac", "d/c.wav")
    ]
    (shard,) = (tmp_path / "tars").iterdir()
    listed = members_of(str(shard))
    assert len(listed) == 10
    assert {clip.path for clip in packed} <= set(listed)


def test_patterns(tmp_path: Path) -> None:
    here = [str(tmp_path / f"t-{index:02d}.tar") for index in range(8, 12)]
    assert shards_of(f"{tmp_path}/t-{{08..11}}.tar") == here
    assert shards_of(f"{tmp_path}/t-{{08,09,1{{0,1}}}}.tar") == here
    assert shards_of("s3://b/{a,b}-{9..10}.tar") == [
        f"s3://b/{name}-{number}.tar" for name in "ab" for number in (9, 10)
    ]
    assert shards_of(tmp_path) == []
    with pytest.raises(AudioError, match="no such tars"):
        shards_of(tmp_path / "*.tar")
    with pytest.raises(ConfigError, match="name the tars in it"):
        shards_of("s3://bucket/folder")


@pytest.mark.parametrize("fault", ["cut", "compressed", "gone", "twice", "split"])
def test_wrong_tars_are_one_line_that_names_them(fault: str, tmp_path: Path) -> None:
    shard = tmp_path / "s.tar"
    corpus(tmp_path, count=2)
    with tarfile.open(shard, "w:gz" if fault == "compressed" else "w") as tar:
        tar.add(tmp_path / "0.wav", "a.wav")
        if fault == "twice":
            tar.add(tmp_path / "1.wav", "a.flac")
        if fault == "split":
            (tmp_path / "x.json").write_text('{"split": "trian"}')
            tar.add(tmp_path / "x.json", "a.json")
    if fault == "cut":
        shard.write_bytes(shard.read_bytes()[:20000])
    elif fault == "gone":
        shard.unlink()
    with pytest.raises((AudioError, ConfigError)) as caught:
        audit(shard)
    assert str(caught.value).startswith(str(shard))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="leave out --index, --mels"):
        audit(shard, mels=tmp_path)
