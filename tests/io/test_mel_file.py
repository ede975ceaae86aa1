"""Mel files: mel and spec are read as they were written; damaged files are errors."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vocoder.errors import ConfigError, MelMismatchError, VocoderError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.io.mel_file import SUFFIXES, read_mel, read_spec, write_mel

SPEC = MelSpec.preset("pwg_22k_80")
NORMALISED = dataclasses.replace(SPEC, mean=tuple(0.1 * band for band in range(80)))


@pytest.mark.parametrize("spec", [SPEC, NORMALISED])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_mel_and_spec_are_read_as_written(tmp_path: Path, suffix: str, spec: MelSpec) -> None:
    mel = torch.randn(80, 7)
    write_mel(tmp_path / f"a{suffix}", mel, spec)
    loaded = read_mel(tmp_path / f"a{suffix}")
    assert torch.equal(loaded.mel, mel)
    assert loaded.spec == spec
    assert os.listdir(tmp_path) == [f"a{suffix}"]


def test_other_programs_read_our_files(tmp_path: Path) -> None:
    mel = torch.randn(80, 7)
    for suffix in SUFFIXES:
        write_mel(tmp_path / f"a{suffix}", mel, SPEC)
    assert np.array_equal(np.load(tmp_path / "a.npy"), mel.numpy())
    assert np.array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), mel.numpy())
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True)["mel"], mel)
    assert torch.equal(load_file(tmp_path / "a.safetensors")["mel"], mel)


def write_bare(path: Path, mel: np.ndarray[Any, Any]) -> None:
    tensor = torch.from_numpy(np.ascontiguousarray(mel))
    if path.suffix == ".npy":
        np.save(path, mel)
    elif path.suffix == ".pt":
        torch.save(tensor, path)
    else:
        save_file({"features": tensor}, path)


@pytest.mark.parametrize("shape", [(80, 7), (7, 80), (1, 80, 7)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_other_projects_have_no_spec(
    tmp_path: Path, suffix: str, shape: tuple[int, ...]
) -> None:
    mel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_bare(tmp_path / f"a{suffix}", mel)
    loaded = read_mel(tmp_path / f"a{suffix}")
    assert loaded.spec is None
    assert np.array_equal(loaded.mel.numpy(), mel[0] if len(shape) == 3 else mel)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_float_type_and_order(tmp_path: Path, dtype: str, order: Any) -> None:
    mel = np.arange(12, dtype=dtype).reshape(3, 4, order=order)
    np.save(tmp_path / "a.npy", mel)
    loaded = read_mel(tmp_path / "a.npy").mel
    assert loaded.dtype == torch.float32
    assert np.array_equal(loaded.numpy(), mel.astype(np.float32))


@pytest.mark.parametrize("cut", [0, 1, 60, 500, -1])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_file_is_an_error_that_names_it(tmp_path: Path, suffix: str, cut: int) -> None:
    path = tmp_path / f"a{suffix}"
    write_mel(path, torch.randn(80, 7), SPEC)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(VocoderError, match=f"{path}: "):
        read_mel(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"text\n", b"RIFF....WAVE", bytes(range(256)) * 8])
def test_file_that_is_no_mel_is_an_error_that_names_it(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(VocoderError, match=f"{path}: "):
        read_mel(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_that_are_not_finite_are_counted(tmp_path: Path, suffix: str, value: float) -> None:
    path = tmp_path / f"a{suffix}"
    mel = np.zeros((80, 7), dtype=np.float32)
    mel[3, :2] = value
    write_bare(path, mel)
    with pytest.raises(MelMismatchError, match=f"{path}: .* 2 of 560 values"):
        read_mel(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((80, 7), dtype=np.int16),
        np.zeros((80, 7), dtype=np.complex64),
        np.full((80, 7), "a"),
        np.zeros((80, 7), dtype=[("x", "f4")]),
    ],
)
def test_array_of_other_things_than_floats_is_refused(
    tmp_path: Path, array: np.ndarray[Any, Any]
) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(MelMismatchError, match="give floats"):
        read_mel(tmp_path / "a.npy")


class Evil:
    """Pickled, this would run a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def test_pickles_are_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    torch.save({"mel": Evil()}, "a.pt")
    for name in ("a.npy", "a.pt"):
        with pytest.raises(VocoderError, match=name):
            read_mel(Path(name))
    assert not Path("evil").exists()


@pytest.mark.parametrize("content", [{"wav": torch.zeros(3)}, {"mel": [1.0]}, [torch.zeros(3)], 1])
def test_pt_without_a_mel_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(VocoderError, match=r'a\.pt: holds neither a tensor nor \{"mel"'):
        read_mel(tmp_path / "a.pt")


def test_spec_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    spec = SPEC.to_dict() | {"hop_lenght": 256}
    torch.save({"mel": torch.zeros(80, 7), "mel_spec": spec}, tmp_path / "a.pt")
    with pytest.raises(VocoderError, match=r"a\.pt: .*hop_lenght"):
        read_mel(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.wav", "a", "a.npz"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(VocoderError, match=r"must end in \.npy, \.pt, \.safetensors"):
        read_mel(tmp_path / name)
    with pytest.raises(VocoderError, match=r"must end in \.npy, \.pt, \.safetensors"):
        write_mel(tmp_path / name, torch.zeros(80, 7), SPEC)


def test_missing_file_and_directory_are_named(tmp_path: Path) -> None:
    (tmp_path / "dir.npy").mkdir()
    for name, reason in (("none.npy", "no such file"), ("dir.npy", "cannot be read")):
        with pytest.raises(VocoderError, match=f"{name}: {reason}"):
            read_mel(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str, full_disk: Any) -> None:
    path = tmp_path / f"a{suffix}"
    write_mel(path, torch.zeros(80, 1), SPEC)
    before = path.read_bytes()
    with full_disk(), pytest.raises(VocoderError, match=f"{path}: cannot be written"):
        write_mel(path, torch.randn(80, 100), SPEC)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_settings_are_read_by_preset_or_from_a_file(tmp_path: Path, name: str) -> None:
    assert read_spec(name) == PRESETS[name]
    (tmp_path / "spec.json").write_text(json.dumps(PRESETS[name].to_dict()))
    (tmp_path / "config.json").write_text(json.dumps({"mel": PRESETS[name].to_dict()}))
    assert read_spec(str(tmp_path / "spec.json")) == PRESETS[name]
    assert read_spec(str(tmp_path / "config.json")) == PRESETS[name]


@pytest.mark.parametrize("text", ["", "[]", '{"n_fft": 3}', '{"mel": 1}', '{"n_fft": "a"}'])
def test_file_without_valid_settings_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(ConfigError, match=r"spec\.json"):
        read_spec(str(tmp_path / "spec.json"))
    with pytest.raises(ConfigError, match="presets are"):
        read_spec("no_such_preset")
