"""Kernels need no compiler and no writable folder: nothing is started, nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

PROGRAM = """
import os, sys

def refuse(event, arguments):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        raise RuntimeError(f"{event} {arguments}")
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & writes:
        if arguments[0] not in ("/dev/null", os.devnull):
            raise RuntimeError(f"writes {arguments[0]}")

import torch
from tests.conftest import small_vocoder
from vocoder.nn.activation import AntiAliased, Snake
vocoder = small_vocoder()
x = vocoder.mel(0.1 * torch.randn(4000), sample_rate=vocoder.sample_rate)
sys.addaudithook(refuse)
vocoder.network.compile()
vocoder(x)
assert vocoder.network.path.startswith("compiled for this CPU"), vocoder.network.path
act, signal = AntiAliased(Snake(4)), torch.randn(1, 4, 50, requires_grad=True)
act(signal).sum().backward()
print("made")
"""


@pytest.mark.slow
def test_kernels_are_made_without_path_home_and_writing(tmp_path: Path) -> None:
    environment = {
        "PATH": "",
        "HOME": str(tmp_path / "missing"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": "1",
    }
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert made.stdout == "made\n", made.stderr


WITHOUT_LLVMLITE = """
import sys
sys.modules["llvmlite"] = None  # an import of it fails
import torch, vocoder
from vocoder.nn.activation import AntiAliased, Snake
v, extender = vocoder.load(), vocoder.load_extender()
v(torch.randn(80, 100) - 5.0)
extender(0.1 * torch.randn(4000), sample_rate=8000)
AntiAliased(Snake(4))(torch.randn(1, 4, 50, requires_grad=True)).sum().backward()
print(v.network.path)
"""


@pytest.mark.slow
def test_everything_runs_without_llvmlite() -> None:
    made = subprocess.run(
        [sys.executable, "-c", WITHOUT_LLVMLITE],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert "pip install 'vocoder[fast]'" in made.stdout, made.stderr
