"""Loggers of a run: TensorBoard, and stand-ins for the packages of MLflow and Weights & Biases."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from vocoder.errors import ConfigError
from vocoder.training.reporting.loggers.base import Logger, open_loggers

from .conftest import settings, trainer


def report(logger: Logger, step: int) -> None:
    logger.scalars(step, {"valid/log_mel": 0.5, "valid/pesq": 3.0})
    logger.figure(step, "valid/0", Figure(figsize=(1, 1)))
    logger.audio(step, "valid/0/fake", torch.zeros(100), 8000)
    logger.close()


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the stand-in for MLflow is told."""
    told: list[tuple[Any, ...]] = []

    class MlflowException(Exception):  # noqa: N818  its name
        pass

    class MlflowClient:
        def create_run(self, experiment: str, *, run_name: str) -> Any:
            told.append(("create", experiment, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id="r7"))

        def update_run(self, run: str, *, status: str) -> None:
            told.append(("update", run, status))

        def log_dict(self, run: str, values: dict[str, Any], name: str) -> None:
            told.append(("config", run, values, name))

        def log_metric(self, run: str, name: str, value: float, *, step: int) -> None:
            if step == 13:
                raise MlflowException("server is away\ntry later")
            told.append(("metric", run, name, value, step))

        def log_figure(self, run: str, figure: Figure, name: str) -> None:
            told.append(("figure", run, name))

        def log_artifact(self, run: str, path: str, folder: str) -> None:
            told.append(("artifact", run, folder, Path(path).name, Path(path).stat().st_size > 200))

        def set_terminated(self, run: str) -> None:
            told.append(("end", run))

    module = ModuleType("mlflow")
    module.MlflowClient = MlflowClient  # type: ignore[attr-defined]
    module.set_experiment = lambda name: SimpleNamespace(  # type: ignore[attr-defined]
        experiment_id=f"id of {name}"
    )
    exceptions = ModuleType("mlflow.exceptions")
    exceptions.MlflowException = MlflowException  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return told


def test_mlflow_gets_scores_pictures_and_audio_and_resumes(
    mlflow: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    (logger,) = open_loggers(["mlflow"], tmp_path, first=0, config={"seed": 1})
    report(logger, 5)
    assert mlflow == [
        ("create", "id of vocoder", tmp_path.name),
        ("config", "r7", {"seed": 1}, "config.yaml"),
        ("metric", "r7", "valid/log_mel", 0.5, 5),
        ("metric", "r7", "valid/pesq", 3.0, 5),
        ("figure", "r7", "valid/0/00000005.png"),
        ("artifact", "r7", "valid/0/fake", "00000005.wav", True),
        ("end", "r7"),
    ]
    mlflow.clear()
    open_loggers(["mlflow"], tmp_path, first=5, config={"seed": 1})
    assert mlflow[0] == ("update", "r7", "RUNNING")


def test_failure_of_mlflows_server_does_not_end_a_run(
    mlflow: list[tuple[Any, ...]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (logger,) = open_loggers(["mlflow"], tmp_path, first=0, config={})
    report(logger, 13)
    assert caplog.messages == ["mlflow: reports of step 13 not logged there (server is away)"]
    assert ("figure", "r7", "valid/0/00000013.png") in mlflow


def test_wandb_has_the_step_in_each_report_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    run = SimpleNamespace(
        id="w3",
        define_metric=lambda name, step_metric=None: told.append((name, step_metric)),
        log=told.append,
        finish=lambda: told.append("end"),
    )
    module = ModuleType("wandb")
    module.init = lambda **options: told.append(options) or run  # type: ignore[attr-defined]
    module.Image = lambda array: array.shape  # type: ignore[attr-defined]
    module.Audio = lambda array, sample_rate: (array.shape, sample_rate)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("WANDB_PROJECT", "speech")
    (logger,) = open_loggers(["wandb"], tmp_path, first=0, config={"seed": 1})
    report(logger, 5)
    options = told[0]
    assert (options["project"], options["name"], options["id"]) == ("speech", tmp_path.name, None)
    assert (options["resume"], options["config"]) == ("allow", {"seed": 1})
    assert told[1:] == [
        ("step", None),
        ("*", "step"),
        {"step": 5, "valid/log_mel": 0.5, "valid/pesq": 3.0},
        {"step": 5, "valid/0": (100, 100, 4)},
        {"step": 5, "valid/0/fake": ((100,), 8000)},
        "end",
    ]
    told.clear()
    open_loggers(["wandb"], tmp_path, first=5, config={"seed": 1})
    assert told[0]["id"] == "w3"


def test_service_that_cannot_be_reached_is_one_line_and_closes_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: Any) -> None:
        raise RuntimeError("no account\nlog in first")

    closed: list[int] = []
    tensorboard = "vocoder.training.reporting.loggers.tensorboard_logger.TensorBoardLogger.close"
    monkeypatch.setattr(tensorboard, lambda _: closed.append(1))
    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))
    monkeypatch.setattr(sys.modules["wandb"], "init", init, raising=False)
    with pytest.raises(
        ConfigError, match=r"^trainer\.loggers: wandb cannot be opened \(no account"
    ):
        open_loggers(["tensorboard", "wandb"], tmp_path, first=0, config={})
    assert closed == [1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mlflow", "mlflow needs a package: pip install mlflow"),
        ("neptune", "no 'neptune'; choose from tensorboard, mlflow, wandb"),
    ],
)
def test_logger_that_cannot_be_had_is_an_error_before_the_first_step(
    name: str, message: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    values = settings("demo", manifest, tmp_path, f"trainer.loggers=[{name}]")
    with pytest.raises(ConfigError, match=message):
        trainer(values).run()
    assert not list(tmp_path.glob("states/*"))


@pytest.mark.usefixtures("blank_pictures")
def test_run_without_loggers_still_writes_its_curve(manifest: Path, tmp_path: Path) -> None:
    values = settings("demo", manifest, tmp_path, "trainer.loggers=[]", "trainer.max_steps=1")
    assert trainer(values).run() == 0
    assert (tmp_path / "curve.jsonl").read_text().count("\n") == 2
    assert not (tmp_path / "tensorboard").exists()
