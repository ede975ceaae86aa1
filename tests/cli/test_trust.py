"""Classes outside the package: built where the command line trusts them, otherwise not imported."""

import importlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import vocoder.build
from vocoder.checkpoint import CONFIG_NAME
from vocoder.data.audit import audit
from vocoder.data.manifest import write_manifest
from vocoder.io.audio import read_audio

Command = Callable[..., Any]
EGS = Path(__file__).parents[2] / "egs"
MEL = EGS / "mels" / "LJ001-0013.npy"
MODULE = """
import sys
from pathlib import Path

from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator
from vocoder.generators.base import Generator

Path("imported").write_text(sys.path[-1])


class Frames(Generator):
    features = ("mel",)

    def __init__(self, *, n_mels, hop_length):
        super().__init__(hop_length=hop_length)
        self.conv = nn.Conv1d(n_mels, hop_length, 1)

    def forward(self, mel: Tensor) -> Tensor:
        return self.conv(mel).transpose(1, 2).flatten(1)[:, None]


class Peak(nn.Module):
    def forward(self, fake, real):
        return (fake.abs().amax() - real.abs().amax()).abs()


class Waveform(nn.Module):
    def __init__(self, *, channels):
        super().__init__()
        convs = [nn.Conv1d(1, channels, 15, stride=4, padding=7)]
        self.discriminator = ConvDiscriminator(convs, nn.Conv1d(channels, 1, 3, padding=1))

    def forward(self, audio):
        return [self.discriminator(audio)]
"""
CONFIGS = {
    "generator/own.yaml": """
_target_: own_parts.Frames
n_mels: ${mel.n_mels}
hop_length: ${mel.hop_length}
""",
    "discriminators/own.yaml": """
waveform:
  _target_: own_parts.Waveform
  channels: 4
""",
    "objective/own.yaml": """
defaults:
  - lsgan_mel_stft
reconstruction:
  peak:
    _target_: own_parts.Peak
weights:
  peak: 1.0
""",
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, one for each split."""
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    write_manifest(path, audit(EGS / "clips" / "kathleen").clips)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a project with a module, which notes that it is imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_parts.py").write_text(MODULE)
    for name, text in CONFIGS.items():
        path = tmp_path / "configs" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def command(vocoder_command: Command) -> Command:
    """Run `vocoder ARGUMENTS…`, each time as if in a new process: nothing is trusted yet."""

    def run(*arguments: str | Path) -> Any:
        importlib.invalidate_caches()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vocoder.build, "_allowed", list(vocoder.build._allowed))
            patch.setattr(sys, "path", list(sys.path))
            patch.setattr(logging.root, "handlers", list(logging.root.handlers))  # Hydra adds some
            patch.setattr(logging.root, "level", logging.root.level)
            modules = set(sys.modules)
            try:
                return vocoder_command(*arguments)
            finally:
                for name in {name for name in sys.modules if name.startswith("own_")} - modules:
                    del sys.modules[name]

    return run


def train(command: Command, manifest: Path, *overrides: str) -> Any:
    settings = ["max_steps=2", "adversarial_start=0", "workers=0", "validation_clips=1"]
    return command(
        *("--trust", "own_parts", "train", "--config-dir", "configs", "system=demo", "name=own"),
        *(f"trainer.{each}" for each in (*settings, "validation_seconds=1")),
        *(f"data.manifest={manifest}", "data.batch_size=2", "data.segment=2048"),
        *overrides,
    )


@pytest.fixture
def own_model(tiny_model: Path) -> Path:
    """A model directory whose generator is said to be a class of the module."""
    path = tiny_model / CONFIG_NAME
    values = json.loads(path.read_text())
    values["generator"] = {"_target_": "own_parts.Frames", "n_mels": 80, "hop_length": 256}
    path.write_text(json.dumps(values))
    return tiny_model


def test_own_parts_train_and_vocode(
    command: Command, folder: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = "vocoder.training.reporting.monitor.resynthesis_figure"
    monkeypatch.setattr(figure, lambda *_: Figure(figsize=(1, 1)))  # painting takes a second
    own = ["generator=own", "discriminators=own", "objective=own"]
    assert train(command, manifest, *own).code == 0
    assert (folder / "imported").read_text() == str(folder)  # the last place that is searched
    (curve, *_) = (folder / "runs" / "own" / "curve.jsonl").read_text().splitlines()
    assert {"peak", "adversarial", "discriminators"} <= json.loads(curve)["train"].keys()

    model = folder / "runs" / "own" / "last"
    refused = command("vocode", MEL, "-o", "a.wav", "--model", model)
    assert refused.code == 2
    assert "own_parts.Frames" in refused.err
    assert "--trust" in refused.err
    assert not (folder / "a.wav").exists()

    used = command("--trust", "own_parts", "vocode", MEL, "-o", "a.wav", "--model", model)
    assert used.code == 0, used.err
    audio, _ = read_audio(folder / "a.wav")
    assert np.load(MEL).shape[1] * 256 == audio.shape[-1]


def test_training_without_trust_names_the_class(
    command: Command, folder: Path, manifest: Path
) -> None:
    result = command(
        *("train", "--config-dir", "configs", "system=demo", "generator=own"),
        f"data.manifest={manifest}",
    )
    assert result.code == 2
    assert "own_parts.Frames" in result.err
    assert not (folder / "imported").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "MODEL"],
        ["vocode", MEL, "-o", "a.wav", "--model", "MODEL"],
        ["--trust", "own_other", "vocode", MEL, "-o", "a.wav", "--model", "MODEL"],
        ["train", "system=demo", "data.manifest=MANIFEST", "trainer.init_from=MODEL"],
    ],
    ids=["info", "vocode", "other module trusted", "train"],
)
@pytest.mark.parametrize("place", ["generator", "argument"])
def test_config_of_a_model_imports_no_module(
    place: str,
    arguments: list[str],
    command: Command,
    folder: Path,
    own_model: Path,
    manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if place == "argument":
        path = own_model / CONFIG_NAME
        values = json.loads(path.read_text())
        target = {"_target_": "vocoder.generators.vocos.Vocos"}
        values["generator"] = {**target, "n_mels": values["generator"]}
        path.write_text(json.dumps(values))
    (folder / "own_other.py").write_text("")
    monkeypatch.syspath_prepend(folder)  # where an import would find it
    paths = {"MODEL": str(own_model), "MANIFEST": str(manifest)}
    for name, path in paths.items():
        arguments = [str(each).replace(name, path) for each in arguments]
    result = command(*arguments)
    assert result.code == 2
    assert "own_parts.Frames" in result.err
    assert not (folder / "imported").exists()
    assert "own_parts" not in sys.modules


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("own-parts", "give the name of a package or module"),
        ("", "give the name of a package or module"),
        ("own_nothing", "No module named 'own_nothing'"),
        ("own_parts.py", "not a package"),
        ("own_broken", "SyntaxError"),
        ("own_failing", "ZeroDivisionError"),
        ("own_lacking", "No module named 'own_nothing'"),
    ],
)
def test_module_that_cannot_be_trusted_is_one_line(
    module: str, message: str, command: Command, folder: Path
) -> None:
    (folder / "own_broken.py").write_text("def")
    (folder / "own_failing.py").write_text("1 / 0")
    (folder / "own_lacking.py").write_text("import own_nothing")
    result = command("--trust", module, "info")
    assert result.code == 2
    assert message in result.err
    assert result.err.startswith("error: ") and len(result.err.splitlines()) == 1
    assert not result.out


def test_several_modules_can_be_trusted(command: Command, folder: Path, tiny_model: Path) -> None:
    (folder / "own_other.py").write_text("")
    result = command("--trust", "own_other", "--trust", "own_parts", "info", tiny_model)
    assert result.code == 0, result.err
    assert (folder / "imported").exists()


def test_class_that_a_trusted_module_lacks_is_named(
    command: Command, folder: Path, own_model: Path
) -> None:
    (folder / "own_parts.py").write_text("")
    result = command("--trust", "own_parts", "vocode", MEL, "-o", "a.wav", "--model", own_model)
    assert result.code == 2
    assert "there is no 'own_parts.Frames'" in result.err
