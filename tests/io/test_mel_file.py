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
from vocoder.io.mel_file import read_mel, read_spec, write_mel

SPEC = MelSpec.preset("pwg_22k_80")
SUFFIXES = (".npy", ".pt", ".safetensors")  # those that are written
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
    with pytest.raises(VocoderError, match=r"a\.pt: holds no array that can be a mel: "):
        read_mel(tmp_path / "a.pt")


def test_spec_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    spec = SPEC.to_dict() | {"hop_lenght": 256}
    torch.save({"mel": torch.zeros(80, 7), "mel_spec": spec}, tmp_path / "a.pt")
    with pytest.raises(VocoderError, match=r"a\.pt: .*hop_lenght"):
        read_mel(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.wav", "a", "a.npz"])
def test_other_suffixes_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(VocoderError, match=r"must end in \.npy, \.pt, \.safetensors"):
        write_mel(tmp_path / name, torch.zeros(80, 7), SPEC)


def _npz(path: Path, compressed: bool = False, **arrays: Any) -> None:
    with path.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)


def _npy(path: Path, *arrays: Any, tail: bytes = b"") -> None:
    with path.open("wb") as file:
        for array in arrays:
            np.save(file, array)
        file.write(tail)


MEL = np.random.default_rng(0).normal(size=(80, 7)).astype(np.float32)
F0, TENSOR = MEL[0], torch.from_numpy(MEL)
OTHER_PROGRAMS: dict[str, tuple[str, Any]] = {
    "npz": ("a.npz", lambda path: _npz(path, anything=MEL)),
    "npz, packed": ("a.npz", lambda path: _npz(path, compressed=True, mel=0 * MEL + 1, text="a")),
    "npz, called otherwise": ("a.bin", lambda path: _npz(path, mel=MEL, linear=MEL)),
    "two arrays in an npy": ("a.npy", lambda path: _npy(path, MEL, F0)),
    "mel and a count": ("a.npy", lambda path: _npy(path, MEL, np.int64(3))),
    "npy, called pt": ("a.pt", lambda path: _npy(path, MEL)),
    "pth": ("a.pth", lambda path: torch.save(TENSOR, path)),
    "mel": ("a.mel", lambda path: torch.save(TENSOR[None], path)),
    "no suffix": ("a", lambda path: torch.save(TENSOR, path)),
    "torch, called npy": ("a.npy", lambda path: torch.save(TENSOR, path)),
    "torch, called safetensors": ("a.safetensors", lambda path: torch.save(TENSOR, path)),
    "torch before 1.6": (
        "a.pt",
        lambda path: torch.save({"x": TENSOR}, path, _use_new_zipfile_serialization=False),
    ),
    "NumPy in torch": (
        "a.pt",
        lambda path: torch.save({"m": MEL, "n": np.float64(1), "id": "u1", "f0": F0}, path),
    ),
    "a list of one": ("a.pt", lambda path: torch.save([TENSOR, F0, 3], path)),
    "a known name": ("a.pt", lambda path: torch.save({"mels": TENSOR, "align": TENSOR.T}, path)),
    "mel among others": ("a.pt", lambda path: torch.save({"mel": TENSOR, "mels": MEL}, path)),
    "nested": ("a.pt", lambda path: torch.save({"out": {"post": [TENSOR]}, "f0": F0}, path)),
    "a mel called mel_spec": ("a.pt", lambda path: torch.save({"mel_spec": TENSOR}, path)),
    "one of two tensors": (
        "a.bin",
        lambda path: save_file({"m": TENSOR, "f0": torch.zeros(7)}, path),
    ),
}


@pytest.mark.parametrize("case", OTHER_PROGRAMS)
def test_content_decides_where_one_reading_is_right(tmp_path: Path, case: str) -> None:
    name, write = OTHER_PROGRAMS[case]
    write(tmp_path / name)
    loaded = read_mel(tmp_path / name)
    assert loaded.spec is None
    expected = 0 * MEL + 1 if case == "npz, packed" else MEL
    np.testing.assert_array_equal(loaded.mel.numpy(), expected)


AMBIGUOUS: dict[str, tuple[Any, str]] = {
    "two in a torch file": (
        lambda path: torch.save({"mel_a": TENSOR, "mel_b": MEL, "f0": F0}, path),
        r"holds 2 arrays that can be a mel: mel_a float32 \[80, 7\], mel_b float32 \[80, 7\], "
        r'f0 float32 \[7\]; store the mel alone, or as "mel"',
    ),
    "two in an npy": (lambda path: _npy(path, MEL, MEL), r"array 1 float32 .*, array 2 float32"),
    "two in an npz": (lambda path: _npz(path, a=MEL, b=MEL), "holds 2 arrays .* a float32"),
    "only others": (
        lambda path: _npz(path, f0=F0, ids=np.zeros((80, 7), dtype=np.int16)),
        r"holds no array that can be a mel: f0 float32 \[7\], ids int16 \[80, 7\]",
    ),
    "many": (
        lambda path: torch.save({f"w{n}": TENSOR for n in range(9)}, path),
        "holds 9 arrays .* and 4 more",
    ),
    "a name with line breaks": (
        lambda path: torch.save({"a\nb": TENSOR, "c": TENSOR}, path),
        r"'a\\nb' float32",
    ),
    "an mp3": (lambda path: path.write_bytes(b"ID3" + bytes(99)), r"not a mel file; \.npy, \.npz"),
    "bytes after the mel": (
        lambda path: _npy(path, MEL, tail=b"more bytes"),
        "array 2: not an .npy array",
    ),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_content_is_listed_where_no_reading_is_right(tmp_path: Path, case: str) -> None:
    write, words = AMBIGUOUS[case]
    write(tmp_path / "a.mel")
    with pytest.raises(VocoderError, match=words) as error:
        read_mel(tmp_path / "a.mel")
    assert str(error.value).startswith(f"{tmp_path / 'a.mel'}: ")
    assert "\n" not in str(error.value)


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
