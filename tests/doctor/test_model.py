"""Models: which path they take, and whether a self-test shows that they work."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from vocoder.cli.app import app
from vocoder.doctor.examination import Examination
from vocoder.doctor.model import examine_model, path_findings
from vocoder.errors import CheckpointError
from vocoder.inference import description
from vocoder.inference.vocoder import load

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "tests" / "fixtures" / "release_0_1" / "demo" / "last"  # trained for four steps


def value(found: Examination, name: str) -> str:
    return next(each.value for each in found.findings if each.name == name)


def test_default_model_works_and_says_how_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examine_model("default")
    assert found.severity in ("ok", "note")  # a note, where it could be faster
    assert "preset hifigan_22k_80" in value(found, "mel")
    assert "kathleen" in value(found, "licences")
    assert "look-ahead" in value(found, "streaming")
    assert "times real time" in value(found, "speed")
    monkeypatch.setattr(description, "faster", lambda model: ["pip install 'vocoder[fast]': …"])
    model = load()
    (path,) = path_findings(model, description.describe_model(model, "default"))
    assert path.severity == "note" and path.advice and "vocoder[fast]" in path.advice


@pytest.mark.slow
@pytest.mark.parametrize("name", ["griffin-lim", "extender"])
def test_other_built_in_models_pass_their_self_test(name: str) -> None:
    assert "problem" not in {each.severity for each in examine_model(name).findings}


def test_model_that_is_hardly_trained_fails_the_self_test() -> None:
    found = examine_model(DEMO)
    assert found.severity == "problem"
    assert "Np off" in value(found, "self-test")
    assert "It has a problem: self-test" in found.verdict


def test_empty_weights_are_named(tmp_path: Path) -> None:
    model = tmp_path / "m"
    shutil.copytree(DEMO, model)
    weights = load_file(model / "model.safetensors")
    name = next(name for name, each in weights.items() if each.ndim > 1 and each.numel() > 64)
    save_file({**weights, name: torch.zeros_like(weights[name])}, model / "model.safetensors")
    found = examine_model(model)
    assert "weights" in {each.name for each in found.findings if each.severity == "problem"}
    save_file({**weights, name: weights[name] * torch.nan}, model / "model.safetensors")
    with pytest.raises(CheckpointError, match="NaN or infinite values in"):
        examine_model(model)


def test_checkpoint_of_another_project_is_converted_in_memory(tmp_path: Path) -> None:
    theirs = ROOT / "tests" / "importers" / "fixtures" / "vibravox"
    found = examine_model(theirs)
    assert "eben" in value(found, "checkpoint")
    (checkpoint,) = [each for each in found.findings if each.name == "checkpoint"]
    assert checkpoint.advice == f"vocoder import {theirs} -o MODEL_DIR"
    unknown = tmp_path / "g.pt"
    torch.save({"encoder.weight": torch.zeros(3, 3)}, unknown)
    refused = examine_model(unknown)
    assert "a checkpoint of no known project" in value(refused, "import")


def test_command_takes_folders_of_other_projects_and_names() -> None:
    theirs = ROOT / "tests" / "importers" / "fixtures" / "speecht5"
    result = CliRunner().invoke(app, ["doctor", str(theirs), "no-such-model"])
    assert result.exit_code == 2
    assert "A vocoder at 16000 Hz" in result.stdout
    assert "no-such-model: no such model directory" in result.stderr
