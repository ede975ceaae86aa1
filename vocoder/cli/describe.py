"""Models and audits as plain values and as tables, for the terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

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
from vocoder.data.audit import Audit
from vocoder.data.manifest import SPLITS
from vocoder.errors import ConfigError
from vocoder.features.mel import PRESETS
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.advice import faster
from vocoder.inference.extender import Extender, load_extender
from vocoder.inference.runtimes.files import is_onnx, onnx_kind
from vocoder.inference.vocoder import Vocoder, load

_SHOWN_PROBLEMS = 30


def describe(name: str) -> dict[str, Any]:
    """Name, task, size, latency and configuration of a model, as plain values for JSON.

    `name` is a built-in model, its alias, or a model directory. Raises CheckpointError or
    ConfigError if there is no such model or it is damaged.
    """
    model = _load(name)
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


def _load(name: str) -> Vocoder | Extender:
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


def model_table(model: Mapping[str, Any]) -> Table:
    """Table of one description, a line per fact, without the nested configurations."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    shown = {
        **model,
        "parameters": f"{_millions(model)}, {_megabytes(model)}",
        "bytes": None,
        "runs": {**model["runs"], "faster": "\n".join(model["runs"]["faster"])},
        "streaming": _streaming_text(model["streaming"]),
        "generator": model["generator"].get("_target_"),
        "training": {k: v for k, v in model["training"].items() if k != "config"},
    }
    for key, value in _flat(shown):
        table.add_row(key, Text(str(value)))
    return table


def builtin_table(models: list[dict[str, Any]]) -> Table:
    """Table of descriptions of the built-in models, a line per model."""
    table = Table(
        caption=f"mel presets: {', '.join(sorted(PRESETS))}",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for heading in (
        "model",
        "alias",
        "task",
        "sample\nrate",
        "mel\nbands",
        "hop",
        "weights",
        "size",
    ):
        text = heading in ("model", "alias", "task")
        justify: Literal["left", "right"] = "left" if text else "right"
        table.add_column(heading, justify=justify, no_wrap=heading != "task")
    for model in models:
        mel = model.get("mel", {})
        table.add_row(
            model["name"],
            model["alias"] or "–",
            model["task"],
            f"{model['sample_rate']} Hz",
            str(mel.get("n_mels", "–")),
            str(mel.get("hop_length", "–")),
            _millions(model),
            _megabytes(model),
        )
    return table


def audit_tables(result: Audit) -> list[Table]:
    """Tables of an audit: the size of each split, and the faults of files (the first of many)."""
    splits = Table(title="usable")
    for heading in ("split", "clips", "hours", "speakers", "sample rates"):
        splits.add_column(heading, justify="right" if heading in ("clips", "hours") else "left")
    for split in SPLITS:
        clips = [clip for clip in result.clips if clip.split == split]
        hours = sum(clip.seconds for clip in clips) / 3600
        speakers = len({clip.speaker for clip in clips})
        rates = ", ".join(map(str, sorted({clip.sample_rate for clip in clips})))
        splits.add_row(split, str(len(clips)), f"{hours:.3f}", str(speakers), rates)
    problems = Table(title="problems")
    for heading in ("file", "problem", "kept"):
        problems.add_column(heading, overflow="fold")
    for problem in result.problems[:_SHOWN_PROBLEMS]:
        explanation = Text(f"{problem.kind}: {problem.explanation}")
        problems.add_row(Text(str(problem.path)), explanation, "no" if problem.excluded else "yes")
    if len(result.problems) > _SHOWN_PROBLEMS:
        problems.caption = f"and {len(result.problems) - _SHOWN_PROBLEMS} more"
    return [splits, problems] if result.problems else [splits]


def _streaming_text(streaming: Mapping[str, Any]) -> dict[str, str]:
    if "refused" in streaming:
        return dict(streaming)
    field, steps = streaming["receptive_field"], streaming["steps"]
    return {
        "lookahead": f"{streaming['lookahead']} {steps}, {streaming['lookahead_ms']} ms",
        "latency": f"{streaming['latency']} samples, {streaming['latency_ms']} ms",
        "receptive_field": f"all {steps} before" if field is None else f"{field} {steps}",
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and len(value) > 8:  # such as a mean for every band
            yield f"{prefix}{key}", f"{len(value)} values"
        elif value not in (None, "", []):
            yield f"{prefix}{key}", value


def _millions(model: Mapping[str, Any]) -> str:
    return f"{model['parameters'] / 1e6:.2f} M"


def _megabytes(model: Mapping[str, Any]) -> str:
    return f"{model['bytes'] / 1e6:.1f} MB"
