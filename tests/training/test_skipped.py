"""Clips that go bad do not end a run, in one process or two, and rank 0 says which they are."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from vocoder.data.audit import audit
from vocoder.data.manifest import read_manifest, write_manifest
from vocoder.training.reporting.monitor import Monitor

from .test_signals import SMALL, free_port

CLIPS = Path(__file__).parents[2] / "egs/clips"


def train(manifest: Path, folder: Path, *settings: str, workers: int, ranks: int) -> list[str]:
    """Exit code and output of each process of a short run, as text."""
    command = [sys.executable, "-m", "vocoder", "train", "system=demo", *SMALL]
    command += [f"data.manifest={manifest}", f"trainer.output={folder / 'run'}"]
    command += ["data.batch_size=4", "data.segment=2048", "trainer.max_steps=12"]
    command += ["trainer.log_every=4", "trainer.threads=1", "trainer.device=cpu", *settings]
    command += [f"trainer.workers={workers}", "trainer.validation_clips=1"]
    common = {**os.environ, "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
    common["MASTER_PORT"] = str(free_port())
    processes = [
        subprocess.Popen(
            command,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]
    texts = [process.communicate(timeout=120)[0] for process in processes]
    return [f"{process.returncode} {text}" for process, text in zip(processes, texts, strict=True)]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A manifest of copies of the real clips, which may be destroyed."""
    shutil.copytree(CLIPS, tmp_path / "clips")
    write_manifest(tmp_path / "m.csv", audit(tmp_path / "clips").clips)
    return tmp_path / "m.csv"


def test_a_run_that_waits_for_its_data_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for waited, said in ((1.0, 0), (15.0, 1)):
        monitor = Monitor(tmp_path, first=0, last=9, console=Console(quiet=True))
        monitor.started, monitor.waited = time.monotonic() - 30.0, waited
        with caplog.at_level(logging.WARNING):
            monitor.losses(1, {"mel": 1.0})
        assert caplog.text.count("50 % of the time went into waiting for data") == said
    assert "raise trainer.workers, `vocoder bench data` says to how many" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_bad_clips_are_skipped_and_named_by_rank_0(
    workers: int, ranks: int, copied: Path, tmp_path: Path
) -> None:
    clips = [clip.path for clip in read_manifest(copied, split="train")]
    bad = [path for path in clips if isinstance(path, Path)][:4]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(bad[1].read_bytes()[:3000])
    bad[2].write_bytes(b"\1" * 5000 + bad[2].read_bytes()[5000:])
    bad[3].unlink()
    share = "data.unreadable_share=0.6"
    first, *others = train(copied, tmp_path, share, workers=workers, ranks=ranks)
    assert first.startswith("0 "), first
    named = re.findall(r"(\S+): skipped, another crop takes its place", first)
    assert set(named) <= {str(path) for path in bad}
    assert len(named) == len(set(named)) >= 3
    for other in others:
        assert other.startswith("0 "), other
        assert ": skipped, " not in other
    lines = (tmp_path / "run/curve.jsonl").read_text().splitlines()
    counts = [json.loads(line).get("train", {}).get("skipped_crops", 0.0) for line in lines]
    assert max(counts) >= len(named)
    bad[3].write_bytes(b"")  # what is missing is found before the first step
    stop = "data.on_error=stop"
    for end in train(copied, tmp_path / "stop", stop, workers=workers, ranks=ranks):
        assert end.startswith("2 "), end
        assert "Traceback" not in end
        assert end.count("error: ") == 1
