"""Files from anywhere: what a reader accepts, and that a file cannot claim more than it holds."""

import argparse
import collections
import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vocoder.errors import MelMismatchError, VocoderError
from vocoder.io.untrusted import (
    ProgramCodeError,
    load_npy,
    load_npz,
    load_safetensors,
    load_torch,
    parse_json,
    read_json,
)

HUGE = 10**11


class Call:
    """What the function returns, called only when the file is read."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


class Storage:
    """A storage of floats that a file claims to have."""

    def __init__(self, values: Any, key: Any = "0") -> None:
        self.id = ("storage", torch.FloatStorage, key, "cpu", values)


def write_torch(path: Path, content: Any, data: bytes = b"") -> None:
    """A torch file with one storage of these bytes, whatever its content says."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return value.id if isinstance(value, Storage) else None

    instructions = io.BytesIO()
    Pickler(instructions, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", instructions.getvalue())
        archive.writestr("archive/data/0", data)
        archive.writestr("archive/version", "3\n")


def tensor(
    storage: Storage, shape: tuple[Any, ...], stride: tuple[Any, ...], offset: int = 0
) -> Any:
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, storage, offset, shape, stride, False, collections.OrderedDict())


def nested(levels: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = make(value)
    return value


def npy(descr: str, shape: str, data: bytes = b"") -> io.BytesIO:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return io.BytesIO(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data)


PLAIN: dict[str, Any] = {
    "state dict": torch.nn.Conv1d(3, 4, 5).state_dict(),
    "parameter": {"a": torch.nn.Parameter(torch.randn(3))},
    "types": {str(kind): torch.ones(3, dtype=kind) for kind in (torch.int64, torch.bfloat16)},
    "views": {"whole": torch.arange(12.0).reshape(3, 4), "turned": torch.zeros(3, 4).t()},
    "empty and single": [torch.empty(0, 80), torch.tensor(3)],
    "values": {"a": [1, 2.5, None, True, "x", b"yy", (1, 2)], 3: {1, 2}, "n": 1 << 80, "c": 1j},
    "counter": {"steps": collections.Counter([1, 1]), "size": torch.Size([1, 2])},
    "NumPy": {"a": np.asfortranarray(np.ones((3, 4))), "b": np.float32(2), "c": np.arange(3)},
}


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("case", PLAIN)
def test_plain_torch_files_are_read_as_torch_reads_them(
    tmp_path: Path, case: str, new: bool
) -> None:
    path = tmp_path / "a.pt"
    torch.save(PLAIN[case], path, _use_new_zipfile_serialization=new)
    assert repr(load_torch(path)) == repr(PLAIN[case])


def test_a_tensor_that_shares_its_storage_still_does(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    torch.save([whole, whole[2:4]], tmp_path / "a.pt")
    first, second = load_torch(tmp_path / "a.pt")
    second += 10.0
    assert first[2] == 12.0


def refused_values() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "sparse": torch.eye(3).to_sparse(),
            "meta": torch.empty(HUGE, device="meta"),
            "nested": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
            "quantised": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
            "of stride 0": torch.zeros(1).expand(1000, 1000),
            "deep": nested(100, lambda value: [value]),
            "objects": np.array([{}], dtype=object),
            "texts": np.array(["a"]),
        }


@pytest.mark.parametrize("case", refused_values())
def test_what_is_not_plain_and_dense_is_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.pt"
    for new in (True, False):
        torch.save({"mel": refused_values()[case]}, path, _use_new_zipfile_serialization=new)
        with pytest.raises(VocoderError) as error:
            load_torch(path)
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


FOUR = Storage(4)
CYCLE: list[Any] = []
CYCLE.append(CYCLE)
CLAIMS: dict[str, Any] = {
    "huge shape": tensor(FOUR, (HUGE,), (1,)),
    "stride 0": tensor(FOUR, (HUGE, 2), (0, 1)),
    "huge and empty": tensor(FOUR, (0, HUGE), (1, 1)),
    "beyond the end": tensor(FOUR, (2,), (1,), offset=3),
    "negative": tensor(FOUR, (-2,), (1,)),
    "no number": tensor(FOUR, (True, 2.0), (1, 1)),
    "huge storage": tensor(Storage(HUGE), (2,), (1,)),
    "negative storage": tensor(Storage(-4), (2,), (1,)),
    "another storage": tensor(Storage(4, key="7"), (2,), (1,)),
    "a storage of two sizes": [tensor(FOUR, (2,), (1,)), tensor(Storage(2), (2,), (1,))],
    "a storage with a number": tensor(Storage(4, key=0), (2,), (1,)),
    "a bytearray": Call(bytearray, HUGE),
    "one tensor often": [tensor(Storage(16_000), (16_000,), (1,)) for _ in range(100)],
    "billion laughs": nested(60, lambda value: [value, value]),
    "deep keys": {nested(100_000, lambda value: (value,)): 1},
    "a cycle": CYCLE,
    "attributes": Call(collections.OrderedDict, state={"keys": 1}),
    "a function": torch._utils._rebuild_tensor_v2,
}


@pytest.mark.parametrize("case", CLAIMS)
def test_what_a_torch_file_claims_is_not_allocated(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.pt"
    write_torch(path, tensor(FOUR, (2, 2), (2, 1)), bytes(16))
    assert torch.equal(load_torch(path), torch.zeros(2, 2))
    if case == "deep keys":  # `pickle` could not write it
        instructions = b"\x80\x02}K\x01" + 100_000 * b"\x85" + b"K\x01s."
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", instructions)
    else:
        write_torch(path, CLAIMS[case], bytes(64_000))
    with pytest.raises(VocoderError) as error:
        load_torch(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_numpy_arrays_in_torch_files_claim_no_more_than_they_hold(tmp_path: Path) -> None:
    parts: Any = np.zeros(2).__reduce__()
    rebuild, arguments, state = parts
    for change in ({1: (HUGE,)}, {1: (-2,)}, {4: b"ab"}, {4: [1.0, 2.0]}):
        changed = tuple(change.get(place, value) for place, value in enumerate(state))
        write_torch(tmp_path / "a.pt", Call(rebuild, *arguments, state=changed))
        with pytest.raises(VocoderError, match=r"a\.pt: "):
            load_torch(tmp_path / "a.pt")
    write_torch(tmp_path / "a.pt", Call(rebuild, np.ndarray, (HUGE,), b"b"))
    with pytest.raises(VocoderError, match=r"a\.pt: damaged"):
        load_torch(tmp_path / "a.pt")


def test_a_torch_file_before_1_6_claims_no_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.zeros(3), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    size = content.index(b"K\x03", content.index(b"cpu"))
    path.write_bytes(content[:size] + b"J\x00\x00\x00\x7f" + content[size + 2 :])
    with pytest.raises(VocoderError, match=r"a\.pt: cut short or damaged"):
        load_torch(path)
    path.write_bytes(content[:-5])
    with pytest.raises(VocoderError, match=r"a\.pt: cut short"):
        load_torch(path)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (argparse.Namespace(a=1), "argparse.Namespace"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (Call(os.mkdir, "evil"), f"{os.mkdir.__module__}.mkdir"),
    ],
)
def test_program_code_is_named_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": content}, "a.pt")
    with pytest.raises(ProgramCodeError, match=r"^a\.pt: .*, which is not run$") as error:
        load_torch(Path("a.pt"))
    assert error.value.name == name
    assert not Path("evil").exists()


def test_program_in_torchscript_is_not_run(tmp_path: Path) -> None:
    write_torch(tmp_path / "a.pt", {})
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(ProgramCodeError, match="TorchScript"):
        load_torch(tmp_path / "a.pt")


def test_other_files_are_no_torch_files(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    np.savez_compressed(tmp_path / "a.npz", mel=np.zeros(9))
    contents = {
        "empty": b"",
        "a pickle of Python objects": pickle.dumps({"a": 1}, protocol=2),
        "a zip file": (tmp_path / "a.npz").read_bytes(),
        "damaged file": b"hello, world",
    }
    for words, content in contents.items():
        path.write_bytes(content)
        with pytest.raises(VocoderError, match=rf"a\.pt: .*{words}"):
            load_torch(path)
    with pytest.raises(VocoderError, match=r"b\.pt: no such training state"):
        load_torch(tmp_path / "b.pt", "training state")
    with pytest.raises(VocoderError, match="cannot be read"):
        load_torch(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (100_000 * "[", "nested too deeply"),
        (100 * "[" + 100 * "]", "nested more than 64 deep"),
        (9999 * "1", "not JSON"),
        ('"\\ud800"', "not JSON"),
        ("", "not JSON"),
        ('{"a": 1', "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b" " * (1 << 25), "more than 16 MiB"),
    ],
)
def test_json_is_bounded(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(VocoderError, match=f"^x: .*{words}"):
        parse_json(text, "x")
    path = tmp_path / "a.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(VocoderError, match=rf"a\.json: .*{words}"):
        read_json(path)


def test_json_of_usual_depth_is_read(tmp_path: Path) -> None:
    values = {"a": [1, 2.5, None, {"b": "ü"}], "deep": nested(50, lambda value: [value])}
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "a.json").write_bytes(json.dumps(values, ensure_ascii=False).encode(encoding))
        assert read_json(tmp_path / "a.json") == values
    with pytest.raises(VocoderError, match="no such file"):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4)])
@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "|u1", "<i8", "|b1", "<c8"])
def test_npy_is_read_as_numpy_reads_it(kind: str, shape: tuple[int, ...]) -> None:
    array = np.asfortranarray(np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind))
    file = io.BytesIO()
    for version in ((1, 0), (2, 0), (3, 0)):
        np.lib.format.write_array(file, array, version=version)
    end = file.tell()
    file.seek(0)
    for _ in range(3):
        loaded = load_npy(file, end - file.tell(), "x")
        assert loaded.dtype == array.dtype and loaded.flags.writeable
        np.testing.assert_array_equal(loaded, array, strict=True)
    file.seek(0)
    np.testing.assert_array_equal(load_npy(file, None, "x"), array, strict=True)


def test_npy_of_python_2_is_read() -> None:
    assert load_npy(npy("'<f4'", "(1L, 2L)", bytes(8)), None, "x").shape == (1, 2)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (npy("'<f4'", "(80, 1000000000)", bytes(80)), "cut short, 80 of 320000000000 bytes"),
        (npy("'<f4'", f"({10**18}, {10**18})"), "damaged"),
        (npy("'<f4'", f"(0, {10**30})"), "damaged"),
        (npy("'<f4'", "(-1,)"), "damaged"),
        (npy("'<f4'", "(80)"), "damaged"),
        (npy("'<f4'", 9000 * "("), "damaged"),
        (npy("'<f99'", "(1,)"), "damaged"),
        (npy("3", "(1,)"), "damaged"),
        (npy("'|O'", "(1,)"), "Python objects; give floats"),
        (npy("'<U3'", "(1,)"), "'<U3' values; give floats"),
        (npy("[('x', '<f4')]", "(1,)"), "values; give floats"),
        (io.BytesIO(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(20)), "2147483647 bytes long"),
        (io.BytesIO(b"\x93NUMPY\x09\x00" + bytes(20)), "version 9.0"),
        (io.BytesIO(b"\x93NUM"), "cut short"),
        (io.BytesIO(b"RIFF and so on"), "not an .npy array"),
    ],
)
def test_npy_claims_no_more_than_it_holds(file: io.BytesIO, words: str) -> None:
    for size in (len(file.getvalue()), None):
        file.seek(0)
        with pytest.raises(VocoderError, match=f"^x: .*{words}") as error:
            load_npy(file, size, "x", MelMismatchError)
        assert isinstance(error.value, MelMismatchError) == ("give floats" in words)


def test_npz_leaves_out_texts_and_refuses_bombs(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(3), b=np.array(["text"]), c=np.array([None]), d=np.int64(1))
    assert {*load_npz(path)} == {"a", "d"}
    np.savez_compressed(path, a=np.zeros(30_000_000, dtype=np.uint8))
    with pytest.raises(VocoderError, match=r"a\.npz: would be 30000128 bytes when unpacked"):
        load_npz(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(VocoderError, match=r"a\.npz: damaged"):
        load_npz(path)


def test_safetensors_with_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_file({"a": torch.ones(2, 3)}, path, metadata={"b": "c"})
    tensors, metadata = load_safetensors(path)
    assert torch.equal(tensors["a"], torch.ones(2, 3)) and metadata == {"b": "c"}
    content = path.read_bytes()
    for changed in (content[:-1], content.replace(b"[2,3]", b"[9,3]"), b"", bytes(8) + b"{}"):
        path.write_bytes(changed)
        with pytest.raises(VocoderError, match=f"{path}: damaged or cut short, or no safe"):
            load_safetensors(path)
    with pytest.raises(VocoderError, match="no such file"):
        load_safetensors(tmp_path / "b")
