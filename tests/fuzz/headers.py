"""Mutations of binary headers: NumPy, safetensors, audio."""

import json
from random import Random

from tests.fuzz.raw import NUMBERS, mutate_bytes
from tests.fuzz.texts import mutate_json

SHAPES = ("()", "(80,)", "(0, 80)", "(80, 0)", "(12, 80)", "(1, 80, 12)", "(2, 80, 6)", "(-1, 80)")
SHAPES += ("(99999999999, 80)", "(9223372036854775807,)", "(4611686018427387904, 4)", "(80, 12.0)")
SHAPES += ("[80, 12]", "80", "(80, 1000000)", "(" + "1, " * 70 + ")", "('80', 12)", "(True, 80)")
DTYPES = (
    "'<f4'",
    "'>f8'",
    "'<f2'",
    "'<c8'",
    "'|O'",
    "'<U9'",
    "'<M8[s]'",
    "'|V8'",
    "'|b1'",
    "'<i8'",
)
DTYPES += ("'<f16'", "'V0'", "'U0'", "'f4,f4'", "[('a', '<f4'), ('b', '<f4')]", "'U999999999'", "5")
DTYPES += ("'(2,3)f4'", "None", "''", "[('a', [('b', '<f4')])]", "'<f4\\x00'")
HEADS = ("{{", "{{'descr': {0}, 'fortran_order': False, 'shape': {1}, }}", "{{'shape': {1}}}", "(")
HEADS += ("{{'descr': {0}, 'fortran_order': True, 'shape': {1}, }}", "{{}}", "", "__import__('os')")
HEADS += ("{{'descr': {0}, 'fortran_order': 2, 'shape': {1}, 'x': 1}}", "[" * 300, "-" * 9000 + "1")


def npy(rng: Random, content: bytes) -> bytes:
    """A NumPy file with another header; the array and what comes after it stay."""
    version = rng.choice((1, 1, 1, 2, 3, 4, 0))
    size = int.from_bytes(content[8:10], "little")
    stated = content[10 : 10 + size].decode("latin1").strip()
    if rng.random() < 0.4:
        for key, values in (("'descr': ", DTYPES), ("'shape': ", SHAPES)):
            if key in stated and rng.random() < 0.6:
                begin, _, rest = stated.partition(key)
                end = ", '" if key == "'descr': " else ", }"
                stated = begin + key + rng.choice(values) + end + rest.partition(end)[2]
    else:
        stated = rng.choice(HEADS).format(rng.choice(DTYPES), rng.choice(SHAPES))
    head = stated.encode("latin1", "replace") + b"\n"
    width = 2 if version == 1 else 4
    length = len(head) if rng.random() < 0.9 else rng.choice(NUMBERS) % (1 << 8 * width)
    magic = b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(width, "little")
    return magic + head + content[10 + size :]


def safetensors(rng: Random, content: bytes) -> bytes:
    """The JSON header, its length, or the numbers."""
    size = int.from_bytes(content[:8], "little")
    if size > len(content):
        return mutate_bytes(rng, content)
    head, numbers = content[8 : 8 + size], content[8 + size :]
    action = rng.randrange(4)
    if action == 0:
        head = mutate_json(rng, head)
    elif action == 1:
        begin = 4 * rng.randrange(len(numbers) // 4 + 1)
        words = (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\0\0\0\0", b"\0\0\xc8B")
        piece = rng.choice(words) * rng.choice((1, 1000))
        numbers = (numbers[:begin] + piece + numbers[begin + len(piece) :])[: len(numbers)]
    else:
        head = _relabelled(rng, head)
    length = len(head) if rng.random() < 0.95 else rng.choice(NUMBERS)
    return (length % 2**64).to_bytes(8, "little") + head + numbers


def _relabelled(rng: Random, head: bytes) -> bytes:
    """A header of safetensors that fits its numbers, with another name, type or shape."""
    try:
        entries = json.loads(head)
        name = rng.choice([each for each in entries if each != "__metadata__"])
        entry = entries.pop(name)
        shape = entry["shape"]
        if rng.random() < 0.3:
            name = rng.choice(("x", "", "mel", "a\nb", f"module.{name}", f"generator.{name}"))
        elif rng.random() < 0.5:
            entry["dtype"] = rng.choice(("I32", "U32", "F32"))
        else:
            entry["shape"] = rng.choice((shape[::-1], [*shape, 1], [1, *shape], [0, *shape]))
        return json.dumps(entries | {name: entry}).encode()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return mutate_bytes(rng, head)  # an earlier mutation damaged it


AUDIO = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff", b".snd", b"riff", b"NIST")


def audio(rng: Random, content: bytes) -> bytes:
    """Another number in one of the first fields of an audio header, of 2 or 4 aligned bytes."""
    width = rng.choice((2, 4))
    place = width * rng.randrange(4 // width, 64 // width)
    value = rng.choice(NUMBERS) % (1 << 8 * width)
    order = "big" if content[:4] in (b"FORM", b"fLaC", b"caff", b".snd") else "little"
    return content[:place] + value.to_bytes(width, order) + content[place + width :]
