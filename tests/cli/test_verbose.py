"""`-v` and `vocoder info` say how a model runs here, and what would be faster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vocoder
from vocoder.inference import advice
from vocoder.inference.advice import faster
from vocoder.inference.vocoder import Vocoder
from vocoder.io.audio import write_audio
from vocoder.kernels.switch import reference_only

Command = Callable[..., Any]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    write_audio(tmp_path / "a.wav", 0.1 * torch.randn(4000), 22050)
    return tmp_path / "a.wav"


def test_path_is_said_on_stderr_alone(
    vocoder_command: Command, tiny_model: Path, recording: Path, tmp_path: Path
) -> None:
    common = ("resynth", recording, "--model", tiny_model, "-o", tmp_path / "out")
    quiet, loud = vocoder_command(*common), vocoder_command(*common, "-v")
    assert (quiet.code, loud.code, quiet.err) == (0, 0, "")
    path = vocoder.load(tiny_model).network.path
    assert loud.err.splitlines()[0] == f"tiny: {path}"
    assert "tiny" not in loud.out


def test_every_command_with_a_model_takes_it(vocoder_command: Command) -> None:
    for command in ("vocode", "resynth", "extend", "stream"):
        assert "--verbose" in vocoder_command(command, "--help").out


def test_info_says_the_path_and_what_is_faster(
    vocoder_command: Command, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vocoder.inference.description.faster", lambda model: ["this", "that"])
    path = vocoder.load(tiny_model).network.path
    facts = json.loads(vocoder_command("info", tiny_model, "--json").out)
    assert facts["runs"] == {"path": path, "faster": ["this", "that"]}
    shown = vocoder_command("info", tiny_model).out
    assert "runs.path" in shown and path.split()[0] in shown
    assert shown.index("this") < shown.index("that")


def test_advice_is_for_what_is_missing(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = vocoder.load(tiny_model, runtime="torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(advice, "is_available", lambda: True)
    assert faster(model) == []
    with reference_only():
        (line,) = faster(model)
    assert line.startswith("unset VOCODER_KERNELS")
    monkeypatch.setattr(advice, "is_available", lambda: False)
    (line,) = faster(model)
    assert line.startswith("pip install 'vocoder[fast]'")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert faster(model)[1].startswith("the device cuda")


def test_advice_is_not_said_twice(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = vocoder.load(tiny_model, runtime="torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(advice, "is_available", lambda: False)

    class Told:
        path = "PyTorch (llvmlite is missing: pip install 'vocoder[fast]')"

    model.network = Told()  # type: ignore[assignment]
    assert faster(model) == []


def test_griffin_lim_needs_nothing() -> None:
    model = vocoder.load("griffin-lim")
    assert isinstance(model, Vocoder) and faster(model) == []
