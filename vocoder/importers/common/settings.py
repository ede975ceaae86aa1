"""Configuration files of other projects, read as plain data."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vocoder.errors import CheckpointError, ConfigError


class ProjectSettings:
    """A mapping from a configuration file, whose errors name the file and the key."""

    def __init__(self, values: Any, path: Path, prefix: str = "") -> None:
        if not isinstance(values, Mapping):
            raise CheckpointError(
                f"{path}: {prefix.removesuffix('.') or 'the file'} is not a mapping"
            )
        self.path = path
        self._values, self._prefix = values, prefix

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> Any:
        if key not in self._values:
            raise CheckpointError(f"{self.path}: has no {self._prefix}{key}")
        return self._values[key]

    def get(self, key: str, default: Any) -> Any:
        """The value of a key, or the project's default where it is missing."""
        return self._values.get(key, default)

    def section(self, key: str) -> "ProjectSettings":
        """The mapping under a key. Raises CheckpointError if there is none."""
        return ProjectSettings(self[key], self.path, f"{self._prefix}{key}.")

    def expect(self, **supported: Any) -> None:
        """Raise CheckpointError if a key is present with another value than the supported one."""
        for key, value in supported.items():
            found = self.get(key, value)
            if found != value:
                raise CheckpointError(
                    f"{self.path}: {self._prefix}{key} is {found!r}; only {value!r} is supported"
                )


def find_settings(checkpoint: Path, names: Sequence[str], given: Path | None) -> ProjectSettings:
    """Read the configuration `given`, or the first of `names` that lies beside the checkpoint.

    For a project without `names` the settings are empty, and errors name the checkpoint. Raises
    CheckpointError if no file is found or it cannot be read.
    """
    if not names and not given:
        return ProjectSettings({}, checkpoint)
    beside = [checkpoint.parent / name for name in names]
    paths = [given] if given else [path for path in beside if path.is_file()]
    if not paths:
        raise CheckpointError(
            f"{checkpoint}: its settings are not beside it ({' or '.join(names)}); "
            "name the file with --config"
        )
    return read_settings(paths[0])


def read_settings(path: Path) -> ProjectSettings:
    """Read a JSON file, or a YAML file by its suffix. Raises CheckpointError, ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise CheckpointError(f"{path}: cannot be read ({reason})") from error
    if path.suffix in (".yaml", ".yml"):
        return ProjectSettings(_parse_yaml(text, path), path)
    try:
        return ProjectSettings(json.loads(text), path)
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error


def extra(module: str, path: Path) -> Any:
    """Import an optional package that reading `path` needs. Raises ConfigError."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: needs {module}: pip install 'vocoder[import]'") from error


def _parse_yaml(text: str, path: Path) -> Any:
    yaml = extra("yaml", path)

    def plain(loader: Any, tag: str, node: Any) -> Any:
        """The plain value in place of a Python object, whose construction would run code."""
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    loader: Any = type("PlainLoader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("", plain)
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: not YAML ({reason})") from error
