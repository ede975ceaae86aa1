"""bfloat16, and activations that are computed again: the same training for less."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.training.run import config_folder
from vocoder.training.step.checkpointing import blocks, checkpoint_activations
from vocoder.training.trainer import Trainer

from .conftest import settings, trainer

SYSTEMS = sorted(path.stem for path in (config_folder() / "system").glob("*.yaml"))


def trained(system: str, manifest: Path, folder: Path, *overrides: str) -> tuple[Trainer, Any]:
    """A run after one step of both networks, and its losses."""
    run = trainer(settings(system, manifest, folder, "trainer.adversarial_start=0", *overrides))
    return run, run.train_step(run.segments[0])


def gradients(run: Trainer) -> list[Tensor]:
    weights = *run.generator.parameters(), *run.discriminators.parameters()
    return [weight.grad for weight in weights if weight.grad is not None]


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name != "hifigan_v1" else [])
        for name in SYSTEMS
    ],
)
def test_systems_train_in_bfloat16(
    system: str, manifest: Path, full_band: Path, tmp_path: Path
) -> None:
    try:
        full, expected = trained(system, manifest, tmp_path / "32")
    except ConfigError:  # at 44.1 and 48 kHz
        manifest = full_band
        full, expected = trained(system, manifest, tmp_path / "32")
    low, losses = trained(system, manifest, tmp_path / "16", "trainer.precision=bf16")
    assert low.guard.skipped == 0
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        # Far apart only where an untrained network is nearly silent: in its logarithm.
        assert loss.item() == pytest.approx(expected[name].item(), rel=0.4, abs=0.05), name
    assert all(p.dtype == torch.float32 for p in low.generator.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(gradients(full), gradients(low), strict=True))


def test_layers_that_need_float32_keep_it(manifest: Path, tmp_path: Path) -> None:
    values = settings("hifigan_v1", manifest, tmp_path, "trainer.precision=bf16")
    run = trainer(values)
    kinds: dict[str, torch.dtype] = {}

    def note(name: str, _: nn.Module, __: object, y: Tensor) -> None:
        kinds[name] = y.dtype

    for name in ("conv_pre", "conv_post"):
        run.generator.get_submodule(name).register_forward_hook(functools.partial(note, name))
    run.train_step(run.segments[0])
    assert kinds["conv_pre"] == torch.bfloat16
    assert kinds["conv_post"] == torch.float32  # whose output is the audio


@pytest.mark.parametrize(
    "system",
    [
        "source_filter_22k",  # with random noise
        pytest.param("hifigan_v1", marks=pytest.mark.slow),
        pytest.param("bigvgan_v2_24k_100", marks=pytest.mark.slow),
        pytest.param("hifi_sr", marks=pytest.mark.slow),
    ],
)
def test_checkpointing_changes_no_gradient(
    system: str, manifest: Path, full_band: Path, tmp_path: Path
) -> None:
    manifest = full_band if system == "hifi_sr" else manifest
    plain, _ = trained(system, manifest, tmp_path / "plain")
    again, _ = trained(system, manifest, tmp_path / "again", "trainer.checkpoint_activations=true")
    assert any(True for _ in blocks(again.generator))
    for a, b in zip(gradients(plain), gradients(again), strict=True):
        assert torch.equal(a, b)
    before, after = plain.generator.state_dict(), again.generator.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_checkpointed_blocks_are_computed_twice_in_a_training_pass() -> None:
    network = nn.Sequential(nn.ModuleList([nn.Sequential(nn.Linear(3, 3))]))
    (block,) = blocks(network)
    calls = []
    block[0].register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    checkpoint_activations(network)
    block(torch.ones(1, 3)).sum().backward()
    assert len(calls) == 2
    with torch.no_grad():
        block(torch.ones(1, 3))
    assert len(calls) == 3


def test_network_without_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.checkpoint_activations: Linear has no blocks"):
        checkpoint_activations(nn.Linear(2, 2))
