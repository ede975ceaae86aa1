"""Training states on disk: saving and reading them, and putting them into networks."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vocoder.checkpoint import load_state, save_state
from vocoder.errors import CheckpointError, ConfigError, VocoderError
from vocoder.training.model_optimizer import ModelOptimizer
from vocoder.training.runs.settings import changed_settings

log = logging.getLogger(__name__)


class TrainingStates:
    """Numbered training states in one folder, of which the newest `keep` are kept."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def paths(self) -> list[Path]:
        """Files of the states, from oldest to newest."""
        return sorted(self.folder.glob("step-*.pt"))

    def save(self, state: dict[str, Any]) -> Path:
        """Write `state`, which has a "step", delete the oldest states, and return its path.

        Raises VocoderError that says how much space is needed if the disk is full; the states that
        are there stay.
        """
        path = self.folder / _name(state["step"])
        try:
            save_state(path, state)
        except VocoderError as error:
            needed, free = state_bytes(state), shutil.disk_usage(self.folder).free
            if free >= needed:
                raise
            good = ", ".join(each.name for each in self.paths()[-1:]) or "none before"
            raise VocoderError(
                f"{path}: cannot be written; a state needs {_megabytes(needed)} and "
                f"{_megabytes(free)} are free (newest state: {good}); free space, then repeat the "
                "command, which resumes from it"
            ) from error
        for old in self.paths()[: -self.keep]:
            old.unlink()
        return path

    def require_none(self) -> None:
        """Raise ConfigError if there are states, for a run that must not resume."""
        if self.paths():
            raise ConfigError(
                f"{self.folder} holds training states and trainer.resume is false; "
                "remove it or choose another trainer.output"
            )

    def newest(self, *, before: int | None = None) -> tuple[Path, dict[str, Any]] | None:
        """The newest readable state, of a step `before` this, with its path; None without any.

        Damaged states are logged and skipped. Raises CheckpointError if there are states but none
        is readable: starting over is for the user to decide.
        """
        paths = [p for p in self.paths() if before is None or p.name < _name(before)]
        for path in reversed(paths):
            try:
                return path, load_state(path)
            except CheckpointError as error:
                log.warning("%s; trying the one before", error)
        if paths:
            raise CheckpointError(
                f"{self.folder}: none of {len(paths)} training states can be read; "
                "remove the folder to start over"
            )
        return None


def _name(step: int) -> str:
    return f"step-{step:08d}.pt"


def state_bytes(state: Any) -> int:
    """Bytes of the tensors in a training state, which are nearly all of its file."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    values = state.values() if isinstance(state, Mapping) else state
    if isinstance(state, Mapping | list | tuple):
        return sum(state_bytes(each) for each in values)
    return 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def log_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Write to the log which settings differ between two configurations, a line for each."""
    for setting, (old, new) in changed_settings(before, now).items():
        log.info("setting changed since: %s was %s, is %s", setting, old, new)


def collect_networks(
    modules: Mapping[str, nn.Module], optimizers: Mapping[str, ModelOptimizer]
) -> dict[str, Any]:
    """The entries of a training state for modules, by name, and for "optimizers"."""
    return {
        **{name: module.state_dict() for name, module in modules.items()},
        "optimizers": {name: each.optimizer.state_dict() for name, each in optimizers.items()},
    }


def restore_networks(
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, ModelOptimizer],
    *,
    state: Mapping[str, Any],
    path: Path,
) -> None:
    """Load the entries that `collect_networks` made; `path` names their file in errors.

    Raises ConfigError if they are those of other networks.
    """
    for name, module in modules.items():
        load_into(module, state.get(name, {}), path)
    for name, each in optimizers.items():
        each.optimizer.load_state_dict(state["optimizers"][name])


def load_into(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load a module's entry of the state at `path`; ConfigError if it is of another network."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"{path}: saved by a run with other networks; choose another trainer.output "
            f"({str(error).splitlines()[0]})"
        ) from error
