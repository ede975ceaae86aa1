"""What a model is and how it runs here, as plain values."""

from pathlib import Path
from typing import Any

from vocoder.build import find_class
from vocoder.checkpoint import (
    ALIASES,
    GRIFFIN_LIM,
    WEIGHTS_NAME,
    builtin_models,
    find_model,
    is_builtin,
    load_config,
)
from vocoder.errors import ConfigError
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.advice import faster
from vocoder.inference.extender import Extender, load_extender
from vocoder.inference.runtimes.files import is_onnx, onnx_kind
from vocoder.inference.vocoder import Vocoder, load


def describe(name: str) -> dict[str, Any]:
    """Name, task, size, latency and configuration of a model, as plain values for JSON.

    `name` is a built-in model, its alias, or a model directory. Raises CheckpointError or
    ConfigError if there is no such model or it is damaged.
    """
    return describe_model(load_any(name), name)


def describe_model(model: Vocoder | Extender, name: str) -> dict[str, Any]:
    """As `describe`, of a model that was loaded from `name`."""
    config = model.config.to_dict()
    weights = None
    if is_onnx(name):
        weights = Path(name)
    elif config["name"] != GRIFFIN_LIM:
        weights = find_model(name) / WEIGHTS_NAME
    stored = ("generator", "licences", "training", "scores")
    return {
        "name": config["name"],
        "alias": _alias(weights.parent) if weights else None,
        "task": "bandwidth extension" if isinstance(model, Extender) else "vocoding",
        "path": str(weights if is_onnx(name) else weights.parent) if weights else None,
        "sample_rate": model.sample_rate,
        "parameters": model.num_parameters,
        "bytes": weights.stat().st_size if weights else 0,
        "runs": {"path": model.network.path, "faster": faster(model)},
        "streaming": _streaming(model),
        **(
            {"cutoff_range_hz": list(model.cutoff_range)}
            if isinstance(model, Extender)
            else {"mel": config["mel"]}
        ),
        **{key: config[key] for key in stored},
    }


def _alias(directory: Path) -> str | None:
    """The other name of a built-in model, by its directory; None if it has none."""
    builtin = builtin_models()
    aliases = (alias for alias, name in ALIASES.items() if builtin.get(name) == directory)
    return next(aliases, None)


def load_any(name: str) -> Vocoder | Extender:
    """Load a vocoder or an extender, whichever the model is. Raises as `describe` does."""
    if is_onnx(name):
        return load_extender(name) if onnx_kind(name) == "extender" else load(name)
    vocodes = is_builtin(name, GRIFFIN_LIM) or not _extends(name)
    return load(name) if vocodes else load_extender(name)


def _extends(name: str) -> bool:
    generator = load_config(find_model(name)).generator
    try:
        return issubclass(find_class(str(generator.get("_target_"))), BandwidthExtender)
    except ConfigError:  # loading the model reports the error
        return False


def _streaming(model: Vocoder | Extender) -> dict[str, Any]:
    """Look-ahead and latency of a live stream, in `steps` of the input and milliseconds.

    A step is a frame of a mel, or for an extender a sample. A `receptive_field` of None is the
    whole past.
    """
    try:
        plan = model.plan()
    except ConfigError as error:
        return {"refused": str(error)}
    step = model.spec.hop_length if isinstance(model, Vocoder) else 1
    per_second = model.sample_rate / 1000
    return {
        "steps": "frames" if isinstance(model, Vocoder) else "samples",
        "lookahead": plan.lookahead,
        "lookahead_ms": round(plan.lookahead * step / per_second, 1),
        "latency": plan.latency,
        "latency_ms": round(plan.latency / per_second, 1),
        "receptive_field": plan.receptive_field,
    }


def describe_builtin() -> list[dict[str, Any]]:
    """Descriptions, as of one model, of every model that ships with the package."""
    return [describe(name) for name in (*builtin_models(), GRIFFIN_LIM)]
