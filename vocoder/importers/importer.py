"""Conversion of another project's checkpoint to a model of ours."""

from pathlib import Path
from typing import NamedTuple

from vocoder.checkpoint import ModelConfig
from vocoder.checks.budget import build_network
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
    melgan,
    nsf,
    parallel_wavegan,
    speechbrain,
    transformers,
    vocos,
)
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.settings import find_settings
from vocoder.importers.common.state_dict import Weights, parts, unwrap
from vocoder.importers.common.training_state import Start, read_start
from vocoder.importers.common.unsupported import unsupported
from vocoder.importers.common.weights import find_file, fit, read
from vocoder.io.defaults import Float32OnCpu

PROJECTS = (
    ap_bwe.PROJECT,
    bigvgan.PROJECT,
    eben.PROJECT,
    hifi_sr.PROJECT,
    hifigan.PROJECT,
    hifigan_bwe.PROJECT,
    hiftnet.PROJECT,
    melgan.PROJECT,
    nsf.PROJECT,
    parallel_wavegan.PROJECT,
    speechbrain.PROJECT,
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
    project, weights = _recognise(weights, file)
    checkpoint = Checkpoint(file, weights, find_settings(file, project.settings, config))
    where = str(checkpoint.settings.path)
    with Float32OnCpu():
        conversion = project.convert(checkpoint)
    _require_width(conversion, where)
    generator = build_network(conversion.generator, conversion.weights, where, kind=Generator)
    origin = f"{file}: as of {project.title}"
    names = fit(generator, conversion.weights, conversion.naming, origin)
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


def _require_width(conversion: Conversion, where: str) -> None:
    """Raise CheckpointError for channels that no weight has, before a layer of them is made."""
    widest = max(
        (size for weight in conversion.weights.values() for size in weight.shape), default=0
    )
    channels = conversion.generator.get("channels")
    if isinstance(channels, int) and channels > widest:
        raise CheckpointError(
            f"{where}: {channels} channels, but the widest weight has {widest}; "
            "these are settings of another checkpoint"
        )


def _recognise(weights: Weights, file: Path) -> tuple[Project, Weights]:
    """The project of a checkpoint, and the weights of its generator among those in the file."""
    found = [
        (project, part)
        for part in parts(weights)
        for project in PROJECTS
        if project.recognises(part)
    ]
    if len(found) == 1 or (found and found[0][1] is weights):
        project, part = found[0]
        if part is not weights or not unsupported(weights):
            return project, part
    names = f"weights: {', '.join(list(weights)[:4])}, …"
    known = next(filter(None, map(unsupported, parts(weights))), None)
    if found and not known:
        titles = "; ".join(f"{project.title} ({next(iter(part))}, …)" for project, part in found)
        raise CheckpointError(f"{file}: holds several generators: {titles}; save one of them alone")
    if known:
        raise CheckpointError(f"{file}: {known} ({names}); it is not imported")
    titles = ", ".join(project.title for project in PROJECTS)
    raise CheckpointError(f"{file}: a checkpoint of no known project ({names}); known are {titles}")
