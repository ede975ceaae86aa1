"""How a run begins that has no state of its own: from a model, and the opponents it had."""

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


def begin(
    start: str,
    *,
    system: System,
    ema: nn.Module,
    discriminators: Discriminators,
    optimizers: Mapping[str, ModelOptimizer],
) -> None:
    """Give a run the weights of the model `start`, and say in the log what it took over.

    The generator and its `average` take the model's weights. Where the model directory holds a
    `start.pt`, or lies in the folder of a run of ours (then its newest state serves), members of
    the discriminators take the weights of those of the same name, and optimizers of Adam's kind the
    moments of all weights taken over. What has no counterpart starts fresh; steps count from 0.

    ConfigError or CheckpointError if what has the same name has another shape.
    """
    directory = find_model(start)
    model, _ = load_model(directory)
    for network in (system.generator, ema):
        load_weights(network, model.state_dict(), str(directory))
    origin, given = _opponents(directory)
    members, moments = given.get("discriminators", {}), given.get("optimizers", {})
    known = [name for name in discriminators if name in members]
    for name in known:
        _load_member(discriminators[name], members[name], f"{origin}: discriminators.{name}")
    log.info(
        "started from %s: generator; from %s: discriminators: %s; state of optimizers: %s",
        directory,
        origin,
        ", ".join(known) or "none",
        ", ".join(_continue(optimizers, moments, known, origin)) or "none",
    )
    if discriminators and not known and not system.trainer.discriminator_warmup:
        log.warning("untrained discriminators can spoil it; set trainer.discriminator_warmup")


def _load_member(discriminator: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    try:
        load_weights(discriminator, weights, origin)
    except CheckpointError as error:
        raise ConfigError(f"{error}; choose the discriminators of that training") from error


def _opponents(directory: Path) -> tuple[Path, dict[str, Any]]:
    """Where the rest of a training is that ended in this model, and what: empty if it is lost."""
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
    moments = {name: _by_name(saved) for name, saved in state["optimizers"].items()}
    return path, {"discriminators": members, "optimizers": moments}


def _by_name(state: Mapping[str, Any]) -> Moments:
    """What an optimizer's state dictionary, made from named parameters, holds for each."""
    names = [name for group in state["param_groups"] for name in group.get("param_names", ())]
    return {name: state["state"][i] for i, name in enumerate(names) if i in state["state"]}


def _continue(
    optimizers: Mapping[str, ModelOptimizer],
    moments: Mapping[str, Moments],
    known: Sequence[str],
    origin: Path,
) -> list[str]:
    """Let optimizers continue, for discriminators the `known` ones alone; returns which did."""
    continued = []
    for name, optimizer in optimizers.items():
        own = moments.get(name, {})
        if name == "discriminators":
            own = {key: moment for key, moment in own.items() if key.split(".")[0] in known}
        if own and _put_moments(optimizer, own, f"{origin}: optimizers.{name}"):
            continued.append(f"{name} ({len(own)} of {len(optimizer.names)} weights)")
    return continued


def _put_moments(optimizer: ModelOptimizer, moments: Moments, origin: str) -> bool:
    """Let the optimizer of `optimizer` continue from moments; False if it is not of their kind.

    Weights that `moments` does not name start fresh.
    """
    amsgrad = any(group.get("amsgrad") for group in optimizer.optimizer.param_groups)
    kept = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])]
    complete = all({"step", *kept} <= moment.keys() for moment in moments.values())
    if not complete or not isinstance(optimizer.optimizer, Adam | AdamW | RAdam):
        return False
    shapes = dict(zip(optimizer.names, (p.shape for p in optimizer.parameters), strict=True))
    for name, moment in moments.items():
        if any(moment[key].shape != shapes.get(name) for key in kept):
            raise CheckpointError(f"{origin}: {name} is not a weight here, or has another shape")
    state = optimizer.optimizer.state_dict()
    state["state"] = {
        optimizer.names.index(name): {
            "step": torch.tensor(float(moment["step"])),
            **{key: moment[key] for key in kept},
        }
        for name, moment in moments.items()
    }
    optimizer.optimizer.load_state_dict(state)
    return True
