"""Which runtime runs a model: the one that is asked for, or the fastest that was measured."""

import json
import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vocoder import __version__
from vocoder.checkpoint import WEIGHTS_NAME, ModelConfig, find_model, load_model
from vocoder.errors import ConfigError
from vocoder.export.engines import PACKAGES, is_installed
from vocoder.generators.base import Generator
from vocoder.inference.model import InferenceModel
from vocoder.inference.runtimes.files import is_onnx, load_onnx
from vocoder.inference.runtimes.network import CachedExport, RuntimeNetwork
from vocoder.io.cache import cached_bytes, write_cached

RUNTIMES = ("auto", "torch", *PACKAGES)
_NAME = "runtimes.json"
_log = logging.getLogger(__name__)
_remembered: dict[str, str] = {}  # of this process, where there is no cache


class Opened(NamedTuple):
    """A model as it was found: a directory, or a file with a network of its own."""

    generator: Generator
    config: ModelConfig
    directory: Path | None = None
    network: RuntimeNetwork | None = None
    parameters: int = 0


def open_model(name: str | Path, kind: str, runtime: str) -> Opened:
    """Read a model from its directory or built-in name, or from an ONNX file, of this kind.

    The kind ("vocoder" or "extender") of a directory is not checked. Raises CheckpointError,
    ConfigError.
    """
    _require_known(runtime)
    if is_onnx(name):
        generator, config, network = load_onnx(Path(name), kind, runtime)
        count = generator.facts.parameters
        return Opened(generator, config, network=network, parameters=count)
    directory = find_model(name)
    return Opened(*load_model(directory), directory)


def use_runtime(model: InferenceModel, runtime: str, opened: Opened | None = None) -> None:
    """Let a loaded model run its network in a runtime; `opened` is what it was loaded from.

    "auto" is PyTorch unless a measurement of this model on this machine says otherwise
    (`vocoder tune`). Raises ConfigError for an unknown runtime, if a package is missing, and for a
    device that the runtime does not use.
    """
    _require_known(runtime)
    chosen = runtime
    if opened and opened.network:
        chosen = opened.network.runtime
    elif runtime == "auto":
        here = opened.directory if opened and model.device.type == "cpu" else None
        chosen = best_runtime(here)
    if chosen == "torch":
        return
    if model.device.type != "cpu":
        raise ConfigError(f"runtime {chosen} runs on the device cpu, not on {model.device}")
    if opened and opened.network:
        model.network, model.num_parameters = opened.network, opened.parameters
    elif runtime == "auto" and not is_installed(chosen):
        _log.warning("%s was measured to be fastest, but is not installed", chosen)
        return
    else:
        model.network = RuntimeNetwork(chosen, CachedExport(model.generator, model.config))
    _log.info("%s runs in %s", model.config.name, model.network.path)


def _require_known(runtime: str) -> None:
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime is {runtime!r}; choose {', '.join(RUNTIMES)}")


def best_runtime(directory: Path | None) -> str:
    """The fastest runtime of a model on this machine, as remembered; "torch" if not measured."""
    if directory is None:
        return "torch"
    remembered = _read() if not _remembered else {**_read(), **_remembered}
    if not remembered:  # the usual case costs nothing
        return "torch"
    runtime = remembered.get(_key(directory), "torch")
    return runtime if runtime in PACKAGES else "torch"


def remember(directory: Path, speeds: Mapping[str, float]) -> str:
    """Remember the runtime with the highest speed, for `auto`; returns it.

    `speeds` holds the runtimes whose output agrees with PyTorch's within 1e-4 of the peak. Without
    a cache that can be written, it holds for this process.
    """
    best = max(speeds, key=lambda runtime: speeds[runtime])
    key = _key(directory)
    text = json.dumps({**_read(), key: best}, indent=0)
    if not write_cached(_NAME, text.encode()):
        _remembered[key] = best
    return best


def _key(directory: Path) -> str:
    """A model as it is stored, and this machine."""
    weights = directory / WEIGHTS_NAME
    status = weights.stat()
    where = (weights.resolve(), status.st_size, status.st_mtime_ns)
    parts = (*where, platform.node(), torch.__version__, __version__)
    return "|".join(map(str, parts))


def _read() -> dict[str, Any]:
    content = cached_bytes(_NAME)
    try:
        values = {} if content is None else json.loads(content)
    except ValueError:
        values = {}
    return values if isinstance(values, dict) else {}
