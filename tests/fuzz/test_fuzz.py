"""No mutation of a valid file leads to anything but a result or one line that names the file."""

import ctypes
import os
import sys
import time
import zlib
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.fuzz.harness import clusters, fuzz, report
from tests.fuzz.mutations import mutate
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.worker import attempt, write
from vocoder.errors import VocoderError

RUNS = {"mel": 80, "model": 10, "checkpoint": 8, "audio": 120, "manifest": 80}
RUNS |= {"preset": 100, "stream": 120}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_read_or_refused_in_one_line_that_names_them(
    name: str, tmp_path: Path
) -> None:
    reader, folder = READERS[name], tmp_path / "run"
    seeds, faults = reader.seeds(), []
    for number in range(RUNS[name]):
        target = write(mutate(Random(f"test {number}"), seeds), folder)
        faults += [
            (number, *each) for each in attempt(reader.run, target, reader.origin(folder))[2]
        ]
    assert not faults


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_mutated_files_within_limits_of_time_and_memory(name: str) -> None:
    result = fuzz(name, runs=4000 if name not in ("model", "checkpoint") else 800, seed=1)
    assert not result.faults, report(result)


def test_a_run_is_a_function_of_its_number() -> None:
    for reader in READERS.values():
        seeds = reader.seeds()
        made = [[mutate(Random(f"0 {number}"), seeds) for number in range(8)] for _ in range(2)]
        assert made[0] == made[1]
        assert len({tuple(files.values()) for files in made[0]}) > 4


_kept: list[object] = []


def misbehave(path: Path) -> None:
    """Reads the valid file, and does one of many things for each mutation of it."""
    content = path.read_bytes()
    kind = "" if content == VALID else "abcdefghijkl"[zlib.crc32(content) % 12]
    if kind == "a":
        raise VocoderError(f"{path}: wrong, and it says where")
    if kind == "b":
        raise VocoderError("wrong somewhere")
    if kind == "c":
        raise KeyError("x")
    if kind == "d":
        _kept.append(np.ones(2**27))
    if kind == "e":
        print("a library speaks", file=sys.stderr, flush=True)
    if kind == "f":
        ctypes.string_at(0)
    if kind == "g":
        while True:
            pass
    if kind == "h":
        begin = time.process_time()
        while time.process_time() < begin + 2.5:
            pass
    if kind == "i":
        os._exit(0)
    if kind == "j":
        raise VocoderError(f"{path}: one line\nand another")
    if kind == "k":
        try:
            np.ones(2**40)
        except MemoryError as error:
            raise VocoderError(f"{path}: damaged") from error


VALID = bytes(64)
MISBEHAVING = Reader(lambda: [{"file": VALID}], misbehave)


@pytest.mark.slow
def test_every_kind_of_fault_is_found_and_the_harness_goes_on() -> None:
    result = fuzz(f"{__name__}:MISBEHAVING", runs=150)
    found = {each[0].kind for each in clusters(result.faults)}
    expected = {"does not name the file", "KeyError", "memory", "writes to the terminal", "slow"}
    expected |= {"process ended (-11)", "TooSlow", "process ended (0)", "not one line"}
    assert found == expected | {"tried to allocate"}
    assert result.runs == 150
    again = fuzz(f"{__name__}:MISBEHAVING", start=40, runs=5)
    assert again.faults == [fault for fault in result.faults if 40 <= fault.run < 45]
