"""Checks of the structure of training states and of fine-tuning states (`start.pt`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vocoder.checks.arguments import check
from vocoder.errors import CheckpointError, ConfigError
from vocoder.io.upgrade import STATE_KEYS

_Weights = Mapping[str, Tensor]
_STATE: dict[str, Any] = {
    "step": int,
    "config": Mapping[str, Any],
    "generator": _Weights,
    "ema": _Weights,
    "discriminators": _Weights,
    "optimizers": Mapping[str, Mapping[str, Any]],
    "best": Mapping[str, Any],
    "scores": Mapping[str, Any],
}
_PARTS: dict[str, Any] = {"augmentation": _Weights, "objective": _Weights}  # not in every state
_OPTIMIZER: dict[str, Any] = {
    "state": Mapping[Any, Mapping[str, Any]],
    "param_groups": Sequence[Mapping[str, Any]],
}
_GROUP: dict[str, Any] = {"params": Sequence[int]}
_NAMES: dict[str, Any] = {"param_names": Sequence[str]}
_START: dict[str, Any] = {
    "discriminators": Mapping[str, _Weights],
    "optimizers": Mapping[str, Mapping[str, Mapping[str, float | Tensor]]],
}


def require_state(state: Any, path: Path) -> None:
    """Raise CheckpointError, which names `path` and the entry, unless this is a training state.

    It may be one of an earlier release.
    """
    origin = f"{path}: not a training state of this toolkit"
    if isinstance(state, Mapping):
        state = {STATE_KEYS.get(key, key): value for key, value in state.items()}
    _require(state, _STATE, origin, optional=_PARTS)
    for name, optimizer in state["optimizers"].items():
        _require(optimizer, _OPTIMIZER, origin, f"optimizers.{name}.")
        for index, group in enumerate(optimizer["param_groups"]):
            place = f"optimizers.{name}.param_groups[{index}]."
            _require(group, _GROUP, origin, place, optional=_NAMES)


def require_start(start: Any, path: Path) -> None:
    """Raise CheckpointError, which names `path` and the entry, unless this is a start.pt."""
    _require(start, _START, f"{path}: not a fine-tuning state")


def _require(
    values: Any,
    entries: Mapping[str, Any],
    origin: str,
    place: str = "",
    *,
    optional: Mapping[str, Any] | None = None,
) -> None:
    """Raise CheckpointError for an entry of a mapping that is missing or of another type."""
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{origin} (a {type(values).__name__}, not a mapping)")
    missing = [f"{place}{name}" for name in entries if name not in values]
    if missing:
        raise CheckpointError(f"{origin} (it lacks {', '.join(missing)})")
    for name, hint in {**entries, **(optional or {})}.items():
        try:
            if name in values:
                check(values[name], hint, place + name)
        except ConfigError as error:
            raise CheckpointError(f"{origin} ({error})") from error
