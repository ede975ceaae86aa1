"""Settings of runs: the plain configuration in a run's folder, and how several differ."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vocoder.errors import ConfigError

CONFIG_NAME = "config.yaml"


def changed_settings(
    before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
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


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Settings in which configurations differ: dotted name → the value in each, None without it.

    The folder of the run is left out: it always differs.
    """
    flat = [_flat(config) for config in configs]
    names = sorted({name for each in flat for name in each} - {"trainer.output"})
    rows = {name: [each.get(name) for each in flat] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            values |= _flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def read_settings(folder: Path) -> dict[str, Any]:
    """The configuration of a run, from `config.yaml` or, before there was one, from its model.

    Empty if there is neither. Raises ConfigError if the file cannot be read.
    """
    path = folder / CONFIG_NAME
    if not path.exists():
        return _settings_of_model(folder / "last" / "config.json")
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: needs PyYAML: pip install 'vocoder[train]'") from error
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{path}: cannot be read ({reason}); remove it to go on without it"
        ) from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: not a configuration of vocoder train")
    return settings


def _settings_of_model(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))["training"]["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error!r})") from error
    return dict(settings)
