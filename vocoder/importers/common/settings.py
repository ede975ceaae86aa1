"""Configuration files of other projects, read as plain data."""

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vocoder.errors import CheckpointError, ConfigError, VocoderError
from vocoder.io.untrusted import read_json

_YAML_BYTES = 1 << 18  # thirty times the longest configuration; a reader in Python is slow
_YAML_VALUES = 1 << 16  # with the repetitions by aliases
_YAML_DEPTH = 64
_LARGEST = 1 << 24  # of a size


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

    def size(self, key: str, default: int | None = None) -> int:
        """A positive whole number. Raises CheckpointError for anything else."""
        value = self[key] if default is None else self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST:
            raise self._wrong(key, value, "a positive whole number")
        return value

    def number(self, key: str) -> float:
        """A finite number. Raises CheckpointError for anything else."""
        return self._number(key, self[key])

    def numbers(self, key: str, default: Sequence[float] = ()) -> list[float]:
        """A list of numbers, at least one. Raises CheckpointError for anything else."""
        return [self._number(key, value) for value in self.items(key, default)]

    def items(self, key: str, default: Sequence[Any] = ()) -> list[Any]:
        """A list that is not empty. Raises CheckpointError for anything else."""
        value = self.get(key, default) if default else self[key]
        if not isinstance(value, list | tuple) or not value:
            raise self._wrong(key, value, "a list")
        return list(value)

    def count(self, key: str) -> int:
        """The length of a list that is not empty."""
        return len(self.items(key))

    def section(self, key: str) -> "ProjectSettings":
        """The mapping under a key. Raises CheckpointError if there is none."""
        return ProjectSettings(self[key], self.path, f"{self._prefix}{key}.")

    def renamed(self, names: Mapping[str, str], defaults: Mapping[str, Any]) -> "ProjectSettings":
        """The settings with `defaults`, under other names: old one → new one."""
        values = {names.get(key, key): v for key, v in {**defaults, **self._values}.items()}
        return ProjectSettings(values, self.path, self._prefix)

    def expect(self, **supported: Any) -> None:
        """Raise CheckpointError if a key is present with another value than the supported one."""
        for key, value in supported.items():
            found = self.get(key, value)
            if found != value:
                raise CheckpointError(
                    f"{self.path}: {self._prefix}{key} is {found!r:.80}; "
                    f"only {value!r} is supported"
                )

    def _number(self, key: str, value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(key, value, "a number")
        if not math.isfinite(value) or abs(value) > _LARGEST:
            raise self._wrong(key, value, "a number of its size")
        return value

    def _wrong(self, key: str, value: Any, expected: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: {self._prefix}{key} is {value!r:.80}; it must be {expected}"
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
    if path.suffix in (".yaml", ".yml"):
        return ProjectSettings(_read_yaml(path), path)
    try:
        return ProjectSettings(read_json(path), path)
    except VocoderError as error:
        raise CheckpointError(str(error)) from error


def extra(module: str, path: Path) -> Any:
    """Import an optional package that reading `path` needs. Raises ConfigError."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: needs {module}: pip install 'vocoder[import]'") from error


def _read_yaml(path: Path) -> Any:
    yaml = extra("yaml", path)
    try:
        with path.open("rb") as file:
            text = file.read(_YAML_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(text) > _YAML_BYTES:
        raise CheckpointError(f"{path}: more than {_YAML_BYTES >> 10} KiB of YAML; not read")
    try:
        loader = _plain_loader(yaml)(text.decode())
        node = loader.get_single_node()
        _require_limits(yaml, node)
        return None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise CheckpointError(f"{path}: YAML nested too deeply; not read") from error
    except Exception as error:  # besides its own errors, what Python says of a date or a number
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(f"{path}: not YAML ({reason})") from error


def _require_limits(yaml: Any, root: Any) -> None:
    """Raise ValueError if the values, with the repetitions by aliases, are too many or too deep."""
    known: dict[int, tuple[int, int]] = {}

    def extent(node: Any, level: int) -> tuple[int, int]:
        """The levels below a node, and the number of values in it."""
        if level > _YAML_DEPTH:
            raise ValueError(f"nested more than {_YAML_DEPTH} deep, or in itself")
        if not isinstance(node, yaml.CollectionNode):
            return 0, 1
        if id(node) not in known:
            pairs = isinstance(node, yaml.MappingNode)
            parts = [part for pair in node.value for part in pair] if pairs else node.value
            extents = [extent(part, level + 1) for part in parts]
            deepest = max((levels for levels, _ in extents), default=0)
            known[id(node)] = 1 + deepest, 1 + sum(count for _, count in extents)
        levels, count = known[id(node)]
        if level + levels > _YAML_DEPTH:
            raise ValueError(f"nested more than {_YAML_DEPTH} deep")
        if count > _YAML_VALUES:
            raise ValueError(f"more than {_YAML_VALUES} values, with those that aliases repeat")
        return levels, count

    extent(root, 0)


def _plain_loader(yaml: Any) -> Any:
    """A loader that makes plain values in place of Python objects, which would run code."""

    def plain(loader: Any, tag: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    loader: Any = type("PlainLoader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("", plain)
    return loader
