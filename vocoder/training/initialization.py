"""Initialization of a run from a saved model and from the discriminators it was trained with."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, RAdam

from vocoder.checkpoint import START_NAME, find_model, load_model, load_start, load_weights
from vocoder.discriminators.output import Discriminators
from vocoder.errors import CheckpointError, ConfigError
from vocoder.training.model_optimizer import ModelOptimizer
from vocoder.training.states import TrainingStates
from vocoder.training.system import System

log = logging.getLogger(__name__)
Moments = Mapping[str, Mapping[str, Tensor]]  # weight → "step", "exp_avg", "exp_avg_sq" of Adam


def initialize_from(
    model: str,
    *,
    system: System,
    ema: nn.Module,
    discriminators: Discriminators,
    optimizers: Mapping[str, ModelOptimizer],
) -> None:
    """Load a saved model into the networks and optimizers of a new run, and log what was loaded.

    The generator and its average `ema` take the model's weights. If the model directory holds a
    `start.pt`, or lies in the folder of a run of ours (then its newest state is used),
    discriminators take the weights of those of the same name, and optimizers of Adam's kind the
    moments of all weights that were loaded. Everything else keeps its random weights; steps count
    from 0.

    Raises ConfigError or CheckpointError if two of the same name differ in shape.

    Args:
        model: Model directory or name of a built-in model.
        system: The system of the run, whose generator is initialized.
        ema: Averaged generator of the run.
        discriminators: Discriminators of the run.
        optimizers: Optimizers of the run: "generator" and, with discriminators, "discriminators".
    """
    directory = find_model(model)
    generator, _ = load_model(directory)
    for network in (system.generator, ema):
        load_weights(network, generator.state_dict(), str(directory))
    origin, saved = _discriminator_state(directory)
    members, moments = saved.get("discriminators", {}), saved.get("optimizers", {})
    shared = [name for name in discriminators if name in members]
    for name in shared:
        _load_member(discriminators[name], members[name], f"{origin}: discriminators.{name}")
    log.info(
        "started from %s: generator; from %s: discriminators: %s; state of optimizers: %s",
        directory,
        origin,
        ", ".join(shared) or "none",
        ", ".join(_load_optimizers(optimizers, moments, shared, origin)) or "none",
    )
    if discriminators and not shared and not system.trainer.discriminator_warmup:
        log.warning(
            "untrained discriminators can degrade the generator; add fine_tuning=generator_only"
        )


def _load_member(discriminator: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    try:
        load_weights(discriminator, weights, origin)
    except CheckpointError as error:
        raise ConfigError(f"{error}; choose the discriminators of that training") from error


def _discriminator_state(directory: Path) -> tuple[Path, dict[str, Any]]:
    """Discriminators and optimizer moments saved with a model, and the path they come from.

    The result has the keys "discriminators" and "optimizers", or is empty if none were saved.
    """
    start = load_start(directory)
    if start is not None:
        return directory / START_NAME, start
    found = TrainingStates(directory.resolve().parent / "states", keep=1).newest()
    if found is None:
        return directory, {}
    path, state = found
    members: dict[str, dict[str, Tensor]] = {}
    for key, value in state["discriminators"].items():
        member, _, name = key.partition(".")
        members.setdefault(member, {})[name] = value
    moments = {name: _moments_by_name(saved) for name, saved in state["optimizers"].items()}
    return path, {"discriminators": members, "optimizers": moments}


def _moments_by_name(state: Mapping[str, Any]) -> Moments:
    """Moments from an optimizer's state dictionary, by the names of its parameters."""
    names = [name for group in state["param_groups"] for name in group.get("param_names", ())]
    return {name: state["state"][i] for i, name in enumerate(names) if i in state["state"]}


def _load_optimizers(
    optimizers: Mapping[str, ModelOptimizer],
    moments: Mapping[str, Moments],
    members: Sequence[str],
    origin: Path,
) -> list[str]:
    """Load moments into optimizers; returns, for the log, how many weights of which have some.

    Of the discriminators, only the moments of `members` are loaded.
    """
    loaded = []
    for name, optimizer in optimizers.items():
        selected = moments.get(name, {})
        if name == "discriminators":
            selected = {key: m for key, m in selected.items() if key.split(".")[0] in members}
        if selected and _load_moments(optimizer, selected, f"{origin}: optimizers.{name}"):
            loaded.append(f"{name} ({len(selected)} of {len(optimizer.names)} weights)")
    return loaded


def _load_moments(optimizer: ModelOptimizer, moments: Moments, origin: str) -> bool:
    """Load moments into an optimizer; returns False if it is not of the kind that has them.

    Weights that `moments` does not name have none.
    """
    amsgrad = any(group.get("amsgrad") for group in optimizer.optimizer.param_groups)
    keys = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])]
    complete = all({"step", *keys} <= moment.keys() for moment in moments.values())
    if not complete or not isinstance(optimizer.optimizer, Adam | AdamW | RAdam):
        return False
    shapes = dict(zip(optimizer.names, (p.shape for p in optimizer.parameters), strict=True))
    for name, moment in moments.items():
        if any(moment[key].shape != shapes.get(name) for key in keys):
            raise CheckpointError(f"{origin}: {name} is not a weight here, or has another shape")
    state = optimizer.optimizer.state_dict()
    state["state"] = {
        optimizer.names.index(name): {
            "step": torch.tensor(float(moment["step"])),
            **{key: moment[key] for key in keys},
        }
        for name, moment in moments.items()
    }
    optimizer.optimizer.load_state_dict(state)
    return True
