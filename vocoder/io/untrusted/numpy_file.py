"""NumPy files of numbers: .npy and .npz."""

import contextlib
import math
import os
import re
import zipfile
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vocoder.errors import VocoderError
from vocoder.io.untrusted.messages import first_line

_HEADER_BYTES = 10_000  # of an .npy file: NumPy's own limit
_UNPACKED_BYTES, _UNPACKED_RATIO = 16 << 20, 64  # of an .npz file: silence packs well
_UNPACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PIECE = 1 << 20  # bytes that are read at once from a pipe
# Python 2 wrote long integers: (80L, 7L).
_ENTRY = r"""\s*['"](\w+)['"]\s*:\s*('[^']*'|"[^"]*"|True|False|\([^()]*\)|\[[^\]]*\])\s*"""
_HEADER = re.compile(rf"\{{{_ENTRY},{_ENTRY},{_ENTRY},?\s*\}}\s*")
_SHAPE = re.compile(r"\((?:\s*\d{1,19}L?\s*,)*(?:\s*\d{1,19}L?)?\s*\)")
_NUMBERS = re.compile(r"[<>|=]?[biufc]\d\d?")
NPY_MAGIC = b"\x93NUMPY"


def load_npy(
    file: IO[bytes],
    size: int | None,
    origin: str,
    wrong_dtype: type[VocoderError] = VocoderError,
) -> NDArray[Any]:
    """Read the next .npy array of numbers from an open file, or from a pipe.

    `size`, the number of bytes left in the file, bounds what the header may claim; of a pipe, whose
    size is None, no more is allocated than arrives. Raises VocoderError that begins with `origin`,
    `wrong_dtype` for an array of other things than numbers.
    """
    header = read_npy_header(file, size, origin, wrong_dtype)
    values = np.frombuffer(_exactly(file, header.bytes, origin), dtype=header.dtype)
    return values.reshape(header.shape, order=header.order)


class NpyHeader(NamedTuple):
    """What an .npy array says about its numbers."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]

    @property
    def bytes(self) -> int:
        """Size of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy_header(
    file: IO[bytes],
    size: int | None,
    origin: str,
    wrong_dtype: type[VocoderError] = VocoderError,
) -> NpyHeader:
    """Read the header of the next .npy array, as `load_npy` does; its numbers are next."""
    prefix = file.read(8)
    if len(prefix) < 8 and NPY_MAGIC.startswith(prefix[:6]):
        raise VocoderError(f"{origin}: cut short, {len(prefix)} bytes are there; write it again")
    if not prefix.startswith(NPY_MAGIC):
        raise VocoderError(f"{origin}: not an .npy array; numpy.save writes one")
    if prefix[6] not in (1, 2, 3):
        raise VocoderError(f"{origin}: an .npy array of version {prefix[6]}.{prefix[7]}; save anew")
    width = 2 if prefix[6] == 1 else 4
    length = int.from_bytes(_exactly(file, width, origin), "little")
    if length > _HEADER_BYTES:
        raise VocoderError(f"{origin}: damaged, its .npy header would be {length} bytes long")
    dtype, shape, fortran = _header(_exactly(file, length, origin), origin, wrong_dtype)
    header = NpyHeader(dtype, shape, "F" if fortran else "C")
    if size is not None and header.bytes > size - 8 - width - length:
        left = max(size - 8 - width - length, 0)
        raise VocoderError(
            f"{origin}: cut short, {left} of {header.bytes} bytes are there; copy or write it again"
        )
    return header


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of numbers in an .npz file; others, such as texts, are left out.

    Raises VocoderError, which names the file, if it is damaged, or far larger when unpacked.
    """
    arrays = {}
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            size = os.fstat(file.fileno()).st_size
            unpacked = sum(each.file_size for each in members)
            if unpacked > _UNPACKED_BYTES + _UNPACKED_RATIO * size:
                raise VocoderError(f"{path}: would be {unpacked} bytes when unpacked; not loaded")
            if any(each.compress_type not in _UNPACKED_BY for each in members):
                raise VocoderError(f"{path}: is compressed in another way than NumPy does")
            for each in members:
                name = each.filename.removesuffix(".npy")
                with contextlib.suppress(_NotNumbersError), archive.open(each) as member:
                    origin = f"{path}: array {name[:40]!r}"
                    arrays[name] = load_npy(member, each.file_size, origin, _NotNumbersError)
    except VocoderError:
        raise
    except FileNotFoundError as error:
        raise VocoderError(f"{path}: no such file") from error
    except OSError as error:
        raise VocoderError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise VocoderError(
            f"{path}: damaged or cut short, or no .npz file ({first_line(error)})"
        ) from error
    return arrays


class _NotNumbersError(VocoderError):
    pass


def _header(
    text: bytearray, origin: str, wrong_dtype: type[VocoderError]
) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """The type, shape and order of an .npy array."""
    damaged = f"{origin}: damaged, its .npy header cannot be read"
    found = _HEADER.fullmatch(text.decode("latin-1"))
    fields = dict(zip(found.groups()[::2], found.groups()[1::2], strict=True)) if found else {}
    if fields.keys() != {"descr", "fortran_order", "shape"}:
        raise VocoderError(damaged)
    descr, fortran, shape = fields["descr"][1:-1], fields["fortran_order"], fields["shape"]
    if fields["descr"][0] not in "'\"[" or fortran not in ("True", "False") or shape[0] != "(":
        raise VocoderError(damaged)
    if fields["descr"].startswith("[") or not _NUMBERS.fullmatch(descr):
        kind = "Python objects" if "O" in descr else f"{ascii(descr[:40])} values"
        raise wrong_dtype(f"{origin}: holds {kind}; give floats")
    sizes = tuple(int(n) for n in re.findall(r"\d{1,19}", shape))
    if not _SHAPE.fullmatch(shape) or (len(sizes) == 1 and "," not in shape) or len(sizes) > 32:
        raise VocoderError(damaged)
    if math.prod(max(n, 1) for n in sizes) >= 1 << 56:
        raise VocoderError(f"{origin}: damaged, its .npy header claims {math.prod(sizes)} values")
    try:
        return np.dtype(descr), sizes, fortran == "True"
    except TypeError as error:
        raise VocoderError(damaged) from error


def _exactly(file: IO[bytes], count: int, origin: str) -> bytearray:
    """The next `count` bytes; no more is allocated than arrives."""
    data = bytearray()
    while len(data) < count:
        piece = file.read(min(count - len(data), max(_PIECE, len(data))))
        if not piece:
            raise VocoderError(
                f"{origin}: cut short, {len(data)} of {count} bytes are there; "
                "copy or write it again"
            )
        data += piece
    return data
