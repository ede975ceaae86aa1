"""Models to measure: by name, of other projects' checkpoints, and with random weights."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from vocoder.checkpoint import CONFIG_NAME, ModelConfig, save_model
from vocoder.errors import VocoderError
from vocoder.generators.base import Generator
from vocoder.importers.importer import import_checkpoint
from vocoder.inference.runtimes.files import is_onnx
from vocoder.io.untrusted import read_json


@contextmanager
def named(name: str) -> Iterator[str]:
    """What `vocoder.load` takes for a name: itself, or a temporary model of another checkpoint.

    Names of files and directories that are no model of ours are imported as `vocoder import` does.
    Raises CheckpointError, ConfigError.
    """
    if not os.path.exists(name) or is_onnx(name) or _is_model(Path(name)):
        yield name
        return
    imported = import_checkpoint(Path(name))
    with _saved(imported.generator, imported.config) as directory:
        yield directory


@contextmanager
def random(make: Callable[[], tuple[Generator, ModelConfig]]) -> Iterator[str]:
    """A temporary model directory with the generator that `make` returns."""
    with _saved(*make()) as directory:
        yield directory


@contextmanager
def _saved(generator: Generator, config: ModelConfig) -> Iterator[str]:
    with TemporaryDirectory(prefix="vocoder-bench-") as folder:
        directory = Path(folder) / "model"
        save_model(directory, generator, config)
        yield str(directory)


def _is_model(path: Path) -> bool:
    """Whether a path is a model directory, or a file in one."""
    config = (path if path.is_dir() else path.parent) / CONFIG_NAME
    if not config.is_file():
        return False
    try:
        values = read_json(config)
    except (VocoderError, ValueError, OSError):  # loading the model reports the error
        return True
    return isinstance(values, dict) and {"format", "generator", "mel"} <= values.keys()
