"""Every objective in configs/objective trains, and every loss of the package has a config."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf

import vocoder.augmentation
import vocoder.losses
from vocoder.training.run import config_folder

from .conftest import composed, settings, trainer

OBJECTIVES = sorted(path.stem for path in (config_folder() / "objective").glob("*.yaml"))
# Public classes that no configuration names, besides abstract classes and protocols.
UNNAMED = {
    "vocoder.augmentation.chain.Augmentations": "the trainer makes it from that group",
    "vocoder.losses.adversarial.OverOutputs": "base class",
    "vocoder.losses.spectral.OverResolutions": "base class",
    "vocoder.losses.spectral.SingleResolution": "base class",
}


def selected_by_systems() -> set[str]:
    """Names of the objectives that configs/system selects; the tests of systems train those."""
    systems = [OmegaConf.load(path) for path in (config_folder() / "system").glob("*.yaml")]
    entries = [entry for system in systems for entry in system.defaults]
    return {
        entry["override /objective"]
        for entry in entries
        if OmegaConf.is_dict(entry) and "override /objective" in entry
    }


def public_classes(package: ModuleType) -> Iterator[type]:
    """Public classes that are defined in a package, without abstract ones and protocols."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for name, member in vars(importlib.import_module(found.name)).items():
            own = inspect.isclass(member) and member.__module__ == found.name
            if not own or name.startswith("_") or inspect.isabstract(member):
                continue
            if not getattr(member, "_is_protocol", False):
                yield member


@pytest.mark.parametrize("package", [vocoder.losses, vocoder.augmentation])
def test_every_class_is_named_by_a_config(package: ModuleType) -> None:
    texts = [path.read_text(encoding="utf-8") for path in config_folder().rglob("*.yaml")]
    named = {target for text in texts for target in re.findall(r"_target_: (\S+)", text)}
    paths = {f"{member.__module__}.{member.__qualname__}" for member in public_classes(package)}
    excused = {path for path in UNNAMED if path.startswith(f"{package.__name__}.")}
    assert paths - named == excused


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - selected_by_systems()))
def test_objective_trains_a_vocoder_for_two_steps(
    name: str, manifest: Path, tmp_path: Path
) -> None:
    overrides = ["trainer.adversarial_start=0", f"objective={name}"]
    adversarial = "adversarial" in composed("demo", *overrides)["objective"]
    if not adversarial:
        overrides.append("discriminators=none")
    run = trainer(settings("demo", manifest, tmp_path, *overrides))
    before = [weight.clone() for weight in run.generator.parameters()]
    for step in range(2):
        run.step = step
        losses = run.train_step(run.segments[step])
        assert all(loss.isfinite() for loss in losses.values())
        if step == 0:  # every regulariser is due
            terms = {*run.objective.weights, *run.objective.strength}
            assert losses.keys() == terms | ({"discriminators"} if adversarial else set())
    assert run.guard.skipped == 0
    changed = [a.ne(b).any() for a, b in zip(before, run.generator.parameters(), strict=True)]
    assert any(changed)
