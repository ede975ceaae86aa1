"""Reports to MLflow: to the server and experiment that its own environment variables name."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile
from torch import Tensor

from vocoder.io.atomic import replacing_file
from vocoder.training.reporting.loggers.base import read_id

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
_ID_NAME = "mlflow.id"


class MLflowLogger:
    """Logs to an MLflow run: scores as metrics, pictures and audio as artifacts by step.

    A server that fails in the middle of a run does not end it: what it did not take is named in the
    log, and is in `curve.jsonl`.
    """

    def __init__(self, client: "MlflowClient", run: str) -> None:
        self.client, self.run = client, run

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log values by name."""
        with _failures_logged(step):
            for name, value in values.items():
                self.client.log_metric(self.run, name, value, step=step)

    def figure(self, step: int, name: str, figure: "Figure") -> None:
        """Log a picture."""
        with _failures_logged(step):
            self.client.log_figure(self.run, figure, f"{name}/{step:08d}.png")

    def audio(self, step: int, name: str, audio: Tensor, sample_rate: int) -> None:
        """Log audio [T]."""
        with _failures_logged(step), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{step:08d}.wav"
            soundfile.write(path, audio.numpy(), sample_rate)
            self.client.log_artifact(self.run, str(path), name)

    def close(self) -> None:
        """Mark the run as ended; resuming opens it again."""
        with _failures_logged(None):
            self.client.set_terminated(self.run)


@contextmanager
def _failures_logged(step: int | None) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:  # what requests raises is an OSError
        what = "the end of the run" if step is None else f"reports of step {step}"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("mlflow: %s not logged there (%s)", what, reason)


def open_(folder: Path, *, first: int, config: Mapping[str, Any]) -> MLflowLogger:
    """The MLflow run whose id is in `folder`, or a new one with the configuration."""
    import mlflow
    from mlflow import MlflowClient

    client, path = MlflowClient(), folder / _ID_NAME
    run = read_id(path)
    if run is None:
        experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "vocoder"))
        name = folder.resolve().name
        run = client.create_run(experiment.experiment_id, run_name=name).info.run_id
        with replacing_file(path) as temporary:
            temporary.write_text(f"{run}\n", encoding="utf-8")
    else:
        client.update_run(run, status="RUNNING")
    client.log_dict(run, dict(config), "config.yaml")
    return MLflowLogger(client, run)
