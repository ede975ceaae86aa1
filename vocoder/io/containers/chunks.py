"""Sizes in the headers of audio files: WAV, RF64, W64, AIFF, AU, CAF, NIST Sphere.

libsndfile takes what is there as the whole. So a file that is cut short is found here, and a size
that a program has left open, as it wrote to a pipe or was stopped, is filled in.
"""

import math
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

Read = Callable[[int, int], bytes]  # (position, count) → that many bytes, or less at the end
_MOST_CHUNKS = 1000
_MOST_HEADER = 2**20  # bytes before the audio that are held in memory


class Body(NamedTuple):
    """The audio data of a file: its first byte, its size in bytes as stated, where that stands.

    `stated` is None where the header leaves it open. `field` is the position of the number, which
    is packed as `form`, and counts `lead` bytes more.
    """

    begin: int
    stated: int | None
    field: int
    form: str
    lead: int = 0

    def lacking(self, size: int) -> int:
        """How many bytes of audio a file of this size is short of."""
        lacking = (self.stated or 0) - (size - self.begin)
        # Some programs count the header as audio, with or without its first eight bytes.
        return 0 if lacking in (self.begin, self.begin - 8) else max(lacking, 0)

    def completed(self, read: Read, size: int) -> bytes | None:
        """The bytes before the audio with the size filled in, or None where libsndfile needs none.

        It knows the sizes near 2 GiB and 4 GiB that stand for an unknown one, but not 0.
        """
        header = read(0, self.begin) if self.begin <= _MOST_HEADER else b""
        if self.stated is not None or len(header) < self.begin or size <= self.begin:
            return None
        width = struct.calcsize(self.form)
        (given,) = struct.unpack_from(self.form, header, self.field)
        if width == 4 and given > self.lead:
            return None
        present = min(size - self.begin + self.lead, 2**32 - 1 if width == 4 else 2**63 - 1)
        filled = struct.pack(self.form, present)
        return header[: self.field] + filled + header[self.field + width :]


class _Layout(NamedTuple):
    first: int  # position of the first chunk
    form: str  # of a chunk's identifier and size
    audio: dict[bytes, int]  # identifier of the audio chunk → bytes in it before the audio
    counted: int = 0  # bytes of the chunk's own header that its size counts
    align: int = 2


_RIFF = _Layout(12, "<4sI", {b"data": 0})
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_LAYOUTS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"RIFX": _RIFF._replace(form=">4sI"),
    b"FORM": _Layout(12, ">4sI", {b"SSND": 8, b"BODY": 0}),
    b"caff": _Layout(8, ">4sq", {b"data": 4}, align=1),
    b"riff": _Layout(40, "<16sq", {_W64_DATA: 0}, counted=24, align=8),
}


def find_body(read: Read, size: int) -> Body | None:
    """Find the audio data by the header of a file of `size` bytes; None where it says no size."""
    head = read(0, 64)
    if head[:4] == b".snd" and len(head) >= 24:
        begin, stated = struct.unpack(">II", head[4:12])
        return Body(begin, _known(stated, 4), field=8, form=">I") if begin >= 24 else None
    if head.startswith(b"NIST_1A\n"):
        return _sphere(read(0, 1024))
    layout = _LAYOUTS.get(head[:4])
    return _chunk(read, size, layout) if layout else None


def _chunk(read: Read, size: int, layout: _Layout) -> Body | None:
    position, width = layout.first, struct.calcsize(layout.form)
    large = None  # position of the size of the audio in RF64, which has 64 bits
    for _ in range(_MOST_CHUNKS):
        header = read(position, width)
        if len(header) < width:
            return None
        name, given = struct.unpack(layout.form, header)
        length, begin = given - layout.counted, position + width
        if name in layout.audio:
            break
        if name == b"ds64" and length >= 16:
            large = begin + 8
        position = begin + -(-max(length, 0) // layout.align) * layout.align
    else:
        return None
    form = layout.form[0] + layout.form[-1]
    field, lead = begin - struct.calcsize(form), layout.audio[name]
    if large is not None and given == 0xFFFFFFFF:
        field, form = large, "<q"
        (length,) = struct.unpack(form, read(field, 8))
    stated = _known(length - lead, struct.calcsize(form))
    if stated is None and length <= lead and _only_chunks(read, begin + lead, size, layout):
        stated = 0
    return Body(begin + lead, stated, field, form, lead + layout.counted)


def _known(stated: int, width: int) -> int | None:
    """A size as stated, or None for one that programs write as long as they do not know it."""
    highest = 0xFFFF0000 if width == 4 else 2**62
    if stated <= 0 or stated >= highest or (width == 4 and 0x7F000000 <= stated <= 0x80001000):
        return None
    return stated


def _only_chunks(read: Read, position: int, size: int, layout: _Layout) -> bool:
    """Whether further chunks fill the file to its end: then a stated size of 0 is right."""
    width = struct.calcsize(layout.form)
    for _ in range(_MOST_CHUNKS):
        if position >= size:
            return position <= size + 1
        header = read(position, width)
        if len(header) < width or not re.match(rb"[\w ]{4}", header):
            return False
        length = struct.unpack(layout.form, header)[1] - layout.counted
        position += width + -(-max(length, 0) // layout.align) * layout.align
    return False


def _sphere(header: bytes) -> Body | None:
    """NIST Sphere: a text header, whose second line is its length."""
    names = rb"^(sample_count|sample_n_bytes|channel_count) -i (\d{1,18})$"
    fields = dict(re.findall(names, header, re.MULTILINE))
    length = re.match(rb"NIST_1A\n *(\d{1,9})\n", header)
    stated = math.prod(map(int, fields.values())) if len(fields) == 3 else 0
    # The header is text: no size is filled in.
    return Body(int(length[1]), stated, field=0, form="8s") if length and stated else None
