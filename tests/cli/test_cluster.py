"""The Ray engine, on a cluster of this machine: the same files, and lost workers are replaced."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vocoder
from vocoder.cli.files import cluster
from vocoder.errors import AudioError, VocoderError

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")
ROOT = Path(vocoder.__file__).parents[1]


@pytest.fixture(autouse=True)
def path_of_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    ray.shutdown()


def test_a_lost_worker_is_replaced_and_an_item_that_loses_three_has_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def work(item: int) -> int:
        if item == 5 or (item == 2 and not (tmp_path / "once").exists()):
            (tmp_path / "once").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return -item

    with cluster.completed(work, range(9), workers=2) as results:
        made: dict[int, Any] = dict(results)
    error = made.pop(5)
    assert isinstance(error, VocoderError)
    assert "3 workers were lost" in str(error)
    assert made == {n: -n for n in range(9) if n != 5}
    assert caplog.text.count("a worker was lost") == 4


def test_what_the_work_raises_is_raised_here() -> None:
    def work(item: int) -> int:
        raise AudioError(f"item {item}")

    with pytest.raises(AudioError, match=r"^item 0$"), cluster.completed(work, [0], workers=1) as r:
        list(r)


def test_work_that_cannot_begin_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "__version__", "0.0")
    with (
        pytest.raises(VocoderError, match=r"is installed there, here 0\.0\); install the same"),
        cluster.completed(abs, [1], workers=1) as results,
    ):
        list(results)


def test_no_cluster_at_the_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with (
        pytest.raises(VocoderError, match="no cluster answers at RAY_ADDRESS=127"),
        cluster.completed(abs, [1], workers=1),
    ):
        pass


@pytest.mark.parametrize("command", ["mel", "vocode", "resynth", "extend", "prepare"])
def test_files_are_those_of_this_machine(tmp_path: Path, clips: list[Path], command: str) -> None:
    sources = ROOT / "egs" / "mels" if command == "vocode" else clips[0].parents[1] / "gd"
    made = []
    for engine in ("local", "ray"):
        out = tmp_path / engine / "out"
        arguments = [command, sources, "-o", out, "--engine", engine, "--jobs", "2"]
        subprocess.run([sys.executable, "-m", "vocoder", *arguments], check=True, cwd=ROOT)
        paths = [path for path in out.parent.rglob("*") if path.is_file()]
        made.append({path.name: path.read_bytes() for path in paths})
    assert len(made[0]) >= (1 if command == "prepare" else 2)
    assert made[0] == made[1]
