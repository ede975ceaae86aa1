"""Mutations of the structure of a file, for the kinds that have one."""

import io
import zipfile
from collections.abc import Callable
from random import Random

from tests.fuzz import headers, tensors, texts
from tests.fuzz.raw import mutate_bytes

Change = Callable[[Random, bytes], bytes]


def of(name: str, content: bytes) -> tuple[Change, float]:
    """The mutation of the structure of a file, by its content, and how often to prefer it."""
    suffix = name.rpartition(".")[2]
    if content.startswith(b"PK"):
        return (_archive if b"data.pkl" in content[:200] else _members), 0.85
    if content.startswith(b"\x93NUMPY"):
        return headers.npy, 0.6
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix], 0.9
    return headers.audio, 0.6 if content[:4] in headers.AUDIO else 0.0


def _archive(rng: Random, content: bytes) -> bytes:
    """A torch file: what is in it, or the bytes of its members."""
    return (tensors.mutate if rng.random() < 0.8 else _members)(rng, content)


def _members(rng: Random, content: bytes) -> bytes:
    """A zip archive whose members are changed, their checksums right."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
    except Exception:  # an earlier mutation may have damaged it
        return mutate_bytes(rng, content)
    if not members:
        return content
    name = rng.choice(list(members))
    if rng.random() < 0.1:
        del members[name]
    elif rng.random() < 0.1:
        members["/".join([name.split("/")[0], rng.choice(("x", "byteorder", "data.pkl"))])] = b"x"
    else:
        change, share = of(name, members[name])
        members[name] = (change if share else mutate_bytes)(rng, members[name])
    file = io.BytesIO()
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(file, "w", packing) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
        if rng.random() < 0.02:  # a bomb: 64 MB of zeros in 64 kB
            archive.writestr(name, bytes(2**26), compress_type=zipfile.ZIP_DEFLATED)
    return file.getvalue()


_BY_SUFFIX: dict[str, Change] = {
    "json": texts.mutate_json,
    "yml": texts.mutate_yaml,
    "yaml": texts.mutate_yaml,
    "csv": texts.mutate_csv,
    "safetensors": headers.safetensors,
}
