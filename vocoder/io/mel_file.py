"""Mel files, each of ours with the MelSpec of its mel inside.

    .safetensors   tensor "mel", the MelSpec as JSON in the metadata
    .pt            {"mel": tensor, "mel_spec": {…}}
    .npy           the mel, then a second array with the MelSpec as JSON bytes: `np.load` reads the
                   first and ignores the rest, so other programs read an ordinary file

Files of other projects are recognised by their content, whatever their suffix: .npy, .npz,
safetensors, and what `torch.save` wrote. They hold an array or several, and no contract.
"""

import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import ConfigError, MelMismatchError, VocoderError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.io.arrays import float_tensor
from vocoder.io.atomic import replacing_file
from vocoder.io.untrusted import (
    NPY_MAGIC,
    first_line,
    load_npy,
    load_npz,
    load_safetensors,
    load_torch,
    parse_json,
    read_json,
)

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".mel", ".safetensors")
SPEC_KEY = "mel_spec"  # key of the contract in .pt and .safetensors files
_NAMES = ("mel", "mels", "melspec", "mel_spectrogram", "mel_outputs", "feats")
_SHOWN = 5  # arrays of a file in a message

Arrays = dict[str, Tensor | NDArray[Any]]


class MelFile(NamedTuple):
    """Content of a mel file: the mel, [M, F] or [F, M], and its MelSpec if the file has one."""

    mel: Tensor
    spec: MelSpec | None


def read_mel(path: str | Path) -> MelFile:
    """Read a mel file; nothing in it is executed. A leading axis of one, [1, M, F], is dropped.

    Of several arrays, it is the one called "mel", or else the only one that can be a mel. Raises
    MelMismatchError if the mel holds NaN, infinities, no floats or several mels, VocoderError if
    the file cannot be read or has no such array; both name the file and what is in it.
    """
    path = Path(path)
    array, spec = read_mel_array(path)
    mel = float_tensor(array, f"{path}: the mel", MelMismatchError)
    if mel.ndim == 3 and len(mel) > 1:
        raise MelMismatchError(f"{path}: holds {len(mel)} mels; write each to a file of its own")
    return MelFile(mel[0] if mel.ndim == 3 and len(mel) == 1 else mel, spec)


def read_mel_array(path: Path) -> tuple[Tensor | NDArray[Any], MelSpec | None]:
    """Read the array that `read_mel` takes, whatever its type, shape and values, and its MelSpec.

    Raises VocoderError if the file cannot be read or has no such array.
    """
    try:
        arrays, values = _content(path)
        spec = None if values is None else MelSpec.from_dict(values, f"{path}: {SPEC_KEY}")
        return _mel(arrays, path), spec
    except VocoderError:
        raise
    except FileNotFoundError as error:
        raise VocoderError(f"{path}: no such file") from error
    except OSError as error:
        raise VocoderError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise VocoderError(f"{path}: damaged, or not a mel file ({first_line(error)})") from error


def write_mel(path: str | Path, mel: Tensor, spec: MelSpec) -> None:
    """Write a mel [M, F] and its MelSpec to a file, which appears complete or not at all."""
    path = Path(path)
    encode = _ENCODERS.get(path.suffix.lower())
    if encode is None:
        raise VocoderError(f"{path}: the name of a mel file must end in {', '.join(_ENCODERS)}")
    content = encode(mel.detach().float().cpu().contiguous(), spec.to_dict())
    with replacing_file(path) as temporary:
        temporary.write_bytes(content)


def read_spec(name: str) -> MelSpec:
    """Read mel settings by the name of a preset, or from a JSON file or config.json with a MelSpec.

    Raises ConfigError.
    """
    if name in PRESETS or not os.path.exists(name):
        return MelSpec.preset(name)
    try:
        values = read_json(Path(name))
    except VocoderError as error:
        raise ConfigError(f"{error}; it must hold mel settings") from error
    if isinstance(values, dict):
        values = values.get("mel", values)
    return MelSpec.from_dict(values, name)


def _content(path: Path) -> tuple[Arrays, Any]:
    """The arrays in a file by name, "" for a bare one, and its mel settings."""
    with path.open("rb") as file:
        head = file.read(300)
        file.seek(0)
        if head.startswith(NPY_MAGIC):
            return _read_npy(file, path)
    if not head:
        raise VocoderError(f"{path}: the file is empty; copy or write it again")
    first_member = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if head.startswith(b"PK\x03\x04") and first_member.endswith(b".npy"):
        return dict(load_npz(path)), None
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return _read_pt(path)
    if head[8:9] == b"{":
        tensors, metadata = load_safetensors(path)
        text = metadata.get(SPEC_KEY)
        return dict(tensors), None if text is None else parse_json(text, f"{path}: {SPEC_KEY}")
    raise VocoderError(
        f"{path}: not a mel file; .npy, .npz, safetensors and what torch.save writes are read"
    )


def _read_npy(file: BinaryIO, path: Path) -> tuple[Arrays, Any]:
    size = os.fstat(file.fileno()).st_size
    mel = load_npy(file, size, str(path), MelMismatchError)
    arrays: Arrays = {"": mel}
    while (left := size - file.tell()) > 0:
        number = len(arrays) + 1
        array = load_npy(file, left, f"{path}: array {number}", MelMismatchError)
        if array.dtype == np.uint8 and array.ndim == 1:
            return arrays, parse_json(array.tobytes(), f"{path}: {SPEC_KEY}")
        arrays[f"array {number}"] = array
    return arrays, None


def _read_pt(path: Path) -> tuple[Arrays, Any]:
    content = load_torch(path)
    values = content.get(SPEC_KEY) if isinstance(content, dict) else None
    if isinstance(values, Tensor | np.ndarray):  # not settings: somebody's name for a mel
        values = None
    try:
        json.dumps(values)
    except (TypeError, ValueError) as error:
        raise VocoderError(
            f"{path}: {SPEC_KEY} holds other things than numbers and texts"
        ) from error
    arrays: Arrays = {}
    _collect(content, "", arrays)
    return arrays, values


def _collect(value: Any, name: str, arrays: Arrays) -> None:
    """Collect the arrays in dicts, lists and tuples, by names such as "a.b" and "a.0"."""
    if isinstance(value, Tensor | np.ndarray):
        arrays[name] = value
    elif isinstance(value, dict | list | tuple):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            _collect(entry, f"{name}.{key}" if name else str(key), arrays)


def _mel(arrays: Arrays, path: Path) -> Tensor | NDArray[Any]:
    """The array called "mel", or else the only one that can be a mel by its kind and shape."""
    if "mel" in arrays:
        return arrays["mel"]
    if len(arrays) == 1 and ("" in arrays or next(iter(arrays.values())).ndim > 1):
        return next(iter(arrays.values()))
    possible = {name: array for name, array in arrays.items() if _possible(array)}
    named = [name for name in possible if name.rpartition(".")[2].lower() in _NAMES]
    chosen = named if len(named) == 1 else list(possible)
    if len(chosen) == 1:
        return possible[chosen[0]]
    listed = [f"{_shown(name or 'array 1')} {_described(array)}" for name, array in arrays.items()]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    raise VocoderError(
        f"{path}: holds {len(chosen) or 'no'} array{'s' * (len(chosen) > 1)} that can be a mel: "
        f'{", ".join(listed[:_SHOWN]) or "nothing"}{more}; store the mel alone, or as "mel"'
    )


def _possible(array: Tensor | NDArray[Any]) -> bool:
    """Whether an array is [M, F], [F, M] or [1, M, F] of floats."""
    shape = tuple(array.shape[1:] if array.ndim == 3 and array.shape[0] == 1 else array.shape)
    floats = array.is_floating_point() if isinstance(array, Tensor) else array.dtype.kind == "f"
    return floats and len(shape) == 2 and min(shape) > 0


def _shown(name: str) -> str:
    return name[:40] if name.isprintable() else ascii(name[:40])


def _described(array: Tensor | NDArray[Any]) -> str:
    return f"{str(array.dtype).removeprefix('torch.')} {list(array.shape)}"


def _encode_npy(mel: Tensor, spec: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, mel.numpy())
    np.save(file, np.frombuffer(json.dumps(spec).encode(), dtype=np.uint8))
    return file.getvalue()


def _encode_pt(mel: Tensor, spec: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save({"mel": mel, SPEC_KEY: spec}, file)
    return file.getvalue()


def _encode_safetensors(mel: Tensor, spec: dict[str, Any]) -> bytes:
    return safetensors.torch.save({"mel": mel}, metadata={SPEC_KEY: json.dumps(spec)})


_ENCODERS = {".npy": _encode_npy, ".pt": _encode_pt, ".safetensors": _encode_safetensors}
