"""`--normalisation`, and mels that say nothing and look like something else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.features.test_mel_check import BASE, RECORDINGS, mel_of, recording, wrong
from vocoder.cli.app import app
from vocoder.errors import ConfigError
from vocoder.inference.vocoder import load
from vocoder.io.audio import read_audio
from vocoder.io.mel_file import read_mel, write_mel
from vocoder.io.statistics import read_statistics

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    return recording(RECORDINGS[0], BASE.sample_rate)[: BASE.sample_rate]


@pytest.mark.parametrize("kind", ["keithito", "log10", "linear"])
def test_a_bare_mel_of_another_kind_is_refused_and_the_rest_is_vocoded(
    tmp_path: Path, speech: torch.Tensor, kind: str
) -> None:
    np.save(tmp_path / "wrong.npy", wrong(kind, speech).numpy())
    np.save(tmp_path / "right.npy", mel_of(speech).numpy())
    arguments = ["vocode", str(tmp_path), "-o", str(tmp_path / "out")]
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "wrong.npy: the mel is probably" in errors[0]
    assert f"--normalisation {kind}" in errors[0]
    assert [path.name for path in (tmp_path / "out").glob("*.wav")] == ["right.wav"]
    one = ["vocode", str(tmp_path / "wrong.npy"), "-o", str(tmp_path / "out")]
    assert RUNNER.invoke(app, [*one, "--normalisation", kind]).exit_code == 0
    ours, theirs = (read_audio(tmp_path / "out" / f"{n}.wav")[0] for n in ("right", "wrong"))
    assert (ours - theirs).abs().mean() < 0.1 * ours.abs().mean() or kind == "keithito"
    assert theirs.abs().mean() < 2.0 * ours.abs().mean()


def test_stated_settings_that_look_wrong_are_a_warning(
    tmp_path: Path, speech: torch.Tensor
) -> None:
    write_mel(tmp_path / "a.npy", wrong("log10", speech), BASE)
    done = RUNNER.invoke(app, ["vocode", str(tmp_path / "a.npy"), "-o", str(tmp_path / "a.wav")])
    assert done.exit_code == 0
    assert "a.npy: the mel is probably decimal logarithms" in done.stderr
    assert (tmp_path / "a.wav").exists()


def test_the_library_warns_once_a_call(
    speech: torch.Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    v = load("griffin-lim", mel=BASE)
    mel = wrong("keithito", speech)
    v(mel[:, :20])
    v(torch.stack([mel[:, :20], mel[:, :20]]), lengths=[20, 9])
    assert caplog.text.count("--normalisation keithito") == 2


def test_mel_files_are_made_with_a_normalisation(tmp_path: Path) -> None:
    clip = Path(__file__).parents[2] / "egs" / "clips" / "gd" / "taiwan.flac"
    target = tmp_path / "a.npy"
    arguments = ["mel", str(clip), "-o", str(target), "--normalisation", "rayhane"]
    assert RUNNER.invoke(app, arguments).exit_code == 0
    made, spec = read_mel(target)
    assert spec == BASE.normalised("rayhane")
    assert -4.0 <= made.min() < made.max() <= 4.0


def test_statistics_of_a_training_set(tmp_path: Path, speech: torch.Tensor) -> None:
    mel = mel_of(speech)
    mean, scale = mel.mean(dim=1), mel.std(dim=1)
    np.save(tmp_path / "stats.npy", torch.stack([mean, scale]).numpy())
    np.savez(tmp_path / "stats.npz", mean=mean.numpy(), scale=scale.numpy())
    assert read_statistics(tmp_path / "stats.npy") == read_statistics(tmp_path / "stats.npz")
    source = tmp_path / "a.npy"
    np.save(source, ((mel - mean[:, None]) / scale[:, None]).numpy())
    arguments = ["vocode", str(source), "-o", str(tmp_path / "a.wav"), "--normalisation"]
    assert RUNNER.invoke(app, [*arguments, str(tmp_path / "stats.npy")]).exit_code == 0
    assert read_audio(tmp_path / "a.wav")[0].abs().mean() < 0.2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((3, 80)), r"holds no mean and scale of mel bands \(an array of shape \[3, 80\]"),
        (np.zeros((2, 80)), "scales positive"),
        (np.full((2, 80), np.nan), "its means must be finite"),
        (np.array(["a", "b"]), "bad.npy: "),
    ],
    ids=["rows", "zero", "nan", "text"],
)
def test_wrong_statistics_name_the_file(tmp_path: Path, content: object, message: str) -> None:
    np.save(tmp_path / "bad.npy", content)
    with pytest.raises(
        ConfigError, match=rf"bad\.npy: .*{message}" if "bad" not in message else message
    ):
        read_statistics(tmp_path / "bad.npy")
    with pytest.raises(ConfigError, match=r"none\.h5: no such file"):
        read_statistics(tmp_path / "none.h5")
