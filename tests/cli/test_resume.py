"""A batch that was stopped goes on where it was, and makes what it would have made at once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import vocoder
from vocoder.cli.files.record import Record
from vocoder.cli.files.sources import Job
from vocoder.cli.files.workers import completed, in_order
from vocoder.data import audit as auditing
from vocoder.data.corpus import measured

Command = Callable[..., Any]
ROOT = Path(vocoder.__file__).parents[1]
RATE = 22050


def noise(folder: Path, count: int, seconds: float = 0.3) -> Path:
    """Recordings of different noise, in sub-folders of ten."""
    for n in range(count):
        path = folder / f"{n // 10}" / f"{n:03d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = 0.1 * np.random.default_rng(n).standard_normal(round(seconds * RATE))
        soundfile.write(path, samples, RATE, subtype="PCM_16")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, hidden ones too."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def stopped(vocoder_command: Command, tmp_path: Path) -> tuple[Path, Path]:
    """Four recordings and a broken one, and a folder where `vocoder mel` could not make it."""
    speech, mels = noise(tmp_path / "speech", 4), tmp_path / "mels"
    (speech / "0" / "004.wav").write_bytes(b"nothing")
    result = vocoder_command("mel", speech, "-o", mels)
    assert (result.code, result.out.splitlines()[-1].split()[:2]) == (2, ["4", "files"])
    return speech, mels


def mend(speech: Path) -> None:
    shutil.copy(speech / "0" / "003.wav", speech / "0" / "004.wav")


def test_a_repeated_command_makes_what_is_missing(
    vocoder_command: Command, stopped: tuple[Path, Path]
) -> None:
    speech, mels = stopped
    before = {path: path.stat().st_mtime_ns for path in mels.rglob("*.npy")}
    mend(speech)
    result = vocoder_command("mel", speech, "-o", mels)
    lines = result.out.splitlines()
    assert (result.code, lines[0]) == (0, "4 of 5 files were made before")
    assert [line.split()[0] for line in lines[1:]] == [f"{mels}/0/004.npy"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(contents(mels)) == 5, "the record is removed when all is done"
    again = vocoder_command("mel", speech, "-o", mels)
    assert again.out.splitlines()[-1].startswith("5 files"), "a complete folder is made anew"


def test_what_has_changed_is_made_again(
    vocoder_command: Command, stopped: tuple[Path, Path]
) -> None:
    speech, mels = stopped
    noise(speech, 1, seconds=0.4)  # another 000.wav
    (mels / "0/001.npy").unlink()
    with (mels / "0/002.npy").open("ab") as file:
        file.write(b"more")
    mend(speech)
    result = vocoder_command("mel", speech, "-o", mels)
    made = [Path(line.split()[0]).stem for line in result.out.splitlines()[1:-1]]
    assert (result.code, made) == (0, ["000", "001", "002", "004"])
    vocoder_command("mel", speech, "-o", mels.with_name("expected"))
    assert contents(mels) == contents(mels.with_name("expected"))


def test_other_settings_are_a_warning_and_begin_anew(
    vocoder_command: Command, stopped: tuple[Path, Path]
) -> None:
    speech, mels = stopped
    mend(speech)
    result = vocoder_command("mel", speech, "-o", mels, "--preset", "vocos_24k_100")
    assert (result.code, result.out.splitlines()[-1].split()[:2]) == (0, ["5", "files"])
    assert result.err == (
        f"warning: {mels}: the files there were made with other settings (mel settings); "
        "all are made again\n"
    )


def test_another_model_of_the_same_name_begins_anew(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path
) -> None:
    speech, out = noise(tmp_path / "speech", 2), tmp_path / "out"
    (speech / "bad.wav").write_bytes(b"nothing")
    arguments = ("resynth", speech, "-o", out, "--model", tiny_model)
    vocoder_command(*arguments)
    assert "2 of 3 files were made before" in vocoder_command(*arguments).out
    weights = tiny_model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4:] = b"\0\0\0\0"
    weights.write_bytes(content)
    assert "other settings (model)" in vocoder_command(*arguments).err


def test_left_overs_of_its_files_are_removed_and_those_of_others_stay(
    vocoder_command: Command, stopped: tuple[Path, Path]
) -> None:
    speech, mels = stopped
    ours, other = (mels / "0" / f".{name}.npy.{'0a' * 8}" for name in ("004", "999"))
    for path in (ours, other):
        path.write_bytes(b"half")
    vocoder_command("mel", speech, "-o", mels)
    assert (ours.exists(), other.exists()) == (False, True)


def test_a_record_that_was_cut_off_loses_that_line_only(tmp_path: Path) -> None:
    jobs = [Job(tmp_path / f"{n}.wav", tmp_path / f"{n}.npy") for n in range(3)]
    for path in (path for job in jobs for path in job):
        path.write_bytes(b"content")
    with Record(tmp_path, "mel", {"a": 1}) as record:
        for job in jobs[:2]:
            record.add(job)
    path = tmp_path / ".vocoder-mel"
    path.write_bytes(path.read_bytes()[:-5])
    with Record(tmp_path, "mel", {"a": 1}) as record:
        assert [record.has(job) for job in jobs] == [True, False, False]
        record.add(jobs[2])
    record = Record(tmp_path, "mel", {"a": 1})
    assert [record.has(job) for job in jobs] == [True, False, True]


@pytest.mark.parametrize("workers", [1, 2])
def test_few_items_wait_for_workers(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    class Items(Sequence[int]):
        taken = 0

        def __len__(self) -> int:
            return 4000

        def __getitem__(self, index: Any) -> Any:
            if isinstance(index, slice):
                self.taken = max(self.taken, index.stop)
                return list(range(index.start, index.stop))
            if index >= len(self):
                raise IndexError
            self.taken = max(self.taken, index + 1)
            return index

    items, early = Items(), 0
    monkeypatch.setattr("vocoder.cli.files.workers._has_one_thread", lambda: False)
    with completed(lambda n: -n, items, workers=workers) as results:
        for done, result in enumerate(in_order(results)):
            assert result == -done
            early = max(early, items.taken - done)
    assert done == 3999
    assert early <= 16 * 6 * workers


def test_prepare_measures_no_file_twice(
    vocoder_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speech = noise(tmp_path / "speech", 6)
    assert vocoder_command("prepare", speech, "-o", tmp_path / "expected.csv").code == 0
    looked: list[str] = []
    stop_after = 4
    measure = measured.measure

    def counted(path: Path) -> Any:
        if len(looked) == stop_after:
            raise KeyboardInterrupt
        looked.append(path.stem)
        return measure(path)

    monkeypatch.setattr(measured, "measure", counted)
    arguments = ("prepare", speech, "-o", tmp_path / "m.csv", "--jobs", "1")
    assert vocoder_command(*arguments).code == 130
    assert not (tmp_path / "m.csv").exists()
    noise(speech, 1, seconds=0.4)  # another 000.wav
    looked.clear()
    result = vocoder_command(*arguments)
    assert (result.code, looked) == (0, ["000", "004", "005"])
    assert "3 files were measured before" in result.out
    assert not list(tmp_path.glob(".*"))
    noise(speech, 1)
    stop_after = 99
    vocoder_command("prepare", speech, "-o", tmp_path / "m.csv", "--jobs", "1")
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_an_audit_does_not_depend_on_the_order_in_which_files_are_done(tmp_path: Path) -> None:
    speech = noise(tmp_path / "speech", 5)
    shutil.copy(speech / "0" / "000.wav", speech / "0" / "copy.wav")
    (speech / "0" / "bad.wav").write_bytes(b"nothing")

    def backwards(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[tuple[int, Any]]:
        return [(n, work(items[n])) for n in reversed(range(len(items)))]

    assert auditing.audit(speech, each=backwards) == auditing.audit(speech)


def test_without_ray_the_extra_is_named(
    vocoder_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    speech = noise(tmp_path / "speech", 2)
    expected = "error: --engine ray needs ray: pip install 'vocoder[ray]'\n"
    for command in ("mel", "prepare"):
        result = vocoder_command(command, speech, "-o", tmp_path / command, "--engine", "ray")
        assert (result.code, result.err) == (2, expected)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_killed_five_times_it_ends_with_the_right_files(tmp_path: Path, engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    speech, out = noise(tmp_path / "speech", 2000), tmp_path / "out"
    command = [sys.executable, "-m", "vocoder", "mel", str(speech), "--engine", engine]
    one = subprocess.run([*command[:5], "-o", tmp_path / "one", "--jobs", "1"], cwd=ROOT)
    assert one.returncode == 0
    command += ["-o", str(out), "--jobs", "2"]
    rng = random.Random(0)
    for _ in range(5):
        there = len(list(out.rglob("*.npy")))
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        wanted = there + rng.randrange(1, 300)
        while len(list(out.rglob("*.npy"))) < wanted:
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    last = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    before = int(last.stdout.split(" of 2000 files were made before")[0])
    assert 0 < before < 2000
    assert contents(out) == contents(tmp_path / "one")
