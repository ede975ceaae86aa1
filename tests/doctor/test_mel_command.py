"""`vocoder doctor` on mels: its table, its JSON and its exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.features.test_mel_check import BASE, recording, wrong
from vocoder.cli.app import app


@pytest.fixture
def scaled(tmp_path: Path) -> Path:
    path = tmp_path / "scaled.npy"
    np.save(path, wrong("keithito", recording("lj/LJ001-0013", BASE.sample_rate)).numpy())
    return path


def test_the_table_ends_with_the_command_that_vocodes_it(scaled: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", str(scaled)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    first, *_, last = result.stdout.strip().splitlines()
    assert "dB scaled to [0, 1]" in first
    assert last.strip().endswith("-o out.wav --normalisation keithito")
    assert max(map(len, result.stdout.splitlines())) <= 200


def test_json_holds_every_finding(scaled: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", str(scaled), str(scaled), "--json"])
    (first, second) = json.loads(result.stdout)
    assert first == second
    assert (first["kind"], first["severity"]) == ("mel", "problem")
    assert {"array", "layout", "values", "spectrogram", "model"} <= {
        each["name"] for each in first["findings"]
    }


def test_what_cannot_be_read_does_not_stop_the_others(scaled: Path) -> None:
    missing = str(scaled.with_name("missing.npy"))
    result = CliRunner().invoke(app, ["doctor", missing, str(scaled)])
    assert result.exit_code == 2
    assert "scaled.npy" in result.stdout
    assert "missing.npy: no such file" in result.stderr
