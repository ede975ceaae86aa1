"""How a run begins that has no state of its own: from a model, and the opponents it had."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, RAdam

from vocoder.build import find_class
from vocoder.checkpoint import ModelConfig, find_model, load_model, load_start, load_weights
from vocoder.discriminators.verdict import Discriminators
from vocoder.errors import CheckpointError, ConfigError
from vocoder.training.side import Side
from vocoder.training.state import States, changed_settings
from vocoder.training.system import System

log = logging.getLogger(__name__)
Moments = Mapping[str, Mapping[str, Tensor]]  # weight → "step", "exp_avg", "exp_avg_sq" of Adam
_LONGEST = 40  # characters of a value that an error message quotes


def begin(
    start: str,
    *,
    system: System,
    generator: Mapping[str, Any],
    average: nn.Module,
    discriminators: Discriminators,
    sides: Mapping[str, Side],
) -> None:
    """Give a run the weights of the model `start`, and say in the log what it took over.

    The generator and its `average` take the model's weights; its mel, and the settings of its
    generator (here `generator`), must be those of the system. Where the model directory holds a
    `start.pt`, or lies in the folder of a run of ours (then its newest state serves), members of
    the discriminators take the weights of those of the same name, and optimizers of Adam's kind the
    moments of all weights taken over. What has no counterpart starts fresh; steps count from 0.

    ConfigError or CheckpointError if settings differ, or what has the same name has another shape.
    """
    directory = find_model(start)
    model, config = load_model(directory)
    _check_settings(config, system, generator, directory)
    for network in (system.generator, average):
        load_weights(network, model.state_dict(), str(directory))
    origin, given = _opponents(directory)
    members, moments = given.get("discriminators", {}), given.get("optimizers", {})
    known = [name for name in discriminators if name in members]
    for name in known:
        _load_member(discriminators[name], members[name], f"{origin}: discriminators.{name}")
    log.info(
        "started from %s (%s steps): generator; discriminators: %s; state of optimizers: %s",
        origin,
        given.get("steps", "unknown"),
        ", ".join(known) or "none",
        ", ".join(_continue(sides, moments, known, origin)) or "none",
    )
    if discriminators and not known and not system.trainer.discriminator_warmup:
        log.warning("untrained discriminators can spoil it; set trainer.discriminator_warmup")


def _check_settings(
    config: ModelConfig, system: System, generator: Mapping[str, Any], directory: Path
) -> None:
    """ConfigError, with the keys and what to do, unless mel and generator are the system's."""
    pairs = {
        "mel": (config.mel.to_dict(), system.mel.to_dict()),
        "generator": (_with_defaults(config.generator), _with_defaults(generator)),
    }
    for part, (theirs, ours) in pairs.items():
        different = changed_settings(theirs, ours, f"{part}.")
        if different:
            said = [f"{key} is {_short(a)}, not {_short(b)}" for key, (a, b) in different.items()]
            raise ConfigError(
                f"trainer.start={directory}: its {part} is not this system's: "
                f"{'; '.join(said[:5])}{' …' if said[5:] else ''}; choose the system of that model "
                f"(it is called {config.name!r}), or these values"
            )


def _load_member(judge: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    try:
        load_weights(judge, weights, origin)
    except CheckpointError as error:
        raise ConfigError(f"{error}; choose the discriminators of that training") from error


def _with_defaults(node: Any) -> Any:
    """Settings with the defaults of their classes written out: equal if they mean the same."""
    if isinstance(node, list | tuple):
        return [_with_defaults(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    settings = {key: _with_defaults(value) for key, value in node.items()}
    if "_target_" not in node:
        return settings
    parameters = inspect.signature(find_class(node["_target_"])).parameters.values()
    defaults = {p.name: _with_defaults(p.default) for p in parameters if p.default is not p.empty}
    return defaults | settings


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _opponents(directory: Path) -> tuple[Path, dict[str, Any]]:
    """Where the rest of a training is that ended in this model, and what: empty if it is lost."""
    start = load_start(directory)
    if start is not None:
        return directory, start
    found = States(directory.resolve().parent / "states", keep=1).newest()
    if found is None:
        return directory, {}
    path, state = found
    members: dict[str, dict[str, Tensor]] = {}
    for key, value in state["discriminators"].items():
        member, _, name = key.partition(".")
        members.setdefault(member, {})[name] = value
    moments = {name: _by_name(saved) for name, saved in state["optimizers"].items()}
    return path, {"discriminators": members, "optimizers": moments, "steps": state["step"]}


def _by_name(state: Mapping[str, Any]) -> Moments:
    """What an optimizer's state dictionary, made from named parameters, holds for each."""
    names = [name for group in state["param_groups"] for name in group.get("param_names", ())]
    return {name: state["state"][i] for i, name in enumerate(names) if i in state["state"]}


def _continue(
    sides: Mapping[str, Side], moments: Mapping[str, Moments], known: Sequence[str], origin: Path
) -> list[str]:
    """Let optimizers continue, for discriminators the `known` ones alone; returns which did."""
    continued = []
    for name, side in sides.items():
        own = moments.get(name, {})
        if name == "discriminators":
            own = {key: moment for key, moment in own.items() if key.split(".")[0] in known}
        if own and _put_moments(side, own, f"{origin}: optimizers.{name}"):
            continued.append(f"{name} ({len(own)} of {len(side.names)} weights)")
    return continued


def _put_moments(side: Side, moments: Moments, origin: str) -> bool:
    """Let the optimizer of `side` continue from moments; False if it is not of their kind.

    Weights that `moments` does not name start fresh.
    """
    amsgrad = any(group.get("amsgrad") for group in side.optimizer.param_groups)
    kept = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])]
    complete = all({"step", *kept} <= moment.keys() for moment in moments.values())
    if not complete or not isinstance(side.optimizer, Adam | AdamW | RAdam):
        return False
    shapes = dict(zip(side.names, (p.shape for p in side.parameters), strict=True))
    for name, moment in moments.items():
        if any(moment[key].shape != shapes.get(name) for key in kept):
            raise CheckpointError(f"{origin}: {name} is not a weight here, or has another shape")
    state = side.optimizer.state_dict()
    state["state"] = {
        side.names.index(name): {
            "step": torch.tensor(float(moment["step"])),
            **{key: moment[key] for key in kept},
        }
        for name, moment in moments.items()
    }
    side.optimizer.load_state_dict(state)
    return True
