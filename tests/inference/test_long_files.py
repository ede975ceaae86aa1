"""Long files: read, vocoded and written in parts, in constant memory."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import vocoder
from tests.inference.blocks import BLOCK, accelerated, assert_same, mel_of, model, set_block
from vocoder.errors import MelMismatchError
from vocoder.inference.long import mel_files
from vocoder.inference.long.groups import FileGroups
from vocoder.io.audio import probe, read_audio, write_audio
from vocoder.io.mel_file import read_mel, write_mel


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 20 frames, for every model."""
    set_block(monkeypatch, BLOCK)


@pytest.mark.parametrize(
    ("suffix", "seconds"), [(".npy", 0.3), (".npy", 1.7), (".safetensors", 1.3), (".pt", 1.3)]
)
def test_long_recordings_are_analysed_and_copied_in_parts(
    suffix: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    v = model("hifigan_v3")
    noise = torch.randn(2, round(seconds * 16000), generator=torch.Generator().manual_seed(0))
    write_audio(tmp_path / "in.wav", 0.1 * noise, 16000)
    audio, rate = read_audio(tmp_path / "in.wav")
    mel, copy = v.mel(audio, sample_rate=rate), v.resynth(audio, sample_rate=rate)
    write_mel(tmp_path / f"whole{suffix}", mel, v.spec)
    assert v.mel_file(tmp_path / "in.wav", tmp_path / f"short{suffix}") == mel.shape[1]
    whole, short = (tmp_path / f"{name}{suffix}" for name in ("whole", "short"))
    assert whole.read_bytes() == short.read_bytes()
    set_block(monkeypatch, BLOCK)
    monkeypatch.setattr("vocoder.inference.live._AT_ONCE", 0.5)
    monkeypatch.setattr("vocoder.inference.live._PART", 1)
    assert_same(v.mel(audio, sample_rate=rate), mel)
    assert_same(v.resynth(audio, sample_rate=rate), copy)
    assert v.mel_file(tmp_path / "in.wav", tmp_path / f"parts{suffix}") == mel.shape[1]
    written = read_mel(tmp_path / f"parts{suffix}")
    assert_same(written.mel, mel)
    assert written.spec == v.spec
    assert v.resynth_file(tmp_path / "in.wav", tmp_path / "copy.wav") == len(copy)
    made, _ = read_audio(tmp_path / "copy.wav")
    assert float((made[0] - copy.clamp(-1, 1)).abs().max()) < 2.0**-15 + 1e-5


STORED: dict[str, Callable[[Path, Tensor], object]] = {
    "bare.npy": lambda path, mel: np.save(path, mel.numpy()),
    "frames-first.npy": lambda path, mel: np.save(path, np.ascontiguousarray(mel.numpy().T)),
    "fortran.npy": lambda path, mel: np.save(path, np.asfortranarray(mel.numpy())),
    "one.npy": lambda path, mel: np.save(path, mel.numpy()[None]),
    "fortran-one.npy": lambda path, mel: np.save(path, np.asfortranarray(mel.numpy()[None])),
    "big.npy": lambda path, mel: np.save(path, mel.numpy().astype(">f8")),
    "half.npy": lambda path, mel: np.save(path, mel.numpy().astype(np.float16)),
    "stated.npy": lambda path, mel: write_mel(path, mel, model("hifigan_v3").spec),
    "stated.safetensors": lambda path, mel: write_mel(path, mel, model("hifigan_v3").spec),
    "stated.pt": lambda path, mel: write_mel(path, mel, model("hifigan_v3").spec),
    "packed.npz": lambda path, mel: np.savez(path, mel=mel.numpy()),
}


@pytest.mark.parametrize("name", STORED)
def test_mel_files_are_read_in_parts(name: str, tmp_path: Path) -> None:
    spec, path = model("hifigan_v3").spec, tmp_path / name
    STORED[name](path, mel_of("hifigan_v3"))
    expected = read_mel(path)
    stored = mel_files.MelSource(path)
    assert stored.spec == expected.spec
    assert stored.frames(spec) == 110
    mel = torch.cat(list(stored.parts(spec, [0, 7, 60, 110])), dim=1)
    assert torch.equal(mel, expected.mel if expected.mel.shape[0] == 80 else expected.mel.T)


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_file_is_vocoded_as_its_mel_is(suffix: str, tmp_path: Path) -> None:
    v, mel = model("hifigan_v3"), mel_of("hifigan_v3")
    write_mel(tmp_path / f"a{suffix}", mel, v.spec)
    assert v.file(tmp_path / f"a{suffix}", tmp_path / "a.wav") == 110 * 256
    write_audio(tmp_path / "b.wav", v(mel), v.sample_rate)
    made, expected = (read_audio(tmp_path / name)[0] for name in ("a.wav", "b.wav"))
    assert float((made - expected).abs().max()) <= 2.0**-15


@pytest.mark.usefixtures("short_blocks")
def test_a_bad_value_far_inside_a_file_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    v, mel = model("hifigan_v3"), mel_of("hifigan_v3").clone()
    mel[3, 100] = float("nan")
    np.save(tmp_path / "a.npy", mel.numpy())
    with pytest.raises(MelMismatchError, match=r"a\.npy: the mel has 1 of .* NaN or infinite"):
        v.file(tmp_path / "a.npy", tmp_path / "a.wav")
    other = vocoder.MelSpec.preset("vocos_24k_100")
    write_mel(tmp_path / "b.npy", torch.zeros(100, 300), other)
    with pytest.raises(MelMismatchError, match=r"b\.npy: the mel was made with sample_rate 24000"):
        v.file(tmp_path / "b.npy", tmp_path / "b.wav")
    assert not list(tmp_path.glob("*.wav"))


def test_files_are_vocoded_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    v, mel = model("hifigan_v3"), mel_of("hifigan_v3")
    paths = [tmp_path / f"{n}.npy" for n in (60, 10, 59, 61, 11)]
    for path in paths:
        write_mel(path, mel[:, : int(path.stem)], v.spec)
    paths[1].write_bytes(b"nothing")
    sizes = accelerated(monkeypatch)
    groups = FileGroups(v, paths, None)
    monkeypatch.setattr(groups, "ahead", True)
    for path in (paths[0], *paths[2:]):
        source = mel_files.MelSource(path)
        assert groups.file(source, path.with_suffix(".wav")) == int(path.stem) * 256
        made, _ = read_audio(path.with_suffix(".wav"))
        assert float((made[0] - v(mel[:, : int(path.stem)])).abs().max()) <= 2.0**-15 + 1e-5
    assert sizes == [3]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "hifigan_v3"])
def test_an_hour_takes_the_memory_of_a_minute(name: str, tmp_path: Path) -> None:
    v, mel = model(name), mel_of(name)
    v.save(tmp_path / "model")
    peaks = []
    for seconds in (60, 3600):
        frames = round(seconds * v.sample_rate / v.spec.hop_length)
        write_mel(
            tmp_path / "mel.npy", mel.repeat(1, -(-frames // mel.shape[1]))[:, :frames], v.spec
        )
        command = ["vocode", tmp_path / "mel.npy", "-o", tmp_path / "a.wav"]
        code = (
            "import resource, sys; from vocoder.cli.app import main\n"
            "try: main()\nexcept SystemExit as end: assert not end.code\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, *command, "--model", tmp_path / "model"],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(run.stdout.split()[-1]))
        assert probe(tmp_path / "a.wav").samples == frames * v.spec.hop_length
    assert peaks[1] <= 1.2 * peaks[0]
