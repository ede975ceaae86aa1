"""Runs that start from a model: schedule of the networks, and what is loaded of the model."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vocoder
from vocoder.build import build
from vocoder.checkpoint import ModelConfig, find_model, load_model, load_state, save_model
from vocoder.errors import CheckpointError, ConfigError
from vocoder.features.mel import MelSpec
from vocoder.training.model_optimizer import without_updates
from vocoder.training.run import build_system, compose
from vocoder.training.schedule import AdversarialSchedule
from vocoder.training.trainer import Trainer

from .conftest import settings, shrunk, trainer

LOG = "vocoder.training.initialization"


@pytest.fixture(scope="module")
def own_run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run: last/, states/."""
    folder = tmp_path_factory.mktemp("own")
    trainer(settings("demo", manifest, folder, "trainer.max_steps=3")).run()
    return folder


@pytest.fixture
def model(own_run: Path, tmp_path: Path) -> Path:
    """A model directory by itself, as others publish it."""
    return Path(shutil.copytree(own_run / "last", tmp_path / "model"))


def initialized(manifest: Path, output: Path, model: Path, *overrides: str) -> Trainer:
    run = trainer(settings("demo", manifest, output, f"trainer.init_from={model}", *overrides))
    run.resume()
    return run


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def moments_of(network: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Moments of every weight, which differ between weights."""
    return {
        name: {
            "step": torch.tensor(100.0 + index),
            "exp_avg": torch.full_like(weight, 1e-3 * (index + 1)).detach(),
            "exp_avg_sq": torch.full_like(weight, 1e-4 * (index + 1)).detach(),
        }
        for index, (name, weight) in enumerate(network.named_parameters())
    }


def save_start(model: Path, members: dict[str, Any], moments: dict[str, Any]) -> None:
    """Add a start.pt to a model directory, as importers of other projects' checkpoints do."""
    start = {"discriminators": members, "optimizers": moments, "steps": 77}
    torch.save(start, model / "start.pt")


# ------------------------------------------------------------------------------ schedule


def test_generator_is_updated_first_then_discriminators_then_both() -> None:
    schedule = AdversarialSchedule(start=2, warmup=3, ramp=3)
    phases = [schedule.at(step) for step in range(10)]
    assert [p.discriminators for p in phases] == [False] * 2 + [True] * 8
    assert [p.generator for p in phases] == [True] * 2 + [False] * 3 + [True] * 5
    assert [p.adversarial_weight for p in phases] == [0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1]


def test_default_schedule_has_one_phase() -> None:
    assert AdversarialSchedule().at(0) == (True, True, 1.0)
    assert AdversarialSchedule(start=None).at(10**9) == (False, True, 0.0)


def test_generator_is_updated_at_every_second_step_once_discriminators_are_used() -> None:
    """Also at steps that are logged, whose numbers are even, counted from 1."""
    schedule = AdversarialSchedule(start=4, generator_every=2)
    assert [schedule.at(step).generator for step in range(8)] == [True] * 4 + [False, True] * 2
    assert all(schedule.at(step).discriminators for step in range(4, 8))


def test_generator_is_frozen_while_discriminators_warm_up(manifest: Path, tmp_path: Path) -> None:
    overrides = ["trainer.adversarial_start=0", "trainer.discriminator_warmup=2"]
    run = trainer(settings("demo", manifest, tmp_path, *overrides))
    before, average, discriminators = map(
        copied, (run.generator, run.ema.model, run.discriminators)
    )
    with_gradients: list[bool] = []
    run.generator.register_forward_hook(lambda *_: with_gradients.append(torch.is_grad_enabled()))
    for step in range(2):
        run.step = step
        assert run.train_step(run.segments[step]).keys() == {"discriminators"}
    assert same(before, run.generator.state_dict())
    assert same(average, run.ema.model.state_dict())
    assert not run.optimizers["generator"].optimizer.state
    for name, weight in run.discriminators.named_parameters():
        assert not torch.equal(weight, discriminators[name]), name

    run.step = 2
    assert {"adversarial", "feature_matching", "mel"} <= run.train_step(run.segments[2]).keys()
    assert not same(before, run.generator.state_dict())
    assert not same(average, run.ema.model.state_dict())
    assert with_gradients == [False, False, True]


def test_network_without_updates_keeps_its_statistics_and_its_mode() -> None:
    norm = nn.BatchNorm1d(3)
    x = torch.randn(4, 3, 5) + 7.0
    before, expected = copied(norm), nn.BatchNorm1d(3)(x)
    with without_updates(norm):
        y = norm(x)
    assert torch.equal(y, expected)  # normalised by the batch, not by the running statistics
    assert not y.requires_grad
    assert same(before, norm.state_dict())
    assert norm.training


def test_adversarial_weight_is_ramped(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(settings("demo", manifest, tmp_path, "trainer.adversarial_ramp=3"))
    total, factors = run.objective.total, []

    def recorded(terms: dict[str, Tensor], *, adversarial_weight: float, fake: Tensor) -> Tensor:
        factors.append(adversarial_weight if "adversarial" in terms else None)
        return total(terms, adversarial_weight=adversarial_weight, fake=fake)

    monkeypatch.setattr(run.objective, "total", recorded)
    for step in range(6):  # discriminators are used from step 1
        run.step = step
        run.train_step(run.segments[step])
    assert factors == [None, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_gradient_norms_of_updated_networks_are_reported(manifest: Path, tmp_path: Path) -> None:
    overrides = ["max_steps=3", "log_every=1", "adversarial_start=1", "discriminator_warmup=1"]
    trainer(settings("demo", manifest, tmp_path, *(f"trainer.{each}" for each in overrides))).run()
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    updated = [
        {name.removeprefix("gradient_") for name in line["train"] if "gradient_" in name}
        for line in lines
        if "train" in line
    ]
    assert updated == [{"generator"}, {"discriminators"}, {"generator", "discriminators"}]


@pytest.mark.parametrize("name", ["discriminator_warmup", "adversarial_ramp", "generator_every"])
def test_phases_need_discriminators(name: str, manifest: Path, tmp_path: Path) -> None:
    values = settings("demo", manifest, tmp_path, f"trainer.{name}=2")
    values["discriminators"] = {}
    values["objective"] |= {"adversarial": None, "feature_matching": None}
    values["objective"]["weights"] = {"mel": 5.0, "stft": 1.0}
    with pytest.raises(ConfigError, match=rf"trainer\.{name} needs discriminators"):
        build_system(values)


@pytest.mark.parametrize("name", ["adversarial_start", "discriminator_warmup", "adversarial_ramp"])
def test_steps_are_not_negative(name: str, manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{name} is -1"):
        build_system(settings("demo", manifest, tmp_path, f"trainer.{name}=-1"))


# ------------------------------------------------------------------------------ generator


def test_new_run_has_the_audio_of_its_initial_model(
    manifest: Path, tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", LOG)
    run = initialized(manifest, tmp_path / "run", model)
    assert (run.step, run.best) == (0, {})
    generator, _ = load_model(model)
    mel = torch.randn(1, 80, 7)
    with torch.inference_mode():
        expected = generator(mel=mel)
        assert torch.equal(run.ema.model(mel=mel), expected)
        assert torch.equal(run.generator.eval()(mel=mel), expected)
    (line, hint) = [record.getMessage() for record in caplog.records if record.name == LOG]
    assert line.startswith(f"started from {model}: generator; from {model}: discriminators: none;")
    assert "fine_tuning=generator_only" in hint


def test_run_starts_from_a_built_in_model(manifest: Path, tmp_path: Path) -> None:
    values = compose(
        ["system=source_filter_22k", "trainer.init_from=default", f"data.manifest={manifest}"]
        + [f"trainer.output={tmp_path}", "trainer.validation_clips=1"]
    )
    run = trainer(values)
    run.resume()
    assert same(run.generator.state_dict(), load_model(find_model("default"))[0].state_dict())


@pytest.mark.usefixtures("blank_pictures")
def test_initial_model_is_validated_first_and_once(
    manifest: Path, tmp_path: Path, model: Path
) -> None:
    for steps in (1, 2):
        values = settings("demo", manifest, tmp_path / "run", f"trainer.max_steps={steps}")
        values["trainer"]["init_from"] = str(model)
        trainer(values).run()
    lines = (tmp_path / "run" / "curve.jsonl").read_text().splitlines()
    validated = [line["step"] for line in map(json.loads, lines) if "valid" in line]
    assert validated == [0, 1, 2]


def test_settings_for_models_without_discriminators() -> None:
    """They take precedence over those of the system, whose other settings stay."""
    plain, gentle = (
        compose(["system=source_filter_22k", "data.manifest=m", *more])
        for more in ([], ["fine_tuning=generator_only", "trainer.adversarial_ramp=7"])
    )
    assert plain["trainer"]["adversarial_start"] == 3000
    assert gentle["trainer"]["adversarial_start"] == 0
    assert gentle["trainer"]["discriminator_warmup"] > 0
    assert gentle["trainer"]["adversarial_ramp"] == 7
    before, after = (each["optim"]["generator"] for each in (plain, gentle))
    assert after["optimizer"]["lr"] < before["optimizer"]["lr"]
    assert after["schedule"]["decay"] == before["schedule"]["decay"]
    assert after["clip"] == before["clip"]


def test_state_of_the_run_precedes_init_from(manifest: Path, tmp_path: Path, model: Path) -> None:
    setting = f"trainer.init_from={model}"
    trainer(settings("demo", manifest, tmp_path / "run", setting, "trainer.max_steps=2")).run()
    run = trainer(settings("demo", manifest, tmp_path / "run", setting))
    run.resume()
    assert run.step == 2
    assert not same(run.generator.state_dict(), run.ema.model.state_dict())
    shutil.rmtree(model)
    with pytest.raises(CheckpointError, match="no such model directory"):
        initialized(manifest, tmp_path / "other", model)


def test_mel_and_generator_are_those_of_the_initial_model(manifest: Path, tmp_path: Path) -> None:
    """Also of another class; discriminators, losses and other settings are the system's."""
    spec = MelSpec(sample_rate=16000, n_fft=64, hop_length=16, win_length=64, n_mels=5)
    spec = dataclasses.replace(spec, mean=(0.5,) * 5, scale=(2.0,) * 5)
    generator = {
        "_target_": "vocoder.generators.vocos.Vocos",
        **{"n_mels": 5, "channels": 8, "hidden": 8, "blocks": 1},
        **{"n_fft": 64, "hop_length": 16, "padding": "same"},
    }
    licences = {"weights": "CC0-1.0"}
    config = ModelConfig(name="other", mel=spec, generator=generator, licences=licences)
    save_model(tmp_path / "other", build(generator), config)
    values = compose(
        [
            "system=hifigan_v1",
            f"trainer.init_from={tmp_path / 'other'}",
            f"data.manifest={manifest}",
        ]
    )
    assert values["generator"] == generator
    assert build(values["mel"]) == spec
    assert values["licences"] == licences
    system = build_system(shrunk(values))
    assert system.features["mel"].spec == spec
    assert system.objective.reconstruction["mel"].mel.spec.hop_length == 16


@pytest.mark.parametrize("override", ["generator.blocks=2", "+generator.x=1", "mel.f_max=7e3"])
def test_overriding_mel_or_generator_of_the_initial_model_is_an_error(
    override: str, manifest: Path, tmp_path: Path, model: Path
) -> None:
    with pytest.raises(ConfigError, match="brings its own mel and generator; drop"):
        settings("demo", manifest, tmp_path, f"trainer.init_from={model}", override)


# ------------------------------------------------------------------ discriminators and optimizers


def test_discriminators_and_optimizers_of_an_own_run_are_loaded(
    manifest: Path, tmp_path: Path, own_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", LOG)
    run = initialized(manifest, tmp_path, own_run / "last")
    state = load_state(own_run / "states" / "step-00000003.pt")
    assert run.step == 0
    assert same(run.ema.model.state_dict(), state["ema"])
    assert same(run.discriminators.state_dict(), state["discriminators"])
    for name, optimizer in run.optimizers.items():
        moments, expected = (
            optimizer.optimizer.state_dict()["state"],
            state["optimizers"][name]["state"],
        )
        assert moments.keys() == expected.keys()
        assert all(same(moments[i], expected[i]) for i in moments)
        assert f"{name} ({len(optimizer.names)} of {len(optimizer.names)} weights)" in caplog.text
    assert f"started from {own_run / 'last'}: generator; from {own_run}/states/" in caplog.text


def test_discriminators_of_the_same_name_are_loaded(
    manifest: Path, tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", LOG)
    fresh = trainer(settings("demo", manifest, tmp_path / "fresh"))
    saved = {name: value + 1.0 for name, value in fresh.discriminators["mpd"].state_dict().items()}
    moments = moments_of(fresh.discriminators)
    members = {"mpd": saved, "msd": {"weight": torch.zeros(1)}}
    save_start(model, members, {"discriminators": moments})
    run = initialized(manifest, tmp_path / "run", model)
    assert same(run.discriminators["mpd"].state_dict(), saved)
    assert same(run.discriminators["mrd"].state_dict(), fresh.discriminators["mrd"].state_dict())
    optimizer = run.optimizers["discriminators"]
    for name, weight in zip(optimizer.names, optimizer.parameters, strict=True):
        found = optimizer.optimizer.state.get(weight)
        if name.startswith("mpd."):
            assert same(found, moments[name])
        else:
            assert not found
    assert "start.pt: discriminators: mpd; state of optimizers: discriminators (" in caplog.text
    assert "warmup" not in caplog.text


def test_discriminator_of_another_shape_is_an_error(
    manifest: Path, tmp_path: Path, own_run: Path
) -> None:
    values = settings("demo", manifest, tmp_path, f"trainer.init_from={own_run / 'last'}")
    values["discriminators"]["mrd"]["channels"] = 3
    with pytest.raises(ConfigError, match=r"discriminators\.mrd: weights do not fit.*of another"):
        trainer(values).resume()


def test_moments_are_used_for_their_weights(manifest: Path, tmp_path: Path, model: Path) -> None:
    fresh = trainer(settings("demo", manifest, tmp_path / "fresh"))
    moments = moments_of(fresh.generator)
    save_start(model, {}, {"generator": moments})
    run = initialized(manifest, tmp_path / "run", model)
    optimizer = run.optimizers["generator"]
    before = [weight.detach().double() for weight in optimizer.parameters]
    for weight in optimizer.parameters:
        weight.grad = torch.full_like(weight, 0.01)
    optimizer.step(10)  # after the warm-up, before the decay: at the full learning rate

    # AdamW (Loshchilov and Hutter 2019), algorithm 2, with the settings of configs/optim/demo.yaml.
    lr, (beta1, beta2), eps, decay = 1e-3, (0.8, 0.99), 1e-8, 0.01
    for name, old, new in zip(optimizer.names, before, optimizer.parameters, strict=True):
        step = moments[name]["step"].double() + 1
        first = beta1 * moments[name]["exp_avg"].double() + (1 - beta1) * 0.01
        second = beta2 * moments[name]["exp_avg_sq"].double() + (1 - beta2) * 0.01**2
        move = first / (1 - beta1**step) / ((second / (1 - beta2**step)).sqrt() + eps)
        expected = old * (1 - lr * decay) - lr * move
        assert torch.allclose(new.double(), expected, rtol=1e-6, atol=1e-7), name


@pytest.mark.parametrize("wrong", ["nosuch.weight", "shape"])
def test_moments_that_fit_no_weight_are_an_error(
    wrong: str, manifest: Path, tmp_path: Path, model: Path
) -> None:
    moments = moments_of(load_model(model)[0])
    name = next(iter(moments)) if wrong == "shape" else wrong
    moments[name] = {key: torch.zeros(2, 9, 2) for key in ("exp_avg", "exp_avg_sq")} | {
        "step": torch.tensor(1.0)
    }
    save_start(model, {}, {"generator": moments})
    with pytest.raises(CheckpointError, match=f"optimizers.generator: {name}"):
        initialized(manifest, tmp_path / "run", model)


@pytest.mark.parametrize("change", [{"amsgrad": True}, {"_target_": "torch.optim.SGD"}])
def test_moments_are_not_loaded_by_optimizers_of_another_kind(
    change: dict[str, Any],
    manifest: Path,
    tmp_path: Path,
    own_run: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", LOG)
    values = settings("demo", manifest, tmp_path, f"trainer.init_from={own_run / 'last'}")
    values["optim"]["generator"]["optimizer"] |= change
    if "_target_" in change:
        values["optim"]["generator"]["optimizer"].pop("betas")
    run = trainer(values)
    run.resume()
    assert not run.optimizers["generator"].optimizer.state
    assert "state of optimizers: discriminators (" in caplog.text


# ------------------------------------------------------------------------------ quality


def test_untrained_discriminators_do_not_degrade_the_model(manifest: Path, tmp_path: Path) -> None:
    """With a warm-up and a ramp, the scores of the embedded model stay about the same."""
    small = ["data.batch_size=1", "data.segment=4096", "optim.generator.optimizer.lr=1e-4"]
    phases = ["adversarial_start=0", "discriminator_warmup=3", "adversarial_ramp=3", "max_steps=8"]
    given = [
        "init_from=default",
        f"output={tmp_path}",
        "validation_clips=1",
        "validation_seconds=1",
    ]
    given += ["workers=0", "threads=1", *phases]
    values = compose(
        ["system=source_filter_22k", f"data.manifest={manifest}", *small]
        + [f"trainer.{each}" for each in given]
    )
    run = trainer(values)
    run.resume()
    before, _ = run.validator.run(run.ema.model, run.features)
    run.run()
    assert run.scores["log_mel"] < 1.1 * before["log_mel"]
    assert vocoder.load(tmp_path / "last").sample_rate == 22050
