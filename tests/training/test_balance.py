"""Warnings about the balance of a training, from synthetic histories and a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from vocoder.training.reporting.balance import BalanceReport, warnings_for

from .conftest import settings, trainer
from .test_trainer import adaptive

HEALTHY = {"mpd.0": 0.8, "mpd.1": 0.7, "mrd.0": 0.75}
EVEN = {"mpd.0": 0.5, "mpd.1": 0.3, "mrd.0": 0.2}


def history(count: int = 11, **last: Any) -> list[BalanceReport]:
    """Reports of a healthy training; the values in `last` are functions of the report's index."""
    usual = {"losses": {"adversarial": 2.0, "gradient_generator": 5.0}, "shares": EVEN}
    usual |= {"real": HEALTHY, "fake": HEALTHY}
    return [BalanceReport(**usual | {k: make(i) for k, make in last.items()}) for i in range(count)]


def accuracy(value: float) -> Any:
    return lambda _: dict.fromkeys(HEALTHY, value)


@pytest.mark.parametrize(
    ("reports", "kind", "setting"),
    [
        (
            history(losses=lambda i: {"gradient_generator": 5.0 + 95.0 * (i == 10)}),
            "spike of gradient_generator",
            "optim.generator.clip",
        ),
        (
            history(losses=lambda i: {"discriminators": 3.0 + 95.0 * (i == 10)}),
            "spike of discriminators",
            "optim.discriminators.clip",
        ),
        (
            history(
                real=accuracy(1.0),
                fake=accuracy(1.0),
                losses=lambda i: {"adversarial": 2.0 + 0.3 * i},
            ),
            "sure discriminators",
            "optim.discriminators.optimizer.lr",
        ),
        (
            history(real=accuracy(0.5), fake=accuracy(0.51)),
            "guessing discriminators",
            "optim.discriminators.clip",
        ),
        (
            history(shares=lambda _: {"mpd.0": 0.95, "mpd.1": 0.03, "mrd.0": 0.02}),
            "dominance of mpd.0",
            "~discriminators.mpd",
        ),
    ],
)
def test_imbalance_is_named_with_the_setting_to_change(
    reports: list[BalanceReport], kind: str, setting: str
) -> None:
    found = warnings_for(reports)
    assert list(found) == [kind]
    assert setting in found[kind]
    assert not warnings_for(reports[-10:])  # a window has to pass first


@pytest.mark.parametrize(
    "reports",
    [
        history(30),
        history(losses=lambda i: {"adversarial": 2.0 + 0.3 * i}),  # with discriminators that err
        history(real=accuracy(1.0), fake=accuracy(1.0)),  # but the loss does not rise
        history(shares=lambda i: {"mpd.0": 0.95 if i == 10 else 0.4, "mpd.1": 0.3, "mrd.0": 0.3}),
        history(real=lambda _: {}, fake=lambda _: {}, shares=lambda _: {}),  # not used yet
    ],
)
def test_what_trains_well_is_not_warned_about(reports: list[BalanceReport]) -> None:
    assert warnings_for(reports) == {}


def test_values_of_sub_discriminators_and_balancer_are_logged(
    manifest: Path, tmp_path: Path
) -> None:
    given = "trainer.adversarial_start=0", "trainer.max_steps=2", "trainer.log_every=1"
    run = trainer(adaptive("demo", manifest, tmp_path, *given))
    run.run()
    lines = map(json.loads, (tmp_path / "curve.jsonl").read_text().splitlines())
    values = next(line["train"] for line in lines if "train" in line)
    outputs = sum(run.balance._outputs.values())
    for kind in ("real", "fake", "share", "gradient"):
        own = {name: x for name, x in values.items() if name.startswith(f"{kind}/")}
        assert 1 < len(own) <= outputs
        if kind in ("real", "fake"):
            assert all(0.0 <= x <= 1.0 for x in own.values())
        if kind == "share":
            assert sum(own.values()) == pytest.approx(1.0)
    members = [x for name, x in values.items() if name.startswith("gradient/")]
    norm = sum(x * x for x in members) ** 0.5  # after clipping
    assert 0.0 < norm <= values["gradient_discriminators"] * 1.0001
    shares = [x for name, x in values.items() if name.startswith("balancer/")]
    assert sum(shares) == pytest.approx(1.0)


def test_a_warning_is_not_repeated_within_a_window(manifest: Path, tmp_path: Path) -> None:
    run = trainer(settings("demo", manifest, tmp_path))
    calm = {"mel": 1.0}
    for _ in range(10):
        assert run.balance.report(calm, []) == ({}, [])
    assert len(run.balance.report({"mel": 50.0}, [])[1]) == 1
    assert run.balance.report({"mel": 60.0}, [])[1] == []
