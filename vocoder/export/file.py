"""ONNX files of models: what they say about themselves, and how they are read.

Beside the graph a file holds the model's config.json and what the toolkit must know to run it, as
metadata in JSON, so that `vocoder.load("x.onnx")` needs nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vocoder.checkpoint import ModelConfig
from vocoder.checks.arguments import check
from vocoder.errors import CheckpointError, ConfigError, VocoderError
from vocoder.io.untrusted import first_line, parse_json

SUFFIX = ".onnx"
FORMAT = 1
_MOST_BYTES = (2 << 30) - 1  # of any file in this format
_CONFIG, _FACTS = "vocoder.config", "vocoder.export"
STEP = "step.chunk"  # in the metadata of streaming steps
_MOST_HOP = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """What an exported network does with lengths, for whoever runs it without its source."""

    kind: str
    """"vocoder" or "extender"."""
    features: list[str]
    """Names of the inputs."""
    hop_length: int
    """Samples of a frame."""
    fewer_samples: int = 0
    """By how many samples the audio is shorter than its frames."""
    reach: list[int] | None = None
    """Steps of hop_length before and after a step on which its audio depends; None if unbounded."""
    streams: bool = True
    """Whether the network can stream at all."""
    parameters: int = 0
    """Number of weights."""
    cutoff_range: list[float] | None = None
    """Of an extender: lowest and highest cutoff in Hz."""
    resampling: dict[str, Any] | None = None
    """Of an extender: its resampling filter."""
    format: int = FORMAT
    """Version of this format."""


def add_metadata(model: Any, config: ModelConfig, facts: ExportFacts) -> None:
    """Write the configuration and the facts into an ONNX model, in place."""
    set_metadata(model, config, {_FACTS: asdict(facts)})


def set_metadata(model: Any, config: ModelConfig, more: Mapping[str, Any]) -> None:
    """Write the configuration and more entries into an ONNX model, in place."""
    from onnx import helper

    from vocoder import __version__

    readable = {
        "name": config.name,
        "sample_rate": config.mel.sample_rate,
        "mel": config.mel.to_dict(),
        "licences": config.licences,
        _CONFIG: config.to_dict(),
        **more,
    }
    model.producer_name, model.producer_version = "vocoder", __version__
    text = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in readable.items()
    }
    helper.set_model_props(model, text)


def read_onnx(path: Path) -> tuple[bytes, ModelConfig, ExportFacts]:
    """Read an ONNX file of ours, checked. Raises CheckpointError, which names it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    return content, *parse_onnx(content, str(path))


def parse_onnx(content: bytes, origin: str) -> tuple[ModelConfig, ExportFacts]:
    """Check an ONNX model of ours, and return its metadata; raises CheckpointError."""
    if len(content) > _MOST_BYTES:
        raise CheckpointError(f"{origin}: larger than 2 GiB; not read")
    model = _parsed(content, origin)
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if STEP in texts:
        raise CheckpointError(
            f"{origin}: a streaming step, which StepRunner runs; export without --stream to load it"
        )
    if _CONFIG not in texts or _FACTS not in texts:
        raise CheckpointError(
            f"{origin}: an ONNX model without our metadata; `vocoder export` writes those we read"
        )
    _require_plain(model, origin)
    try:
        config = ModelConfig.from_dict(_mapping(texts[_CONFIG], origin), f"{origin}: config")
        facts = _facts(_mapping(texts[_FACTS], origin), origin)
    except CheckpointError:
        raise
    except VocoderError as error:
        raise CheckpointError(str(error)) from error
    inputs = [value.name for value in model.graph.input]
    if inputs != facts.features or len(model.graph.output) != 1:
        raise CheckpointError(f"{origin}: its inputs {inputs} are not those of its metadata")
    return config, facts


def _parsed(content: bytes, origin: str) -> Any:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ConfigError(f"{origin} needs onnx: pip install 'vocoder[onnx]'") from error
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, and what it raises for bad text
        raise CheckpointError(f"{origin}: not an ONNX model ({first_line(error)})") from error


def _require_plain(model: Any, origin: str) -> None:
    """Raise CheckpointError for what an exported network never has and a reader need not trust."""
    domains = {entry.domain for entry in model.opset_import}
    domains |= {node.domain for node in model.graph.node}
    domains -= {"", "ai.onnx"}
    if domains or model.functions:
        known = ", ".join(sorted(domains)) or "its own functions"
        raise CheckpointError(f"{origin}: operators of {known}; only those of ONNX are run")
    sparse = bool(model.graph.sparse_initializer)
    values = [*model.graph.initializer]
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise CheckpointError(f"{origin}: graphs inside {node.op_type}; not run")
            values += [attribute.t, *attribute.tensors]
            sparse |= attribute.HasField("sparse_tensor") or bool(attribute.sparse_tensors)
    if sparse or any(v.external_data or v.data_location == v.EXTERNAL for v in values):
        raise CheckpointError(f"{origin}: weights in other files, or sparse ones; not read")


def _mapping(text: str, origin: str) -> dict[str, Any]:
    values = parse_json(text, f"{origin}: metadata")
    if not isinstance(values, dict):
        raise CheckpointError(f"{origin}: its metadata is not a mapping")
    return values


def _facts(values: dict[str, Any], origin: str) -> ExportFacts:
    version = values.get("format")
    if version != FORMAT:
        raise CheckpointError(
            f"{origin}: export format {version!r:.40}, but this release reads {FORMAT}; "
            "update vocoder, or export the model again"
        )
    fields = ExportFacts.__dataclass_fields__
    if values.keys() != fields.keys():
        raise CheckpointError(
            f"{origin}: entries {sorted(values.keys() ^ fields.keys())} of its "
            "metadata are missing or unknown"
        )
    for name, kind in ExportFacts.__annotations__.items():
        check(values[name], kind, f"{origin}: {name}")
    facts = ExportFacts(**values)
    sizes_fit = 1 <= facts.hop_length <= _MOST_HOP and 0 <= facts.fewer_samples <= _MOST_HOP
    if facts.kind not in ("vocoder", "extender") or not sizes_fit:
        raise CheckpointError(f"{origin}: impossible kind or sizes in its metadata")
    if facts.reach is not None and (len(facts.reach) != 2 or min(facts.reach) < 0):
        raise CheckpointError(f"{origin}: reach {facts.reach} in its metadata")
    return facts
