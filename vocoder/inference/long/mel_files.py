"""Mel files in parts: read and written without holding the whole mel in memory."""

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from vocoder.errors import MelMismatchError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_check import sampled_parts
from vocoder.features.mel_conversion import layout
from vocoder.io.arrays import float_tensor
from vocoder.io.atomic import replacing_file
from vocoder.io.audio import StrPath
from vocoder.io.mel_file import SPEC_KEY, read_mel, write_mel
from vocoder.io.untrusted import NPY_MAGIC, load_npy, parse_json, read_npy_header

_Read = Callable[[tuple[slice, ...]], Tensor | NDArray[Any]]


class MelSource:
    """A mel file that is read in parts; `spec` is the MelSpec that it states, if it does.

    Only parts are read of npy and safetensors files. Others, and files of several arrays, are read
    whole, at once. Raises as `read_mel` does, for NaN and infinities when their part is read.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self._read: _Read
        found = _npy_parts(self.path) or _safetensors_parts(self.path)
        if found is None:
            mel, self.spec = read_mel(self.path)
            self._shape, self._read = tuple(mel.shape), mel.__getitem__
            return
        self._shape, self._read, values = found
        self.spec = None
        if values is not None:
            self.spec = MelSpec.from_dict(values, f"{self.path}: {SPEC_KEY}")

    def frames(self, spec: MelSpec) -> int:
        """Number of frames, where the mel has the settings `spec`; raises MelMismatchError."""
        return self._oriented(spec).shape[1]

    def parts(self, spec: MelSpec, cuts: Iterable[int]) -> Iterator[Tensor]:
        """The frames between each two of `cuts`, one part after the other. Shape: [M, f] each."""
        swapped = self._oriented(spec).shape != self._shape
        for begin, end in pairwise(cuts):
            span, every = slice(begin, end), slice(None)
            part = self._read((span, every) if swapped else (every, span))
            mel = float_tensor(part, f"{self.path}: the mel", MelMismatchError)
            yield mel.T if swapped else mel

    def sample(self, spec: MelSpec) -> Tensor:
        """The frames that `check_mel` looks at. Shape: [M, f]."""
        cuts = sampled_parts(self.frames(spec))
        return torch.cat([part for cut in cuts for part in self.parts(spec, cut)], dim=1)

    def _oriented(self, spec: MelSpec) -> Tensor:
        """The mel without its values, bands first."""
        try:
            return layout(torch.empty(self._shape, device="meta"), spec)
        except MelMismatchError as error:
            raise MelMismatchError(f"{self.path}: {error}") from error


def _npy_parts(path: Path) -> tuple[tuple[int, ...], _Read, Any] | None:
    """Shape, reader of parts and MelSpec of an .npy file; None unless it holds floats [M, F]."""
    try:
        with path.open("rb") as file:
            if file.read(len(NPY_MAGIC)) != NPY_MAGIC:
                return None
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            header = read_npy_header(file, size, str(path))
            offset = file.tell()
            file.seek(header.bytes, os.SEEK_CUR)
            values = None
            if file.tell() < size:
                array = load_npy(file, size - file.tell(), str(path))
                if array.dtype != np.uint8 or array.ndim != 1:
                    return None
                values = parse_json(array.tobytes(), f"{path}: {SPEC_KEY}")
    except (OSError, VocoderError):
        return None  # `read_mel` says what is wrong
    shape = header.shape[1:] if header.shape[:1] == (1,) else header.shape
    if header.dtype.kind != "f" or len(shape) != 2 or not header.bytes:
        return None

    def read(part: tuple[slice, ...]) -> NDArray[Any]:
        # Mapped anew for every part, as mapped pages that were read count as memory of the process.
        stored = np.memmap(path, header.dtype, "r", offset, shape=header.shape, order=header.order)
        return np.array(stored.reshape(shape, order=header.order)[part])

    return shape, read, values


def _safetensors_parts(path: Path) -> tuple[tuple[int, ...], _Read, Any] | None:
    """The same of a safetensors file that holds one tensor [M, F], or one called "mel"."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            name = "mel" if "mel" in names else names[0]
            shape = tuple(file.get_slice(name).get_shape())
            text = (file.metadata() or {}).get(SPEC_KEY)
            if (name != "mel" and len(names) > 1) or len(shape) != 2 or 0 in shape:
                return None
            values = None if text is None else parse_json(text, f"{path}: {SPEC_KEY}")
    except Exception:  # whatever a damaged or another file raises, `read_mel` says what is wrong
        return None

    def read(part: tuple[slice, ...]) -> Tensor:
        with safe_open(path, framework="pt") as file:
            values: Tensor = file.get_slice(name)[part]
            return values.clone()

    return shape, read, values


def write_mel_parts(path: StrPath, parts: Iterable[Tensor], spec: MelSpec, frames: int) -> None:
    """Write a mel of `frames` frames part by part, as `write_mel` writes it at once.

    The mel of a .pt file is collected in memory. Raises as `write_mel` does, and where `parts`
    raises, no file appears, or the old one stays. Shape of each part: [M, f].
    """
    path = Path(path)
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        write_mel(path, torch.cat([part.cpu() for part in parts], dim=1), spec)
        return
    head, tail = form((spec.n_mels, frames), json.dumps(spec.to_dict()))
    with replacing_file(path) as temporary, temporary.open("r+b") as file:
        file.write(head)
        begin = 0
        for part in parts:
            for band, row in enumerate(part.detach().float().cpu().numpy()):
                file.seek(len(head) + 4 * (band * frames + begin))
                file.write(row.astype("<f4").tobytes())
            begin += part.shape[1]
        assert begin == frames
        file.seek(0, os.SEEK_END)
        tail(file)


def _npy_form(shape: tuple[int, int], spec: str) -> tuple[bytes, Callable[[BinaryIO], None]]:
    head = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(head, fields)
    settings = np.frombuffer(spec.encode(), dtype=np.uint8)
    return head.getvalue(), lambda file: np.save(file, settings)


def _safetensors_form(
    shape: tuple[int, int], spec: str
) -> tuple[bytes, Callable[[BinaryIO], None]]:
    offsets = [0, 4 * shape[0] * shape[1]]
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    fields = {"__metadata__": {SPEC_KEY: spec}, "mel": tensor}
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, lambda file: None


_FORMS = {".npy": _npy_form, ".safetensors": _safetensors_form}
