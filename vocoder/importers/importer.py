"""Conversion of another project's checkpoint to a model of ours."""

from pathlib import Path
from typing import NamedTuple

from vocoder.build import build
from vocoder.checkpoint import ModelConfig
from vocoder.errors import CheckpointError
from vocoder.generators.base import Generator
from vocoder.importers import (
    ap_bwe,
    bigvgan,
    eben,
    hifi_sr,
    hifigan,
    hifigan_bwe,
    hiftnet,
    parallel_wavegan,
    transformers,
    vocos,
)
from vocoder.importers.common.project import Checkpoint, Project
from vocoder.importers.common.settings import find_settings
from vocoder.importers.common.training_state import Start, read_start
from vocoder.importers.common.weights import Weights, find_file, fit, read, unwrap

PROJECTS = (
    ap_bwe.PROJECT,
    bigvgan.PROJECT,
    eben.PROJECT,
    hifi_sr.PROJECT,
    hifigan.PROJECT,
    hifigan_bwe.PROJECT,
    hiftnet.PROJECT,
    parallel_wavegan.PROJECT,
    vocos.PROJECT,
    transformers.PROJECT,
)


class Imported(NamedTuple):
    """A converted checkpoint: the generator, its configuration, and the state to fine-tune from."""

    generator: Generator
    config: ModelConfig
    start: Start | None


def import_checkpoint(
    path: Path, *, config: Path | None = None, discriminators: Path | None = None
) -> Imported:
    """Convert a checkpoint file, or a directory with one, of a project recognised by its weights.

    `config` is its configuration file, if that is not beside it under its usual name.
    `discriminators` is the file with the discriminators and the optimizers, where the project has
    one. No code in any of these is run. Raises CheckpointError or ConfigError, which name the file
    and what is wrong.
    """
    file = find_file(path)
    weights = unwrap(read(file), file)
    project = _recognise(weights, file)
    checkpoint = Checkpoint(file, weights, find_settings(file, project.settings, config))
    conversion = project.convert(checkpoint)
    generator = build(conversion.generator, str(checkpoint.settings.path))
    names = fit(generator, conversion.weights, conversion.naming, str(file))
    start = None
    if discriminators:
        start = read_start(discriminators, weights, generator, names)
    model = ModelConfig(
        name=file.resolve().parent.name,
        mel=conversion.mel,
        generator=conversion.generator,
        training={"imported": {"format": project.title, "file": file.name}},
    )
    return Imported(generator.eval(), model, start)


def _recognise(weights: Weights, file: Path) -> Project:
    for project in PROJECTS:
        if project.recognises(weights):
            return project
    titles = ", ".join(project.title for project in PROJECTS)
    raise CheckpointError(
        f"{file}: a checkpoint of no known project (weights: {', '.join(list(weights)[:4])}, …); "
        f"known are {titles}"
    )
