"""Reports as TensorBoard files, in `tensorboard/` of the run's folder."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TensorBoardLogger:
    """Writes TensorBoard files; those of steps after `first` are no longer shown.

    TensorBoard writes in a thread. What fails there is raised again, as OSError, at the next report
    or by `close`, so the thread itself prints nothing.
    """

    def __init__(self, folder: Path, *, first: int) -> None:
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first)
        self._hook = threading.excepthook
        threading.excepthook = self._leave_to_the_loop

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log values by name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def figure(self, step: int, name: str, figure: "Figure") -> None:
        """Log a picture."""
        self.writer.add_figure(name, figure, step)

    def audio(self, step: int, name: str, audio: Tensor, sample_rate: int) -> None:
        """Log audio [T]."""
        self.writer.add_audio(name, audio[None], step, sample_rate)

    def close(self) -> None:
        """Write what is left; OSError if that, or an earlier write, fails."""
        try:
            self.writer.close()
        finally:
            threading.excepthook = self._hook

    def _leave_to_the_loop(self, failure: threading.ExceptHookArgs) -> None:
        ours = type(failure.thread).__module__.startswith("tensorboard.")
        if not (ours and isinstance(failure.exc_value, OSError)):
            self._hook(failure)


def open_(folder: Path, *, first: int, config: Mapping[str, Any]) -> TensorBoardLogger:
    """The logger of the run in `folder` after step `first`; its files contain no configuration."""
    return TensorBoardLogger(folder, first=first)
