"""Descriptions of models, and audits, as tables for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from vocoder.data.audit import Audit
from vocoder.data.manifest import SPLITS
from vocoder.features.mel import PRESETS

_SHOWN_PROBLEMS = 30


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
