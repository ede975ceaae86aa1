"""The commands of egs/README.md for a generator outside the package work unchanged."""

import logging
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vocoder.build

EGS = Path(__file__).parents[1] / "egs"


@pytest.fixture
def commands() -> list[list[str]]:
    """Arguments of `vocoder` in the README's section about own_generator/."""
    text = (EGS / "README.md").read_text(encoding="utf-8")
    section = text.split("## A generator of your own")[1]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block is not None
    lines = [shlex.split(line) for line in block[1].splitlines()]
    assert lines[0] == ["cd", "egs/own_generator"]
    assert {line[0] for line in lines[1:]} == {"vocoder"}
    return [line[1:] for line in lines[1:]]


def test_own_generator_is_trained_and_used(
    commands: list[list[str]],
    vocoder_command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "own_generator"
    shutil.copytree(EGS / "own_generator", folder, ignore=shutil.ignore_patterns("out", "runs"))
    (tmp_path / "clips").symlink_to(EGS / "clips" / "kathleen")  # three clips, one for each split
    (tmp_path / "mels").symlink_to(EGS / "mels")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(vocoder.build, "_allowed", list(vocoder.build._allowed))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))  # Hydra adds some
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    few = {
        "train": ["max_steps=2", "adversarial_start=1", "validation_seconds=1", "workers=0"],
    }
    for arguments in commands:
        more = [f"trainer.{each}" for name in arguments for each in few.get(name, [])]
        result = vocoder_command(*arguments, *more)
        assert result.code == 0, result.err
    sys.modules.pop("frames")
    made = sorted(path.stem for path in (folder / "out").glob("*.wav"))
    assert made == sorted(path.stem for path in (EGS / "mels").glob("*.npy"))
