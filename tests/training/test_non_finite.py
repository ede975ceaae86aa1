"""Steps with losses or gradients that are not finite change nothing, and what follows them."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vocoder.data.segments import Batch
from vocoder.errors import ConfigError
from vocoder.training.guards.non_finite import GuardSettings, NonFiniteGuard, spread
from vocoder.training.trainer import Trainer

from .conftest import settings, trainer
from .test_trainer import adaptive, flat

NAN = float("nan")


def everything(run: Trainer) -> dict[str, Any]:
    """A copy of all that a training state holds."""
    states: dict[str, Any] = {name: module.state_dict() for name, module in run.modules.items()}
    states |= {name: each.optimizer.state_dict() for name, each in run.optimizers.items()}
    leaves = flat(states)
    return {k: v.clone() if isinstance(v, Tensor) else v for k, v in leaves.items()}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


def bad_recording(run: Trainer, _: pytest.MonkeyPatch) -> None:
    batch = run.segments[1]
    run.train_step(Batch(batch.audio.clone().fill_(NAN), ["bad.wav"]))


def bad_loss_of_the_generator(run: Trainer, patch: pytest.MonkeyPatch) -> None:
    """Infinite, with a gradient that is finite, after the discriminators have been updated."""
    reconstruct = run.objective.reconstruct

    def infinite(*signals: Tensor) -> dict[str, Tensor]:
        terms = reconstruct(*signals)
        return terms | {"mel": terms["mel"] + float("inf")}

    with patch.context() as own:
        own.setattr(run.objective, "reconstruct", infinite)
        run.train_step(run.segments[1]._replace(names=["bad.wav"]))


def bad_gradient_of_the_generator(run: Trainer, _: pytest.MonkeyPatch) -> None:
    first = next(run.generator.parameters())
    handle = first.register_hook(lambda gradient: gradient * NAN)
    run.train_step(run.segments[1]._replace(names=["bad.wav"]))
    handle.remove()


@pytest.mark.parametrize(
    ("poison", "warm"),
    [
        (bad_gradient_of_the_generator, False),
        (bad_loss_of_the_generator, True),
        pytest.param(bad_recording, True, marks=pytest.mark.slow),
        pytest.param(bad_gradient_of_the_generator, True, marks=pytest.mark.slow),
    ],
)
def test_step_that_is_not_finite_changes_nothing(
    poison: Any,
    warm: bool,
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # With spectral norm, running means of a balancer and augmentation of adaptive strength.
    values = adaptive("demo", manifest, tmp_path, "trainer.adversarial_start=0")
    spectral = {"_target_": "vocoder.discriminators.scale.MultiScale", "channels": 16}
    values["discriminators"]["msd"] = spectral
    run = trainer(values)
    if warm:
        run.train_step(run.segments[0])
        run.step = 1
    before = everything(run)
    poison(run, monkeypatch)
    after = everything(run)
    assert before.keys() == after.keys()
    assert [name for name in before if not same(before[name], after[name])] == []
    assert "bad.wav" in caplog.text
    assert run.guard.skipped == 1
    run.train_step(run.segments[2])
    assert run.guard.skipped == 0
    changed = {name for name, value in everything(run).items() if not same(value, before.get(name))}
    assert {"generator", "discriminators", "ema"} <= {name.split(".")[1] for name in changed}


def test_run_rolls_back_and_then_ends(
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    guard = "trainer.guard.rollback_after=2", "trainer.guard.stop_after=5"
    values = settings("demo", manifest, tmp_path, "trainer.save_every=1", *guard)
    run = trainer(values)
    crops: list[int] = []
    step, whole = run.train_step, run.generator.state_dict()

    def spoilt(batch: Batch) -> dict[str, Tensor]:
        crops.append(run.step)
        if run.step == 3:  # finite, but nothing finite comes of it
            with torch.no_grad():
                for weight in run.generator.parameters():
                    weight.fill_(1e38)
        if len(crops) > 6:
            batch = batch._replace(audio=batch.audio * NAN)
        return step(batch)

    monkeypatch.setattr(run, "train_step", spoilt)
    with pytest.raises(ConfigError, match=r"5 steps in a row.*optim"):
        run.run()
    assert crops == list(range(len(crops)))  # the steps go on
    assert "rolled back to the networks of" in caplog.text
    assert all(value.isfinite().all() and value.abs().max() < 1e6 for value in whole.values())


def test_an_infinite_loss_spoils_the_gradient_and_nothing_else_does() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    spread(3.0 * x, {"a": x, "b": torch.tensor(1e30)}).backward()
    assert x.grad == 3.0
    spread(3.0 * x, {"a": x, "b": torch.tensor(float("inf"))}).backward()
    assert x.grad.isnan()


@pytest.mark.parametrize("values", [(0, 3), (4, 3)])
def test_guard_settings_are_checked(values: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.guard"):
        GuardSettings(rollback_after=values[0], stop_after=values[1])


def test_guard_counts_steps_in_a_row() -> None:
    guard = NonFiniteGuard(GuardSettings(rollback_after=2, stop_after=3))
    for norm, accepted, rollback in [(1.0, True, False), (NAN, False, False), (1.0, True, False)]:
        assert guard.accepts(0, {"generator": torch.tensor(norm)}, {}, ["a.wav"]) == accepted
        assert guard.wants_rollback == rollback
    for rollback in (False, True):
        assert not guard.accepts(0, {"generator": torch.tensor(NAN)}, {}, ["a.wav"])
        assert guard.wants_rollback == rollback
    with pytest.raises(ConfigError, match=r"3 steps in a row.*a\.wav"):
        guard.accepts(0, {"generator": torch.tensor(NAN)}, {}, ["a.wav"])
