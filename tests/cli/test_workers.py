"""Several files at a time: the same results in the same order, and nothing half-written."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vocoder
from vocoder.cli.files.workers import completed, in_order
from vocoder.features.mel import MelSpec
from vocoder.io.mel_file import write_mel

ROOT = Path(vocoder.__file__).parents[1]
BEGIN = """
import os, signal, sys, threading, time
from pathlib import Path
from vocoder.cli.files.workers import completed, in_order
from vocoder.io.atomic import replacing_file
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
if sys.argv[1] == "threads":
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
"""


def begin(mode: str, code: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    """A new interpreter, which can be forked in the mode "processes", in a process group."""
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(code), mode, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts a process, two workers of which are in the middle of a file when it returns."""
    started: list[subprocess.Popen[str]] = []
    code = """
        folder = Path(sys.argv[2])
        def write(name):
            with replacing_file(folder / name) as temporary:
                temporary.write_text("half")
                while name != "first":
                    time.sleep(0.01)
        with completed(write, ["first", "a", "b", "c"], workers=2) as results:
            for _ in results:
                pass
    """

    def start(mode: str) -> "subprocess.Popen[str]":
        started.append(begin(mode, code, tmp_path))
        wait_for(lambda: [path.stat().st_size for path in tmp_path.glob(".[ab].*")] == [4, 4])
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_have_the_order_of_the_items(workers: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.03 if item == 0 else 0)
        return item * item

    with completed(work, range(8), workers=workers) as results:
        assert list(in_order(results)) == [item * item for item in range(8)]


@pytest.mark.parametrize("mode", ["processes", "threads"])
def test_workers_are_processes_where_that_is_safe(mode: str) -> None:
    code = """
        with completed(lambda n: (n, os.getpid()), range(6), workers=2) as results:
            made = list(in_order(results))
        print([n for n, _ in made], all(pid == os.getpid() for _, pid in made))
    """
    out, err = begin(mode, code).communicate(timeout=20)
    assert out.strip() == f"[0, 1, 2, 3, 4, 5] {mode == 'threads'}", err


@pytest.mark.parametrize("mode", ["processes", "threads"])
def test_ctrl_c_leaves_nothing_half_written(
    writers: Callable[[str], "subprocess.Popen[str]"], tmp_path: Path, mode: str
) -> None:
    process = writers(mode)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=20)
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    assert err.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert err.count("Traceback") == 1, err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, workers are threads")
def test_workers_end_with_their_parent(
    writers: Callable[[str], "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = writers("processes")
    process.kill()
    wait_for(lambda: [path.name for path in tmp_path.iterdir()] == ["first"])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, workers are threads")
def test_a_worker_that_is_killed_is_an_error_in_one_line() -> None:
    code = """
        from vocoder.errors import VocoderError
        def work(n):
            if n == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        try:
            with completed(work, range(4), workers=2) as results:
                list(results)
        except VocoderError as error:
            print(error)
    """
    out, err = begin("processes", code).communicate(timeout=20)
    assert "--jobs" in out, err
    assert len(out.splitlines()) == 1


@pytest.fixture
def mels(tmp_path: Path) -> Path:
    """Five mels of different lengths, the second of which is for another model."""
    spec = MelSpec.preset("hifigan_22k_80")
    for n in range(5):
        torch.manual_seed(n)
        write_mel(tmp_path / "mels" / f"{n}.npy", torch.randn(80, 40 - 7 * n) - 5.0, spec)
    other = MelSpec.preset("bigvgan_24k_100")
    write_mel(tmp_path / "mels" / "1.npy", torch.randn(100, 9), other)
    return tmp_path / "mels"


def test_several_files_at_a_time_are_those_of_one_at_a_time(
    vocoder_command: Callable[..., Any],
    one_thread: None,
    tmp_path: Path,
    mels: Path,
    tiny_model: Path,
) -> None:
    made = []
    for threads in (1, 3):
        out = tmp_path / str(threads)
        run = vocoder_command(
            "vocode", mels, "-o", out, "--model", tiny_model, "--threads", threads
        )
        assert run.code == 2
        lines = [line.split()[0] for line in run.out.splitlines()]
        assert lines == [*(f"{out}/{n}.wav" for n in (0, 2, 3, 4)), "4"]
        assert run.err.startswith(f"error: {mels}/1.npy: ")
        made.append([path.read_bytes() for path in sorted(out.glob("*.wav"))])
    assert made[0] == made[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, workers are threads")
@pytest.mark.parametrize("command", ["vocode", "resynth", "extend", "mel"])
def test_processes_of_the_command_line_make_the_same_files(
    tmp_path: Path, clips: list[Path], command: str
) -> None:
    sources = ROOT / "egs" / "mels" if command == "vocode" else clips[0].parents[1] / "gd"
    made = []
    for threads in ("1", "2"):
        out = tmp_path / threads
        arguments = [command, sources, "-o", out, "--threads", threads]
        subprocess.run([sys.executable, "-m", "vocoder", *arguments], check=True, cwd=ROOT)
        made.append({path.name: path.read_bytes() for path in sorted(out.rglob("*.*"))})
    assert len(made[0]) >= 2
    assert made[0] == made[1]
