"""Mel files: .npy, .pt and .safetensors, each with the MelSpec of its mel inside.

    .safetensors   tensor "mel", the MelSpec as JSON in the metadata
    .pt            {"mel": tensor, "mel_spec": {…}}
    .npy           the mel, then a second array with the MelSpec as JSON bytes: `np.load` reads the
                   first and ignores the rest, so other programs read an ordinary file

Files of other projects hold a bare array, a bare tensor or one tensor, and no contract.
"""

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vocoder.errors import ConfigError, MelMismatchError, VocoderError
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.io.arrays import float_tensor
from vocoder.io.atomic import replacing_file

_SPEC = "mel_spec"  # key of the contract in .pt and .safetensors files


class MelFile(NamedTuple):
    """Content of a mel file: the mel, [M, F] or [F, M], and its MelSpec if the file has one."""

    mel: Tensor
    spec: MelSpec | None


def read_mel(path: str | Path) -> MelFile:
    """Read a mel file; nothing in it is executed. A leading axis of one, [1, M, F], is dropped.

    Raises MelMismatchError if it holds NaN, infinities, no floats or several mels, VocoderError if
    it cannot be read; both name the file.
    """
    path = Path(path)
    read, _ = _functions(path)
    if not path.exists():
        raise VocoderError(f"{path}: no such file")
    try:
        mel, values = read(path)
        spec = None if values is None else MelSpec.from_dict(values, _SPEC)
        mel = float_tensor(mel, "the mel", MelMismatchError)
    except OSError as error:
        raise VocoderError(f"{path}: cannot be read ({error.strerror or error})") from error
    except VocoderError as error:
        raise type(error)(f"{path}: {error}") from error
    except (SafetensorError, ValueError, TypeError, EOFError, MemoryError) as error:
        reason = (str(error) or type(error).__name__).split("\n", 1)[0]
        if "pickle" in reason:  # NumPy's message explains how to run the code in the file
            reason = "not plain numbers"
        raise VocoderError(f"{path}: damaged, or not a mel file ({reason})") from error
    if mel.ndim == 3 and len(mel) > 1:
        raise MelMismatchError(f"{path}: holds {len(mel)} mels; write each to a file of its own")
    return MelFile(mel[0] if mel.ndim == 3 and len(mel) == 1 else mel, spec)


def write_mel(path: str | Path, mel: Tensor, spec: MelSpec) -> None:
    """Write a mel [M, F] and its MelSpec to a file, which appears complete or not at all."""
    path = Path(path)
    _, encode = _functions(path)
    content = encode(mel.detach().float().cpu().contiguous(), spec.to_dict())
    with replacing_file(path) as temporary:
        temporary.write_bytes(content)


def read_spec(name: str) -> MelSpec:
    """Read mel settings by the name of a preset, or from a JSON file or config.json with a MelSpec.

    Raises ConfigError.
    """
    if name in PRESETS or not Path(name).exists():
        return MelSpec.preset(name)
    try:
        values = _mapping(Path(name).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: not a JSON file with mel settings ({error})") from error
    return MelSpec.from_dict(values.get("mel", values), name)


def _read_npy(path: Path) -> tuple[Any, dict[str, Any] | None]:
    with path.open("rb") as file:
        mel = np.load(file, allow_pickle=False)
        rest = file.read()
    if not rest:
        return mel, None
    return mel, _mapping(np.load(io.BytesIO(rest), allow_pickle=False).tobytes())


def _encode_npy(mel: Tensor, spec: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, mel.numpy())
    np.save(file, np.frombuffer(json.dumps(spec).encode(), dtype=np.uint8))
    return file.getvalue()


def _read_pt(path: Path) -> tuple[Any, dict[str, Any] | None]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise VocoderError("damaged, or holds more than tensors; not loaded") from error
    if isinstance(content, Tensor):
        return content, None
    if not isinstance(content, dict) or not isinstance(content.get("mel"), Tensor):
        raise VocoderError('holds neither a tensor nor {"mel": tensor}')
    return content["mel"], content.get(_SPEC)


def _encode_pt(mel: Tensor, spec: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save({"mel": mel, _SPEC: spec}, file)
    return file.getvalue()


def _read_safetensors(path: Path) -> tuple[Any, dict[str, Any] | None]:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        if "mel" not in names and len(names) != 1:
            raise VocoderError(f'holds {len(names)} tensors and none is called "mel"')
        text = (file.metadata() or {}).get(_SPEC)
        mel = file.get_tensor("mel" if "mel" in names else names[0])
    return mel, None if text is None else _mapping(text)


def _encode_safetensors(mel: Tensor, spec: dict[str, Any]) -> bytes:
    return safetensors.torch.save({"mel": mel}, metadata={_SPEC: json.dumps(spec)})


def _mapping(text: str | bytes) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("its mel contract is not a JSON object")
    return values


_FORMATS = {
    ".npy": (_read_npy, _encode_npy),
    ".pt": (_read_pt, _encode_pt),
    ".safetensors": (_read_safetensors, _encode_safetensors),
}
SUFFIXES = tuple(_FORMATS)


def _functions(path: Path) -> tuple[Any, Any]:
    """The functions that read a file of this suffix and encode its bytes."""
    if path.suffix.lower() not in _FORMATS:
        raise VocoderError(f"{path}: a mel file must end in {', '.join(SUFFIXES)}")
    return _FORMATS[path.suffix.lower()]
