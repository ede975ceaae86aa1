"""Training states on disk: the last few, the newest readable one, and what changed since."""

import logging
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vocoder.checkpoint import load_state, save_state
from vocoder.errors import CheckpointError, ConfigError

log = logging.getLogger(__name__)


class TrainingStates:
    """Numbered training states in one folder, of which the newest `keep` are kept."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def paths(self) -> list[Path]:
        """TrainingStates from oldest to newest."""
        return sorted(self.folder.glob("step-*.pt"))

    def save(self, state: dict[str, Any]) -> Path:
        """Write `state` (which has a "step") and drop the oldest ones."""
        path = self.folder / f"step-{state['step']:08d}.pt"
        save_state(path, state)
        for old in self.paths()[: -self.keep]:
            old.unlink()
        return path

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest state that can be read; each damaged one is reported and passed over.

        CheckpointError if there are states but none is readable: starting over is for the user
        to decide.
        """
        paths = self.paths()
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


def changed_settings(
    before: dict[str, Any], now: dict[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Settings that differ between two configurations: dotted name → (before, now)."""
    changes: dict[str, tuple[Any, Any]] = {}
    for key in sorted(before.keys() | now.keys()):
        name, old, new = f"{prefix}{key}", before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            changes |= changed_settings(old, new, f"{name}.")
        elif old != new:
            changes[name] = (old, new)
    return changes


def load_into(module: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load what a state holds for a module; ConfigError if it is that of another network."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"{path}: saved by a run with other networks; choose another trainer.output "
            f"({str(error).splitlines()[0]})"
        ) from error
