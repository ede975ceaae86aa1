"""Mutations of text files: JSON, YAML, CSV."""

import csv
import io
import json
from random import Random

from tests.fuzz import plain
from tests.fuzz.raw import mutate_bytes


def mutate_json(rng: Random, content: bytes) -> bytes:
    try:
        text = json.dumps(plain.mutate(rng, json.loads(content)))
    except (ValueError, RecursionError):  # an earlier mutation may have damaged it
        return mutate_bytes(rng, content)
    if rng.random() < 0.03:
        return rng.choice((b'{"mel":' * 100_000, b"[" * 100_000, b'{"a":1,"a":2}', b"9" * 5000))
    encoding = rng.choice(("utf-8",) * 20 + ("utf-16", "utf-8-sig", "utf-32"))
    return text.encode(encoding)


def mutate_yaml(rng: Random, content: bytes) -> bytes:
    import yaml

    if rng.random() < 0.1:
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
        tag = "x: !!python/object/apply:os.getcwd []\n"
        return content + rng.choice((bomb, tag, "x: [" * 2000, "x: &a [*a]\n", "? x\n")).encode()
    try:
        return yaml.safe_dump(plain.mutate(rng, yaml.safe_load(content))).encode()
    except Exception:  # an earlier mutation may have damaged it, or it cannot be written
        return mutate_bytes(rng, content)


CELLS = ("", " ", "-1", "0", "nan", "inf", "1e400", "9" * 5000, "a\0b", "../../x", "/", "x" * 9000)
CELLS += ("{}", '{"n_mels": 1e99}', "[[[", "hifigan_22k_80", "train", "TRAIN", "é", "\udcff", "~/a")
CELLS += (
    "wavs",
    "wavs/a.wav",
    "wavs//a.wav",
    "C:\\a.wav",
    "1_000",
    "٣",
    "0x10",
    "1e3",
    "a\nb",
    "|",
)


def mutate_csv(rng: Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    mark = rng.choice((",", ",", ";", "\t", "|"))
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error:
        return mutate_bytes(rng, content)
    if not rows or not all(rows):
        return mutate_bytes(rng, content)
    row = rng.choice(rows)
    action = rng.randrange(6)
    if action == 0:
        row.append(rng.choice(CELLS))
    elif action == 1:
        del row[rng.randrange(len(row))]
    elif action == 2:
        rows.insert(rng.randrange(len(rows) + 1), list(row) if rng.random() < 0.7 else [])
    else:
        row[rng.randrange(len(row))] = rng.choice(CELLS)
    file = io.StringIO()
    csv.writer(file, delimiter=mark, quotechar='"', escapechar="\\").writerows(rows)
    encoding = rng.choice(("utf-8",) * 10 + ("utf-16", "utf-8-sig", "latin1"))
    return file.getvalue().encode(encoding, "replace")
