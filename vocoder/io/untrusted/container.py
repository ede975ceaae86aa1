"""The two containers of torch files: a zip file, and before torch 1.6 a row of pickles."""

import io
import mmap
import struct
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import torch

from vocoder.errors import VocoderError
from vocoder.io.untrusted.instructions import Inspector
from vocoder.io.untrusted.stand_ins import program_code

_MAGIC = 0x1950A86A20F9469CFC6C  # begins files of torch before 1.6
_LOCK = threading.Lock()


def inspect_torch(file: BinaryIO, size: int) -> bool:
    """Check the content of a torch file of `size` bytes; tells whether NumPy values are in it.

    Raises VocoderError, without the file's name, for anything but plain values, dense tensors,
    NumPy arrays and scalars within the file's size; what damage raises depends on where it is.
    """
    if size == 0:
        raise VocoderError("the file is empty; copy or write it again")
    if file.read(4) == b"PK\x03\x04":
        records = _records(file, size)
        sizes = {name: record.file_size for name, record in records.items()}
        inspector = Inspector(io.BytesIO(_pickle(file, records["data.pkl"])), size, sizes)
        inspector.check(inspector.follow())
        return inspector.has_numpy
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        inspector = Inspector(view, size, None)
        if inspector.follow() != _MAGIC:
            raise VocoderError("a pickle of Python objects, not a file of torch.save; not loaded")
        inspector.follow(), inspector.follow()  # versions of the format and of the computer
        inspector.check(inspector.follow())
        keys, storages = inspector.follow(), inspector.storages
        if type(keys) is not list or {*map(str, keys)} != storages.keys():
            raise VocoderError("damaged, its list of storages is not that of its tensors")
        if sum(8 + storages[key].bytes for key in keys) > size - view.tell():
            raise VocoderError("cut short; copy or write it again")
        return inspector.has_numpy


@contextmanager
def numpy_allowed() -> Iterator[None]:
    """Let torch's reader make NumPy arrays and scalars. Its list is global, hence the lock."""
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    named: list[Any] = [(np.empty(0).__reduce__()[0], f"{name}._reconstruct") for name in modules]
    named += [(np.float32(0).__reduce__()[0], f"{name}.scalar") for name in modules]
    kinds = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "?efdgFDG"}
    with _LOCK, torch.serialization.safe_globals([*named, np.ndarray, np.dtype, *kinds]):
        yield


def _records(file: BinaryIO, size: int) -> dict[str, zipfile.ZipInfo]:
    """The records of a zip file, by name without the folder; they lie uncompressed in it."""
    try:
        listed = zipfile.ZipFile(file).infolist()
    except zipfile.BadZipFile as error:
        raise VocoderError("damaged or cut short; copy or write it again") from error
    folders = {record.filename.partition("/")[0] for record in listed}
    records = {record.filename.partition("/")[2]: record for record in listed}
    if len(folders) != 1 or len(records) != len(listed) or "data.pkl" not in records:
        raise VocoderError("a zip file, but not one of torch.save")
    if "constants.pkl" in records:
        raise program_code("TorchScript")
    if any(r.compress_type or r.flag_bits & 1 or r.compress_size != r.file_size for r in listed):
        raise VocoderError("a compressed or encrypted zip file, not one of torch.save")
    if sum(record.file_size for record in listed) > size:
        raise VocoderError("damaged, its records are larger than the file")
    return records


def _pickle(file: BinaryIO, record: zipfile.ZipInfo) -> bytes:
    """The record of the instructions. Not `ZipFile.read`: torch may leave out the checksum."""
    file.seek(record.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))
    file.seek(name + extra, io.SEEK_CUR)
    return file.read(record.file_size)
