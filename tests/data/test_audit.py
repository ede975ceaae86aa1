import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from vocoder.data.audit import Audit, audit
from vocoder.data.corpus.measure import measure
from vocoder.errors import AudioError, ConfigError
from vocoder.io.audio import read_audio, resample_soxr, write_audio

CLIPS = Path(__file__).parents[2] / "egs/clips"
SPEECH = CLIPS / "lj/LJ001-0013.flac"
RATE = 8000


def noise(seed: int, seconds: float = 0.5, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal((int(seconds * RATE), 1))


def save(path: Path, audio: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, RATE)
    return path


def upsampled(path: Path, rate: int, floor: float) -> Path:
    """Real speech at another rate, with stationary noise of this RMS."""
    audio, recorded_at = read_audio(SPEECH)
    audio = resample_soxr(audio, recorded_at, rate)
    write_audio(
        path, audio + floor * torch.randn(audio.shape, generator=torch.manual_seed(0)), rate
    )
    return path


def clipped() -> np.ndarray:
    audio = noise(1)
    audio[100:103] = 1.0
    audio[200:240] = -1.0
    return audio


FAULTS = {
    "empty.wav": ("unreadable", "empty"),
    "text.flac": ("unreadable", "cannot read audio"),
    "nan.wav": ("unreadable", "NaN"),
    "short.wav": ("too short", "0.100 s"),
    "zeros.wav": ("silent", "-inf"),
    "quiet.wav": ("silent", "peak"),
    "twin.wav": ("duplicate", "original.wav"),
    "clipped.wav": ("clipped", "2 runs"),
    "band_limited.wav": ("low bandwidth", "of 24000 Hz"),
    "stereo.wav": ("stereo", "2 channels"),
}
KEPT = {"original.wav", "clipped.wav", "band_limited.wav", "stereo.wav"}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file per fault, and one without."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "empty.wav").touch()
    (folder / "text.flac").write_text("not audio" * 100)
    (folder / "notes.txt").write_text("no fault, no audio")
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    save(folder / "short.wav", noise(0, seconds=0.1))
    save(folder / "zeros.wav", np.zeros((RATE, 1)))
    save(folder / "quiet.wav", noise(2, level=1e-4))
    save(folder / "original.wav", noise(3))
    save(folder / "twin.wav", noise(3))
    save(folder / "clipped.wav", clipped())
    save(folder / "stereo.wav", np.concatenate([noise(4), noise(5)], axis=1))
    upsampled(folder / "band_limited.wav", 48000, 0.0)
    return folder


def by_name(found: Audit) -> dict[str, str]:
    return {clip.path.stem: clip.split for clip in found.clips}


def test_each_fault_is_named_once_and_files_with_fatal_ones_are_left_out(faulty: Path) -> None:
    clips, problems, _ = audit(faulty)
    assert [clip.path for clip in clips] == sorted(faulty / name for name in KEPT)
    assert sorted((p.path.name, p.kind) for p in problems) == sorted(
        (name, kind) for name, (kind, _) in FAULTS.items()
    )
    for problem in problems:
        assert FAULTS[problem.path.name][1] in problem.explanation
        assert problem.excluded == (problem.path.name not in KEPT)


def test_the_shortest_length_can_be_set(faulty: Path) -> None:
    assert "short" in by_name(audit(faulty, min_seconds=0.05))
    assert by_name(audit(faulty, min_seconds=1.0)).keys() == {"band_limited"}


@pytest.mark.parametrize("path", sorted(CLIPS.rglob("*.flac")), ids=lambda path: path.stem)
def test_real_recordings_are_full_band(path: Path) -> None:
    info = soundfile.info(path)
    measured = measure(path)
    assert 0.93 * info.samplerate / 2 <= measured.bandwidth_hz <= info.samplerate / 2
    audio, _ = read_audio(path)
    assert measured.peak_dbfs == pytest.approx(20 * np.log10(float(audio.abs().max())))
    assert measured.rms_dbfs == pytest.approx(10 * np.log10(float(audio.square().mean())), abs=1e-3)


@pytest.mark.parametrize("rate", [32000, 44100, 48000])
@pytest.mark.parametrize("floor", [0.0, 1e-5, 1e-4])
def test_upsampling_does_not_add_bandwidth(rate: int, floor: float, tmp_path: Path) -> None:
    measured = measure(upsampled(tmp_path / "a.wav", rate, floor))
    assert measured.bandwidth_hz == pytest.approx(11025, rel=0.03)


@pytest.mark.parametrize("position", [0, 2**18 - 4, 2**18 - 2, 2**18 - 1, 2**18, 2**18 + 996])
def test_clipped_run_counts_once_wherever_it_lies(position: int, tmp_path: Path) -> None:
    audio = np.zeros((2**18 + 1000, 2))
    audio[position : position + 4, 1] = 1.0
    assert measure(save(tmp_path / "a.wav", audio)).clipped_runs == 1
    audio[position + 2, 1] = 0.0
    assert measure(save(tmp_path / "b.wav", audio)).clipped_runs == 0


def test_same_samples_are_the_same_in_any_container(tmp_path: Path) -> None:
    for suffix in ("wav", "flac"):
        write_audio(tmp_path / f"a.{suffix}", torch.from_numpy(noise(0)[:, 0]), RATE)
    (problem,) = audit(tmp_path).problems
    assert (problem.kind, problem.path.name) == ("duplicate", "a.wav")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for i in range(120):
        save(folder / f"speaker{i % 2}/{i:03}.wav", noise(i, seconds=0.35))
    return folder


def test_splits_follow_from_the_name(corpus: Path, tmp_path: Path) -> None:
    whole = by_name(audit(corpus))
    assert {"valid", "test"} <= set(whole.values())
    assert list(whole.values()).count("train") > 105
    # Another container, another order of creation, other audio: the same splits.
    for i in reversed(range(120)):
        save(tmp_path / f"speaker{i % 2}/{i:03}.flac", noise(i + 1, seconds=0.35))
    assert by_name(audit(tmp_path)) == whole
    # Clips that come and go move no other clip, apart from those that fill an empty split.
    held_out = {name for name, split in whole.items() if split != "train"}
    for i in range(60):
        if f"{i:03}" not in held_out:
            (tmp_path / f"speaker{i % 2}/{i:03}.flac").unlink()
    fewer = by_name(audit(tmp_path))
    assert len(fewer) < 70
    assert fewer == {name: whole[name] for name in fewer}


@pytest.mark.parametrize(
    ("count", "splits"), [(1, {"train"}), (2, {"train"}), (3, None), (9, None)]
)
def test_small_folders_have_a_clip_in_every_split(
    count: int, splits: set[str] | None, tmp_path: Path
) -> None:
    for i in range(count):
        save(tmp_path / f"{i}.wav", noise(i))
    found = audit(tmp_path)
    assert set(by_name(found).values()) == (splits or {"train", "valid", "test"})
    assert {clip.speaker for clip in found.clips} == {tmp_path.name}


def test_speaker_is_the_first_folder(corpus: Path) -> None:
    for clip in audit(corpus).clips:
        assert clip.speaker == clip.path.parent.name
        assert clip.samples == round(clip.seconds * clip.sample_rate) == 2800


def test_progress_counts_every_file(faulty: Path) -> None:
    seen: list[tuple[int, int]] = []
    audit(faulty, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 11) for i in range(1, 12)]


def write_index(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    return path


def row(path: str, **values: str) -> dict[str, str]:
    defaults = {"split": "test", "speaker": "anna", "licence": "CC0-1.0", "language": "en"}
    return {"path": path} | defaults | values


def test_index_selects_and_describes(faulty: Path) -> None:
    index = write_index(
        faulty.parent / "index.csv",
        [
            row(f"{faulty.name}/original.wav"),
            row(f"{faulty.name}/original.wav"),
            row(f"{faulty.name}/stereo.wav", language="nl"),
            row(f"{faulty.name}/band_limited.wav", split="", speaker="", licence=""),
            row(f"{faulty.name}/gone.wav"),
            row("elsewhere/other.wav"),
        ],
    )
    clips, problems, _ = audit(faulty, index=index, only={"language": {"en", "de"}})
    described = {clip.path.name: (clip.split, clip.speaker, clip.licence) for clip in clips}
    assert described == {
        "band_limited.wav": ("train", faulty.name, ""),
        "original.wav": ("test", "anna", "CC0-1.0"),
    }
    assert [(p.path.name, p.kind) for p in problems] == [
        ("index.csv", "no file"),
        ("band_limited.wav", "low bandwidth"),
    ]


@pytest.mark.parametrize(
    ("rows", "only", "reason"),
    [
        ([{"file": "a.wav"}], {}, r"missing columns \['path'\]"),
        ([{"path": "a.wav"}], {"set": {"speech"}}, r"missing columns \['set'\]"),
        ([row("f/a.wav", split="dev")], {}, r":2: split is 'dev'"),
        ([row("f/a.wav"), row("f/a.wav", speaker="b")], {}, ":3: f/a.wav is listed twice"),
    ],
)
def test_wrong_index(
    rows: list[dict[str, str]], only: dict[str, set[str]], reason: str, tmp_path: Path
) -> None:
    save(tmp_path / "f/a.wav", noise(0))
    with pytest.raises(ConfigError, match=reason):
        audit(tmp_path / "f", index=write_index(tmp_path / "index.csv", rows), only=only)


def test_only_needs_an_index(faulty: Path) -> None:
    with pytest.raises(ConfigError, match="give index"):
        audit(faulty, only={"set": {"speech"}})


def test_folder_without_usable_audio(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="absent: no such folder"):
        audit(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(AudioError, match="no usable audio among 0"):
        audit(tmp_path)
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError, match=r"among 1 .*a\.wav: the file is empty"):
        audit(tmp_path)
