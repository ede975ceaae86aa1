"""The description of a project's checkpoints, and of one converted checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.settings import ProjectSettings
from vocoder.importers.common.state_dict import Weights
from vocoder.importers.common.weights import Naming


class Checkpoint(NamedTuple):
    """A checkpoint of another project: its file, the weights in it, and its settings."""

    path: Path
    weights: Weights
    settings: ProjectSettings

    def length(self, name: str) -> int:
        """The length of a weight along its first axis; raises CheckpointError if it has none."""
        weight = self.weights.get(name)
        if weight is None or not weight.ndim or not weight.numel():
            raise CheckpointError(f"{self.path}: has no {name}, or an empty one")
        return len(weight)

    def vector(self, name: str) -> list[float]:
        """The values of a weight; raises CheckpointError if it has none."""
        self.length(name)
        return [float(value) for value in self.weights[name].flatten()]


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
