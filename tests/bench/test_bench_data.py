import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vocoder.bench.data import table
from vocoder.bench.data.measure import DataBenchSettings, DataSpeed, FileSpeed, LoaderSpeed
from vocoder.cli.app import app
from vocoder.data.audit import audit
from vocoder.data.manifest import Clip, write_manifest
from vocoder.errors import ConfigError

CLIPS = Path(__file__).parents[2] / "egs/clips"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    clips = [vars(clip) | {"split": "train"} for clip in audit(CLIPS / "lj").clips]
    write_manifest(tmp_path / "m.csv", [Clip(**values) for values in clips])
    return tmp_path / "m.csv"


def test_crops_are_measured_by_workers_and_by_kind_of_file(manifest: Path) -> None:
    command = ["bench", "data", str(manifest), "data.batch_size=4", "data.segment=1024"]
    command += ["--seconds", "0.05", "--workers", "0,1", "--steps-per-second", "2", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    values = json.loads(result.output)
    (speed,) = values["results"]
    assert (speed["batch_size"], speed["segment"]) == (4, 1024)
    assert [each["workers"] for each in speed["loaders"]] == [0, 1]
    for each in speed["loaders"]:
        assert each["crops"] > 1.0
        assert each["bytes"] == pytest.approx(each["crops"] * 4096)
    (kind,) = speed["files"]
    assert kind["kind"] == "flac, 22050 Hz, < 1 min"
    assert 0.0 < kind["seconds"] < 1.0
    assert 0.1 < kind["reading"] <= 1.0
    assert kind["resampling"] < 0.05  # none is needed
    slowest = min(each["crops"] for each in speed["loaders"])
    assert speed["needed"] == -(-8 // slowest)


def test_more_workers_than_cpus_come_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "cores", lambda: 4)
    files = [FileSpeed("ogg, 48000 Hz, ≥ 5 min", 3, 0.1, 0.9, 0.1, None)]
    speed = DataSpeed(16, 8192, [LoaderSpeed(1, 10.0, 3e5)], files, needed=5)
    text = table.advice(speed, DataBenchSettings(rate=3.0))
    assert "3 steps/s of 16 crops need trainer.workers=5" in text
    assert "there are 4 CPUs: store them as FLAC" in text
    assert "ogg, 48000 Hz" in text
    assert "4 CPUs" not in table.advice(dataclasses.replace(speed, needed=4), DataBenchSettings())


@pytest.mark.parametrize(
    "wrong", [{"workers": ()}, {"workers": (-1,)}, {"seconds": 0.0}, {"rate": float("nan")}]
)
def test_impossible_measurements_are_errors(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DataBenchSettings(**wrong)  # type: ignore[arg-type]


def test_wrong_arguments_are_errors(manifest: Path) -> None:
    for arguments, error in (
        (["nothere.csv"], "nothere.csv: cannot read"),
        (["a.csv", "b.csv"], "b.csv: name one manifest"),
        ([str(manifest), "--workers", "x"], "--workers x: write numbers"),
        ([str(manifest), "data.nix=1"], "there is no setting 'data.nix'"),
        ([str(manifest), "system=nix"], "Could not find 'system/nix'"),
    ):
        result = CliRunner().invoke(app, ["bench", "data", *arguments])
        assert isinstance(result.exception, ConfigError)
        assert error in str(result.exception)
