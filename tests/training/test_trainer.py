"""Training runs: exact resuming, signals, saved states, reports, and errors."""

import functools
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from vocoder.checkpoint import load_config, load_state
from vocoder.data.segments import Batch
from vocoder.errors import CheckpointError, ConfigError
from vocoder.training.model_optimizer import ModelOptimizer
from vocoder.training.run import compose, main
from vocoder.training.schedule import WarmupExponential
from vocoder.training.states import TrainingStates, changed_settings
from vocoder.training.system import NetworkOptim

from .conftest import settings, trainer


def flat(state: Any, prefix: str = "") -> dict[str, Any]:
    """A nested state as dotted name → leaf."""
    if isinstance(state, dict):
        items = state.items()
    elif isinstance(state, list | tuple):
        items = enumerate(state)
    else:
        return {prefix: state}
    return {k: v for key, value in items for k, v in flat(value, f"{prefix}.{key}").items()}


def only_state(folder: Path) -> dict[str, Any]:
    (path,) = sorted(folder.glob("states/*.pt"))[-1:]
    return load_state(path)


def adaptive(_: str, manifest: Path, output: Path, *overrides: str) -> dict[str, Any]:
    """A system with augmentation of adaptive strength, lazy penalties and balanced gradients."""
    values = settings("demo", manifest, output, "augmentation=ada", *overrides)
    values["augmentation"]["ada"] |= {"p": 0.5, "ramp_items": 100}
    regularisers, objective = "vocoder.losses.regularisers", values["objective"]
    objective["regularisers"] = {"r1": {"_target_": f"{regularisers}.R1", "every": 3}}
    objective["penalties"] = {"apart": {"_target_": f"{regularisers}.OrthogonalPenalty"}}
    objective["weights"] |= {"r1": 0.1, "apart": 1e-4}
    terms = ["adversarial", "feature_matching", "mel", "stft"]
    objective["balancer"] = {"_target_": "vocoder.losses.balancer.Balancer", "terms": terms}
    return values


def test_augmentation_regularisers_and_balancer_are_applied(manifest: Path, tmp_path: Path) -> None:
    run = trainer(adaptive("demo", manifest, tmp_path, "trainer.adversarial_start=0"))
    strength = run.augmentation["ada"].p.clone()
    losses = []
    for step in range(8):
        run.step = step
        losses.append(run.train_step(run.segments[step]).keys())
    assert [("r1" in names) for names in losses] == [step % 3 == 0 for step in range(8)]
    assert all("apart" in names for names in losses)
    assert not torch.equal(run.augmentation["ada"].p, strength)
    assert run.objective.balancer.ages.min() > 1.0


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize(
    ("system", "overrides"),
    [
        pytest.param("demo", ["workers=0"], marks=pytest.mark.slow),
        pytest.param("demo", ["workers=1"], marks=pytest.mark.slow),
        ("source_filter_22k", ["workers=1"]),
        # Stopped while the generator is frozen,
        pytest.param("demo", ["discriminator_warmup=3"], marks=pytest.mark.slow),
        ("demo", ["discriminator_warmup=1", "adversarial_ramp=4"]),  # and on the ramp
        ("adaptive", []),  # the states of augmentation and objective are saved, too
    ],
)
def test_resuming_is_exact(
    system: str, overrides: list[str], manifest: Path, tmp_path: Path
) -> None:
    def run(folder: str, steps: int) -> dict[str, Any]:
        given = [f"trainer.{each}" for each in (f"max_steps={steps}", "adversarial_start=2")]
        given += [f"trainer.{each}" for each in overrides]
        values = (adaptive if system == "adaptive" else settings)(
            system, manifest, tmp_path / folder, *given
        )
        assert trainer(values).run() == 0
        return only_state(tmp_path / folder)

    whole = flat(run("whole", 8))
    run("parts", 4)
    parts = flat(run("parts", 8))
    assert whole.keys() == parts.keys()
    for name in whole:
        if ".config." in name or ".best" in name or ".scores" in name:
            continue
        a, b = whole[name], parts[name]
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, name


def test_scores_of_a_resumed_run_are_the_same(manifest: Path, tmp_path: Path) -> None:
    for folder, stops in {"whole": [4], "parts": [2, 4]}.items():
        for stop in stops:
            values = settings("demo", manifest, tmp_path / folder, f"trainer.max_steps={stop}")
            trainer(values).run()
    whole, parts = (only_state(tmp_path / folder)["scores"] for folder in ("whole", "parts"))
    assert whole == parts
    assert {"log_mel", "mr_stft"} <= whole.keys()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_and_ends(
    number: signal.Signals, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(settings("demo", manifest, tmp_path, "trainer.max_steps=1000"))
    step = run.train_step

    def interrupted(batch: Batch) -> dict[str, torch.Tensor]:
        if run.step == 2:
            signal.raise_signal(number)
        return step(batch)

    monkeypatch.setattr(run, "train_step", interrupted)
    assert run.run() == 128 + number
    assert only_state(tmp_path)["step"] == 3
    assert load_config(tmp_path / "last").name == "demo"


def test_damaged_state_is_skipped_for_the_one_before(
    manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer(
        settings("demo", manifest, tmp_path, "trainer.max_steps=4", "trainer.save_every=2")
    ).run()
    old, new = sorted(tmp_path.glob("states/*.pt"))
    new.write_bytes(new.read_bytes()[:1000])
    run = trainer(settings("demo", manifest, tmp_path, "trainer.max_steps=4"))
    run.resume()
    assert run.step == 2
    assert str(new) in caplog.text
    old.write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of 2 training states can be read"):
        run.resume()


def test_only_the_last_states_are_kept(manifest: Path, tmp_path: Path) -> None:
    values = settings("demo", manifest, tmp_path, "trainer.max_steps=5", "trainer.save_every=1")
    trainer(values).run()
    assert [path.stem for path in TrainingStates(tmp_path / "states", keep=2).paths()] == [
        "step-00000004",
        "step-00000005",
    ]


def test_best_model_is_that_of_the_best_validation(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = settings("demo", manifest, tmp_path, "trainer.max_steps=4", "trainer.validate_every=1")
    run = trainer(values)
    scores = iter([0.5, 0.2, 0.4, 0.3])
    monkeypatch.setattr(run.validator, "run", lambda *_: ({"log_mel": next(scores)}, []))
    run.run()
    assert load_config(tmp_path / "best").training["steps"] == 2
    assert run.best["log_mel"] == 0.2


def test_discriminators_are_used_from_adversarial_start_on(manifest: Path, tmp_path: Path) -> None:
    run = trainer(settings("demo", manifest, tmp_path, "trainer.adversarial_start=1"))
    assert "discriminators" not in run.train_step(run.segments[0])
    run.step = 1
    losses = run.train_step(run.segments[1])
    assert {"discriminators", "adversarial", "feature_matching"} <= losses.keys()


def test_generator_update_does_not_change_discriminators(manifest: Path, tmp_path: Path) -> None:
    run = trainer(settings("demo", manifest, tmp_path, "trainer.adversarial_start=0"))
    run.optimizers["discriminators"].base_rates = [0.0]
    for group in run.optimizers["discriminators"].optimizer.param_groups:
        group["weight_decay"] = 0.0
    before = [p.clone() for p in run.discriminators.parameters()]
    run.train_step(run.segments[0])
    assert all(
        torch.equal(a, b) for a, b in zip(before, run.discriminators.parameters(), strict=True)
    )
    assert all(p.requires_grad for p in run.discriminators.parameters())


def test_train_step_has_at_most_25_lines() -> None:
    import inspect

    from vocoder.training.trainer import Trainer

    body = inspect.getsource(Trainer.train_step).splitlines()
    assert len(body) <= 25


def test_existing_run_is_refused_without_resume(manifest: Path, tmp_path: Path) -> None:
    trainer(settings("demo", manifest, tmp_path, "trainer.max_steps=1")).run()
    run = trainer(settings("demo", manifest, tmp_path, "trainer.resume=false"))
    with pytest.raises(ConfigError, match=r"trainer\.resume"):
        run.run()


def test_another_network_in_the_same_folder_is_refused(manifest: Path, tmp_path: Path) -> None:
    trainer(settings("demo", manifest, tmp_path, "trainer.max_steps=1")).run()
    with pytest.raises(ConfigError, match="other networks"):
        trainer(settings("hifigan_v2", manifest, tmp_path, "trainer.max_steps=2")).run()


def test_curve_has_every_report_once(manifest: Path, tmp_path: Path) -> None:
    for stop in (2, 4):
        values = settings(
            "demo", manifest, tmp_path, f"trainer.max_steps={stop}", "trainer.log_every=1"
        )
        trainer(values).run()
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train" in line] == [1, 2, 3, 4]
    assert all("data_wait" in line["train"] for line in lines if "train" in line)


def test_changed_settings_are_named() -> None:
    before = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert changed_settings(before, {"a": {"b": 1, "c": 3}, "d": [1], "e": 0}) == {
        "a.c": (2, 3),
        "e": (None, 0),
    }


def test_schedule_warms_up_then_decays_to_its_floor() -> None:
    schedule = WarmupExponential(warmup_steps=9, decay=0.5, every=10, floor=0.1)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == pytest.approx(1.0)
    assert factors[19] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(0.1)


def test_schedule_holds_before_it_decays() -> None:
    schedule = WarmupExponential(warmup_steps=1, hold_steps=3, decay=0.01, floor=0.01)
    factors = [schedule.factor(step) for step in range(7)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 0.01, 0.01])


def test_every_optimizer_has_its_own_schedule_and_gradient_clipping() -> None:
    def optimizer(schedule: WarmupExponential) -> ModelOptimizer:
        sgd = functools.partial(torch.optim.SGD, lr=2.0)
        settings = NetworkOptim(optimizer=sgd, schedule=schedule, clip=0.5)
        return ModelOptimizer(torch.nn.Linear(1, 1, bias=False), settings)

    for schedule, rate in ((WarmupExponential(decay=0.5), 1.0), (WarmupExponential(), 2.0)):
        own = optimizer(schedule)
        (weight,) = own.parameters
        before = weight.item()
        own.add_gradient(7.0 * weight.sum(), last=True)
        own.clip_gradient()
        assert own.norm == 7.0
        own.step(1)
        assert own.learning_rate == rate
        assert weight.item() == pytest.approx(before - rate * 0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "system"),
        (["system=nosuch", "data.manifest=m"], "nosuch"),
        (["system=demo"], "data.manifest is not given"),
        (["system=demo", "data.manifest=m", "trainer.max_stepz=2"], "max_stepz"),
        (["system=demo", "data.manifest=m", "+trainer.max_stepz=2"], "max_stepz"),
        (["system=demo", "data.manifest=m", "+colour=red"], "colour"),
        (["-m", "system=demo", "data.manifest=m", "--cfg", "job"], "Only one of"),
        (["system=demo", "data.manifest=m", "+optim.generator.optimizer.lrr=1"], "lrr"),
        (["system=demo", "data.manifest=m", "+objective.weights.mell=1"], "mell"),
        (["system=demo", "data.manifest=nosuch.csv"], "nosuch.csv"),
        (["system=demo", "data.manifest=m", "trainer.device=cuda:9"], "cuda:9"),
        (["system=hifigan_v1", "data.manifest=m", "mel.hop_length=300"], "upsample"),
    ],
)
def test_bad_configuration_is_one_clear_error(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        main(overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_segment_that_is_no_multiple_of_the_hop_is_refused(manifest: Path, tmp_path: Path) -> None:
    values = settings("demo", manifest, tmp_path)
    values["data"]["segment"] = 1000
    with pytest.raises(ConfigError, match="take 1024"):
        trainer(values)


def test_misspelt_key_inside_yaml_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - demo\nname: mine\ntrainer:\n  max_step: 3\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="max_step.*max_steps"):
        main([f"--config-dir={tmp_path}", "system=mine", "data.manifest=m"])


def test_every_step_has_its_own_seed(manifest: Path, tmp_path: Path) -> None:
    values = compose(
        ["system=source_filter_22k", f"data.manifest={manifest}", f"trainer.output={tmp_path}"]
    )
    assert values["name"] == "source_filter_22k"
    seeds = set()
    run = trainer(settings("demo", manifest, tmp_path))
    for step in range(50):
        run.step = step
        seeds.add(run._step_seed())
    assert len(seeds) == 50
