"""Fixtures: manifests of the example clips, and small training runs of any system."""

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor

from vocoder.data.audit import audit
from vocoder.data.manifest import write_manifest
from vocoder.features.mel import MelSpectrogram
from vocoder.plots.resynthesis import resynthesis_figure
from vocoder.training.run import build_system, compose
from vocoder.training.trainer import Trainer

CLIPS = Path(__file__).parents[2] / "egs" / "clips"


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    write_manifest(path, audit(CLIPS).clips)
    return path


@pytest.fixture(scope="session")
def full_band(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of the clips at 48 kHz: one for each split."""
    path = tmp_path_factory.mktemp("manifest") / "full_band.csv"
    write_manifest(path, audit(CLIPS / "kathleen").clips)
    return path


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw spectrograms without rendering them, which takes longer than a training step."""

    def blank(real: Tensor, fake: Tensor, mel: MelSpectrogram) -> Figure:
        resynthesis_figure(real, fake, mel)
        return Figure(figsize=(1, 1))

    monkeypatch.setattr("vocoder.training.reporting.monitor.resynthesis_figure", blank)


def shrunk(values: dict[str, Any]) -> dict[str, Any]:
    """Reduce a system's configuration to a width that trains a step in milliseconds."""
    small = {"channels": 16, "hidden": 16, "blocks": 1, "pitch_channels": 8, "pitch_blocks": 1}
    small["iterations"] = 1
    small["context_channels"] = 16
    small |= {"layers": 2, "stacks": 1, "gate_channels": 8, "skip_channels": 8}
    small["channels"] *= 2 ** max(0, len(values["generator"].get("upsample_rates", ())) - 4)
    generator = values["generator"]
    for part in (generator, generator.get("pitch", {}), generator.get("vocoder", {})):
        part |= {name: value for name, value in small.items() if name in part}
    for part in (generator, generator.get("vocoder", {})):
        if "upsample_kernel_sizes" in part:  # two of each are as good a sum as three
            sizes = part.get("resblock_kernel_sizes", [3, 7])
            part["resblock_kernel_sizes"] = sizes[:2]
            dilations = part.get("resblock_dilations", [[1, 3], [1, 3]])
            part["resblock_dilations"] = [each[:2] for each in dilations[:2]]
    for member in values["discriminators"].values():
        member = member.get("discriminator", member)
        kind = member["_target_"].rpartition(".")[-1]
        widths = {"GroupedWaveform": 4, "MultiRate": 4}  # their groups
        member["channels"] = widths.get(kind, 16 if kind.endswith("MultiScale") else 2)
        if "max_channels" in member:
            member["max_channels"] = 16
    if not values["objective"]["reconstruction"]:
        values["trainer"]["adversarial_start"] = 0  # nothing else to learn from
    hop_length = values["generator"].get("hop_length", values["mel"]["hop_length"])
    shortest = max(8 * hop_length, 2048 if "narrowband" in values["features"] else 0)
    values["data"] |= {"batch_size": 2, "segment": -(-shortest // hop_length) * hop_length}
    return values


def settings(system: str, manifest: Path, output: Path, *overrides: str) -> dict[str, Any]:
    """A composed, shrunk configuration, without reports and validation by default."""
    values = copy.deepcopy(composed(system, *overrides))
    values["data"]["manifest"] = str(manifest)
    values["trainer"]["output"] = str(output)
    return shrunk(values)


@functools.cache
def composed(system: str, *overrides: str) -> dict[str, Any]:
    """A composed configuration, cached because Hydra takes longer than the steps of a run."""
    quiet = [f"trainer.{name}_every=1000000" for name in ("validate", "save", "log")]
    return compose(
        [
            f"system={system}",
            "data.manifest=none",
            "trainer.workers=0",
            "trainer.threads=1",
            "trainer.validation_clips=1",
            "trainer.validation_seconds=0.3",
            "trainer.adversarial_start=1",
            *quiet,
            *overrides,
        ]
    )


def trainer(values: dict[str, Any]) -> Trainer:
    return Trainer(build_system(values), values, console=Console(quiet=True))
