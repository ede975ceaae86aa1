"""The description of a project's checkpoints, and of one converted checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vocoder.features.mel import MelSpec
from vocoder.importers.common.settings import ProjectSettings
from vocoder.importers.common.weights import Naming, Weights


class Checkpoint(NamedTuple):
    """A checkpoint of another project: its file, the weights in it, and its settings."""

    path: Path
    weights: Weights
    settings: ProjectSettings


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A checkpoint in our terms: the generator to build, its mel, its weights and their names.

    `weights` are the parameters in the file, without buffers that we compute; `naming` maps our
    name of a weight to the name in the file.
    """

    generator: dict[str, Any]
    mel: MelSpec
    weights: Weights
    naming: Naming


@dataclass(frozen=True, kw_only=True)
class Project:
    """A checkpoint format: how to recognise it by the names of weights, and how to convert it.

    `settings` are the usual names of its configuration file; none if the weights are sufficient.
    """

    title: str
    settings: tuple[str, ...]
    recognises: Callable[[Weights], bool]
    convert: Callable[[Checkpoint], Conversion]
