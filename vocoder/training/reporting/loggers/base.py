"""What a logger is, and how the loggers of a run are opened by name."""

import importlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from vocoder.errors import ConfigError, VocoderError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MODULES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}  # name → package


class Logger(Protocol):
    """Takes the reports of a run. A module of this folder has one, made by its function `open_`.

    What it cannot write raises an error, here or at a later report.
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log values by name, such as "train/mel"."""

    def figure(self, step: int, name: str, figure: "Figure") -> None:
        """Log a picture."""

    def audio(self, step: int, name: str, audio: Tensor, sample_rate: int) -> None:
        """Log audio [T] in [-1, 1]."""

    def close(self) -> None:
        """Write what is not yet written; nothing is logged after that."""


def open_loggers(
    names: Sequence[str], folder: Path, *, first: int, config: Mapping[str, Any]
) -> list[Logger]:
    """Open loggers by name, for a run in `folder` that goes on after step `first`.

    What was logged of a run before it was resumed is continued. Raises ConfigError for unknown
    names, for packages that are not installed, and for services that cannot be reached.
    """
    require_loggers(names)
    opened: list[Logger] = []
    with ExitStack() as stack:  # closes those that are open if another cannot be
        for name in names:
            module = importlib.import_module(f"{__package__}.{name}_logger")
            try:
                opened.append(module.open_(folder, first=first, config=config))
            except (OSError, VocoderError):
                raise
            except Exception as error:  # of a class of its package: no server, no account, …
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise ConfigError(f"trainer.loggers: {name} cannot be opened ({reason})") from error
            stack.callback(opened[-1].close)
        stack.pop_all()
    return opened


def require_loggers(names: Sequence[str]) -> None:
    """Raise ConfigError for loggers that do not exist or whose package is not installed."""
    for name in names:
        if name not in _MODULES:
            raise ConfigError(f"trainer.loggers: no {name!r}; choose from {', '.join(_MODULES)}")
        package = _MODULES[name]
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigError(
                f"trainer.loggers: {name} needs a package: pip install {package} ({error})"
            ) from error


def read_id(path: Path) -> str | None:
    """The identifier of a run in a logger's service, saved at its start; None if there is none."""
    return path.read_text(encoding="utf-8").strip() or None if path.exists() else None
