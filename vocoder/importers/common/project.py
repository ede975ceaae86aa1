"""What the file of a project says about its checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vocoder.features.mel import MelSpec
from vocoder.importers.common.settings import ProjectSettings
from vocoder.importers.common.weights import Naming, Weights


class Checkpoint(NamedTuple):
    """The file that was named, the weights in it, and the settings that go with it."""

    path: Path
    weights: Weights
    settings: ProjectSettings


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A checkpoint in our terms: a generator to build, what its weights are called, its mel.

    `weights` are those of the file that are parameters; buffers that we compute are left out.
    """

    generator: dict[str, Any]
    mel: MelSpec
    weights: Weights
    naming: Naming


@dataclass(frozen=True, kw_only=True)
class Project:
    """A checkpoint format: how to recognise it by the names of weights, and how to convert it.

    `settings` are the usual names of its configuration file; none if the weights say everything.
    """

    title: str
    settings: tuple[str, ...]
    recognises: Callable[[Weights], bool]
    convert: Callable[[Checkpoint], Conversion]
