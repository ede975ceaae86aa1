"""Laws over every system in configs/system: it builds, trains, saves, loads and speaks."""

from pathlib import Path

import numpy as np
import pytest
import torch

import vocoder
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.training.run import build_system, compose, config_folder

from .conftest import settings, trainer

SYSTEMS = sorted(path.stem for path in (config_folder() / "system").glob("*.yaml"))
SIZES = {
    "hifigan_v1": 13_926_017,
    "hifigan_v2": 925_985,
    "hifigan_v3": 1_462_273,
    "vocos_24k": 13_531_650,
}


def test_systems_are_found() -> None:
    assert {"hifigan_v1", "hifigan_v2", "hifigan_v3", "vocos_24k", "demo", "default"} <= set(
        SYSTEMS
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_is_called_like_its_file(name: str) -> None:
    assert compose([f"system={name}", "data.manifest=m.csv"])["name"] == name


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_trains_saves_loads_and_vocodes(
    name: str, manifest: Path, tmp_path: Path, clips: list[Path]
) -> None:
    values = settings(name, manifest, tmp_path / "run", "trainer.max_steps=2")
    run = trainer(values)
    before = [weight.clone() for weight in run.generator.parameters()]
    assert run.run() == 0
    changed = [
        not torch.equal(a, b) for a, b in zip(before, run.generator.parameters(), strict=True)
    ]
    assert any(changed)

    v = vocoder.load(tmp_path / "run" / "last")
    audio, rate = vocoder.read_audio(clips[0])
    fake = v.resynth(audio.numpy(), sample_rate=rate)
    assert fake.shape == (round(audio.shape[-1] * v.sample_rate / rate),)
    assert np.isfinite(fake).all()
    assert np.abs(fake).max() > 0


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_length_law_and_finite_on_silence(
    name: str, frames: int, manifest: Path, tmp_path: Path
) -> None:
    system = build_system(settings(name, manifest, tmp_path))
    generator = system.generator.eval()
    silence = torch.tensor(system.mel.silence)[:, None].expand(-1, frames)[None]
    with torch.inference_mode():
        audio = generator(mel=silence)
    assert audio.shape == (1, 1, generator.samples(frames))
    assert torch.isfinite(audio).all()


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_published_parameter_count(name: str, size: int) -> None:
    from vocoder.build import build
    from vocoder.nn.weight_norm import fold_weight_norm

    values = compose([f"system={name}", "data.manifest=m.csv"])
    generator = build(values["generator"])
    fold_weight_norm(generator)
    assert sum(weight.numel() for weight in generator.parameters()) == size


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_mel_group_equals_preset(name: str) -> None:
    from omegaconf import OmegaConf

    from vocoder.build import build

    values = OmegaConf.to_container(OmegaConf.load(config_folder() / "mel" / f"{name}.yaml"))
    assert build(values) == MelSpec.preset(name)
