"""Mutations of bytes."""

from collections.abc import Callable
from random import Random

NUMBERS = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 10**6)
NUMBERS += (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**62, 2**63 - 1, 2**64 - 1)
WORDS = (b"-1", b"0", b"1e999", b"nan", b"99999999999999999999", b"\x00", b"\xff\xfe", b'"', b"\n")
WORDS += (b"[" * 5000, b"{" * 300, b"}", b",", b"'", b"\\", b"()", b"-0", b"0.5", b"\xe2\x80\xa8")


def mutate_bytes(rng: Random, content: bytes) -> bytes:
    """One mutation of the bytes; the beginning, where headers are, is hit more often."""
    size = len(content)
    place = rng.randrange(min(size, rng.choice((16, 128, 1024, 2**30)))) if size else 0
    return rng.choice(_BYTES)(rng, content, place)


def _flip(rng: Random, content: bytes, place: int) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(place, len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set(rng: Random, content: bytes, place: int) -> bytes:
    return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]


def _cut(rng: Random, content: bytes, place: int) -> bytes:
    return content[: rng.choice((place, len(content) - 1 - place % 64))]


def _insert(rng: Random, content: bytes, place: int) -> bytes:
    return content[:place] + rng.randbytes(rng.choice((1, 2, 8, 100))) + content[place:]


def _remove(rng: Random, content: bytes, place: int) -> bytes:
    return content[:place] + content[place + rng.choice((1, 2, 4, 50)) :]


def _repeat(rng: Random, content: bytes, place: int) -> bytes:
    piece = content[place : place + rng.choice((1, 4, 64, 1024))]
    return content[:place] + piece * rng.choice((2, 3, 50)) + content[place + len(piece) :]


def _zero(rng: Random, content: bytes, place: int) -> bytes:
    size = rng.choice((1, 4, 64, 1024))
    filler = rng.choice((b"\0", b"\xff", b" "))
    return content[:place] + filler * len(content[place : place + size]) + content[place + size :]


def _splice(rng: Random, content: bytes, place: int) -> bytes:
    other = rng.randrange(len(content)) if content else 0
    size = rng.choice((4, 32, 512))
    return content[:place] + content[other : other + size] + content[place + size :]


def _number(rng: Random, content: bytes, place: int) -> bytes:
    width = rng.choice((2, 4, 4, 8))
    value = (rng.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, rng.choice(("little", "big")))
    return content[:place] + value + content[place + width :]


def _word(rng: Random, content: bytes, place: int) -> bytes:
    return content[:place] + rng.choice(WORDS) + content[place + rng.choice((0, 1, 3)) :]


def _digit(rng: Random, content: bytes, place: int) -> bytes:
    """Change a number that is written as text."""
    begin = next((i for i in range(place, len(content)) if content[i : i + 1].isdigit()), None)
    if begin is None:
        return content + b"\0"
    end = begin
    while content[end : end + 1].isdigit():
        end += 1
    return content[:begin] + str(rng.choice(NUMBERS)).encode() + content[end:]


_BYTES: tuple[Callable[[Random, bytes, int], bytes], ...] = (
    *(_flip, _set, _cut, _insert, _remove, _repeat, _zero, _splice, _number, _word, _digit),
)
