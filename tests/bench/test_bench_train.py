"""`vocoder bench train`: the trainer beside the straightforward step."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vocoder.bench.train import measure as bench, table
from vocoder.bench.train.clock import PHASES
from vocoder.errors import ConfigError

Command = Callable[..., Any]
SMALL = ("system=demo", "data.batch_size=1", "data.segment=1024", "trainer.device=cpu")


def test_gradients_are_those_of_the_straightforward_step() -> None:
    found = bench.check(bench.TrainBenchSettings(overrides=SMALL))
    assert found.keys() == {"discriminators", "generator"}
    assert all(difference <= 1e-5 for difference in found.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "system",
    [
        ("system=hifigan_v1",),
        ("system=bigvgan_base_24k_100",),
        ("system=bigvgan_base_24k_100", "discriminators=mpd_cqtd"),
        ("system=melgan",),
        ("system=source_filter_22k",),
    ],
)
def test_gradients_of_full_systems(system: tuple[str, ...]) -> None:
    small = ("data.batch_size=1", "data.segment=4096", "trainer.device=cpu")
    found = bench.check(bench.TrainBenchSettings(overrides=(*system, *small)))
    assert all(difference <= 1e-5 for difference in found.values())


def test_every_phase_is_timed_and_shown() -> None:
    settings = bench.TrainBenchSettings(overrides=SMALL, rounds=2, memory=False)
    result = bench.measure(settings)
    assert len(result.times.pairs) == 2
    for phases, total in (
        (result.phases, result.times.seconds),
        (result.reference_phases, result.times.reference),
    ):
        assert phases.keys() == set(PHASES)
        assert all(phases[phase] > 0.0 for phase in PHASES if phase != "other")
        assert sum(phases.values()) <= 2.0 * total
    assert all(difference < 1e-2 for difference in result.differences.values())
    facts = table.facts(result)
    assert facts["crops"] == "1 × 1024"
    assert {*PHASES} <= facts.keys()


@pytest.mark.slow
def test_command_prints_json_with_memory(vocoder_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    result = vocoder_command("bench", "train", *SMALL, "--rounds", "1", "--json", "-o", str(path))
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert json.loads(path.read_text()) == found
    (run,) = found["results"]
    assert run["model"] == "demo"
    assert run["memory"]["peak"] > run["memory"]["loaded"] > 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.batch_size=1",), "add system=…"),
        (("system=demo", "data.batch_siz=1"), "there is no setting 'data.batch_siz'"),
        (("system=demo", "data.manifest=missing.csv"), "missing.csv"),
    ],
)
def test_wrong_settings_are_named(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bench.measure(bench.TrainBenchSettings(overrides=overrides))
