"""Reports to Weights & Biases, as its own environment variables say (WANDB_MODE, WANDB_PROJECT)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from vocoder.io.atomic import replacing_file
from vocoder.training.reporting.loggers.base import read_id

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from wandb.sdk.wandb_run import Run

_ID_NAME = "wandb.id"


class WandbLogger:
    """Logs to a run of Weights & Biases; the step is a value of each report.

    The service's own step only grows, and would refuse the reports of a run that was resumed.
    """

    def __init__(self, run: "Run") -> None:
        self.run = run
        run.define_metric("step")
        run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log values by name."""
        self.run.log({"step": step, **values})

    def figure(self, step: int, name: str, figure: "Figure") -> None:
        """Log a picture."""
        import numpy as np
        import wandb
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        # Without pyplot, through which wandb draws figures, and which keeps them.
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        self.run.log({"step": step, name: wandb.Image(np.asarray(canvas.buffer_rgba()))})

    def audio(self, step: int, name: str, audio: Tensor, sample_rate: int) -> None:
        """Log audio [T]."""
        import wandb

        self.run.log({"step": step, name: wandb.Audio(audio.numpy(), sample_rate=sample_rate)})

    def close(self) -> None:
        """Send what is left."""
        self.run.finish()


def open_(folder: Path, *, first: int, config: Mapping[str, Any]) -> WandbLogger:
    """The run whose id is in `folder`, or a new one with the configuration."""
    import wandb

    path = folder / _ID_NAME
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "vocoder"),
        name=folder.resolve().name,
        dir=str(folder),
        id=read_id(path),
        resume="allow",
        config=dict(config),
    )
    with replacing_file(path) as temporary:
        temporary.write_text(f"{run.id}\n", encoding="utf-8")
    return WandbLogger(run)
