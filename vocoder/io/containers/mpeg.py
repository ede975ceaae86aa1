"""MP3 files that do not state their length.

Without the Xing header of newer encoders, libsndfile estimates the length of an MP3 file from the
size of a frame, and reads no sample beyond: files of variable bit rate lose a third or more. Here
the frames are counted, and such a header is put in front.
"""

import io
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

Content = bytes | mmap.mmap
_KBITS = {  # MPEG version 1 or 2, layer III
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
EMPTY_TAG = b"ID3\x04\0\0\0\0\0\x0a".ljust(20, b"\0")
"""Goes before an MPEG file without a tag: libsndfile knows the format by it."""
_MOST_JUNK = 2**16  # bytes between tags and the first frame


class _Frame(NamedTuple):
    kind: int  # version, layer and rate, which all frames of a file share
    length: int  # bytes
    tag: int  # bytes from its beginning to a Xing header


def is_mpeg(head: bytes, suffix: str) -> bool:
    """Whether libsndfile may give a file with these first bytes to its MPEG decoder."""
    frame = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    in_wav = head[:4] == b"RIFF" and head[20:22] == b"\x55\x00"
    return frame or in_wav or head[:3] == b"ID3" or suffix.lower().startswith(".mp")


def xing_header(file: Any) -> tuple[bytes, int] | None:
    """A frame that states the length of an MP3 file without it, and where its own frames begin.

    None if the file states its length, or is not MPEG layer III.
    """
    with _content(file) as content:
        begin = _first_frame(content)
        if begin is None:
            return None
        first = _frame(content, begin)
        assert first
        stated = content[begin + first.tag : begin + first.tag + 8]
        if stated[:4] in (b"Xing", b"Info") and stated[7:] and stated[7] & 1:
            return None
        start = bytearray(content[begin : begin + 4])
        start[1] |= 1  # no checksum
        start[2] = start[2] & 0x0D | 0xE0  # the highest bit rate, not padded
        frame = _frame(bytes(start), 0)
        assert frame
        count = _count_frames(content, begin, first.kind)
        text = bytes(start).ljust(frame.tag, b"\0") + b"Xing" + struct.pack(">II", 1, count)
        return EMPTY_TAG + text.ljust(frame.length, b"\0"), begin


@contextmanager
def _content(file: Any) -> Iterator[Content]:
    """The whole content of an open file; of one inside another, in memory."""
    if isinstance(file, io.FileIO):
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
    else:
        file.seek(0)
        yield file.read()


def _first_frame(content: Content) -> int | None:
    position = 0
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        a, b, c, d = content[position + 6 : position + 10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d)
    last = min(position + _MOST_JUNK, len(content))
    while (position := content.find(b"\xff", position, last)) >= 0:
        frame = _frame(content, position)
        following = _frame(content, position + frame.length) if frame else None
        if frame and following and following.kind == frame.kind:
            return position
        position += 1
    return None


def _count_frames(content: Content, position: int, kind: int) -> int:
    count = 0
    while position >= 0:
        frame = _frame(content, position)
        if frame and frame.kind == kind:
            count, position = count + 1, position + frame.length
        else:  # damage, or a tag at the end
            position = content.find(b"\xff", position + 1)
    return count


def _frame(content: Content, position: int) -> _Frame | None:
    """The frame of MPEG layer III at a position, if one can begin there."""
    header = content[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, rate = header[1] >> 3 & 3, header[2] >> 2 & 3
    if version == 1 or rate == 3 or header[2] >> 4 in (0, 15):
        return None
    generation, mono = (1 if version == 3 else 2), header[3] >> 6 == 3
    bits = _KBITS[generation][(header[2] >> 4) - 1] * 1000
    length = (144 // generation) * bits // _RATES[version][rate] + (header[2] >> 1 & 1)
    side = (17 if mono else 32) if generation == 1 else (9 if mono else 17)
    return _Frame(version << 2 | rate, length, 4 + side)
