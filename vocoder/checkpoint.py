"""Saving and loading of model directories and training states.

A model directory is `config.json` (format version, MelSpec, generator, licences, training
configuration and scores) and `model.safetensors`; an imported one may have `start.pt`,
discriminators and optimizer moments to fine-tune from. A training state is one `torch.save` file
of tensors and plain values that loads with `weights_only=True`. Both are written beside their
target and renamed, so readers get the old or the new one, complete.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vocoder.checks.arguments import check, printable
from vocoder.checks.budget import build_network
from vocoder.checks.saved_state import require_start, require_state
from vocoder.errors import CheckpointError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator
from vocoder.io.atomic import replacing_directory, replacing_file
from vocoder.io.untrusted import load_safetensors, load_torch, read_json
from vocoder.io.upgrade import upgrade_config, upgrade_state, upgrade_weights

FORMAT = 1
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
START_NAME = "start.pt"
DEFAULT, EXTENDER = "default", "extender"  # names of the models that are loaded by default
ALIASES = {DEFAULT: "source_filter_22k", EXTENDER: "band_filler_48k"}  # of the embedded models
GRIFFIN_LIM = "griffin-lim"  # built in, without weights: vocoder.inference.vocoder makes it
Result = TypeVar("Result")
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Contents of `config.json`: mel contract, network, licences, training and scores."""

    name: str
    """Name of the model."""
    mel: MelSpec
    """Input of a vocoder; of a bandwidth extender, the sample rate and the mel of validation."""
    generator: dict[str, Any]
    """Configuration of the network, for `build`."""
    licences: dict[str, Any] = field(default_factory=dict)
    """Licences of code, weights and data."""
    training: dict[str, Any] = field(default_factory=dict)
    """How the model was trained, such as its number of steps and its configuration."""
    scores: dict[str, Any] = field(default_factory=dict)
    """Scores of the model by data set."""

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values, for JSON."""
        return {"format": FORMAT, **asdict(self), "mel": self.mel.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any], origin: str) -> "ModelConfig":
        """Build from the plain values of `to_dict`, also of an earlier release.

        `origin` names the file in errors. Raises CheckpointError for another format version, and
        for missing or unknown entries, ConfigError for malformed ones.
        """
        values = dict(values)
        version = values.pop("format", None)
        if version != FORMAT:
            raise CheckpointError(
                f"{origin}: format {version!r:.40}, but this release reads format {FORMAT}; "
                "update vocoder, or import the checkpoint again"
            )
        missing = {"name", "mel", "generator"} - values.keys()
        unknown = values.keys() - cls.__dataclass_fields__.keys()
        if missing or unknown:
            raise CheckpointError(
                f"{origin}: not a model configuration (missing {sorted(missing)}, "
                f"unknown {sorted(unknown)})"
            )
        for name, value in values.items():
            check(value, str if name == "name" else Mapping[str, Any], f"{origin}: {name}")
        mel = MelSpec.from_dict(values.pop("mel"), f"{origin}: mel")
        return cls(mel=mel, **upgrade_config(values))


def builtin_models() -> dict[str, Path]:
    """Directories of the models that are part of the package, by name."""
    return {path.parent.name: path.parent for path in sorted(_ASSETS.glob(f"*/{CONFIG_NAME}"))}


def is_builtin(name: str | Path, builtin: str) -> bool:
    """Whether `name` means the built-in model of that name, and not a directory."""
    return str(name) == builtin and not _is_directory(name)


def find_model(name: str | Path) -> Path:
    """The directory of a model, given its path or the name of a built-in model.

    A name with a path separator, or of a folder with a config.json, is a path; any other is the
    name of a built-in model, or its alias. Raises CheckpointError if there is no such model.
    """
    path, builtin = Path(name), builtin_models()
    if _is_directory(name):
        return path if path.is_dir() else path.parent
    target = ALIASES.get(str(name), str(name))
    if target in builtin:
        return builtin[target]
    raise CheckpointError(
        f"{name}: no such model directory, and the built-in models are "
        f"{', '.join([GRIFFIN_LIM, *ALIASES, *builtin])}"
    )


def _is_directory(name: str | Path) -> bool:
    """Whether a name means a model directory, or a file in one, rather than a built-in model."""
    path, text = Path(name), str(name)  # os.path: Path.exists raises if a name is too long
    separated = isinstance(name, Path) or any(mark in text for mark in (os.sep, os.altsep) if mark)
    named = text in ALIASES or text == GRIFFIN_LIM or text in builtin_models()
    return os.path.exists(path) and (separated or os.path.isfile(path / CONFIG_NAME) or not named)


def save_model(
    directory: Path,
    model: nn.Module,
    config: ModelConfig,
    *,
    dtype: torch.dtype = torch.float32,
    start: dict[str, Any] | None = None,
) -> None:
    """Write a model directory atomically, replacing a model that is there.

    Raises CheckpointError if anything but a model is there, VocoderError if it cannot be written.

    Args:
        directory: Where to write.
        model: Network whose weights are saved.
        config: Contents of config.json.
        dtype: Precision of the stored weights; they are loaded in float32.
        start: Discriminators and optimizer moments to fine-tune from, as of `load_start`.
    """
    replaceable = (directory / CONFIG_NAME).is_file() or _empty(directory)
    if directory.exists() and not replaceable:
        raise CheckpointError(f"{directory}: exists and is not a model directory; not replaced")
    weights = {
        name: value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype)
        for name, value in model.state_dict().items()
    }
    weights = {name: value.contiguous().clone() for name, value in weights.items()}
    with replacing_directory(directory) as temporary:
        save_file(weights, temporary / WEIGHTS_NAME, metadata={"format": "pt"})
        text = json.dumps(config.to_dict(), indent=2, ensure_ascii=False)
        (temporary / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
        if start is not None:
            torch.save(start, temporary / START_NAME)


def load_config(directory: Path) -> ModelConfig:
    """Read the `config.json` of a model directory; raises CheckpointError if it is not valid."""
    path = directory / CONFIG_NAME
    if not os.path.isfile(path):
        raise CheckpointError(
            f"{path}: no such file; a model directory holds {CONFIG_NAME} and {WEIGHTS_NAME}"
        )
    values = _read(read_json, path)
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: not a model configuration")
    return _read(ModelConfig.from_dict, values, str(path))


def load_model(directory: Path) -> tuple[Generator, ModelConfig]:
    """Build the generator of a model directory and load its weights, in evaluation mode.

    Raises CheckpointError, which names the file, if one is missing, damaged or does not fit.
    """
    config = load_config(directory)
    path = directory / WEIGHTS_NAME
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: no such file; the model directory is incomplete")
    weights = _read(load_safetensors, path)[0]
    origin = f"{directory / CONFIG_NAME}: generator"
    try:
        generator = build_network(config.generator, weights, origin, kind=Generator)
    except VocoderError as error:
        raise CheckpointError(str(error)) from error
    except Exception as error:  # what a constructor raises for sizes that nobody thought of
        raise CheckpointError(f"{origin}: cannot be built ({_reason(error)})") from error
    assert isinstance(generator, Generator)
    load_weights(generator, weights, str(path))
    return generator.eval(), config


def load_start(directory: Path) -> dict[str, Any] | None:
    """Discriminators and optimizer moments of a model directory, to fine-tune from; None without.

    {"discriminators": {member: state dict}, "optimizers": {"generator": moments, "discriminators":
    moments}, "steps": int}, where moments are {parameter: {"step", "exp_avg", "exp_avg_sq"}} and
    the discriminators' parameters begin with the member's name. Raises CheckpointError.
    """
    path = directory / START_NAME
    if not path.exists():
        return None
    start = _read(load_torch, path, "fine-tuning state")
    require_start(start, path)
    members = {name: upgrade_weights(each) for name, each in start["discriminators"].items()}
    moments = {name: upgrade_weights(each) for name, each in start["optimizers"].items()}
    return {**start, "discriminators": members, "optimizers": moments}


def load_weights(
    model: nn.Module,
    weights: dict[str, Tensor],
    origin: str,
    *,
    shown: Callable[[str], str] = printable,
) -> None:
    """Load weights into `model`; raises CheckpointError that lists differing names and shapes.

    `origin` names the file in the message; `shown` maps the name of a weight to that in the list.
    """
    expected = model.state_dict()
    common = sorted(expected.keys() & weights.keys())
    problems = {
        "missing": sorted(expected.keys() - weights.keys()),
        "unknown": sorted(weights.keys() - expected.keys()),
        "of another shape": [n for n in common if expected[n].shape != weights[n].shape],
        "of another type": [n for n in common if not _converts(weights[n], expected[n])],
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{kind}: {', '.join(map(shown, names[:5]))}{' …' if len(names) > 5 else ''}"
            for kind, names in problems.items()
            if names
        )
        raise CheckpointError(f"{origin}: weights do not fit {type(model).__name__} ({listed})")
    model.load_state_dict(weights)
    # One sum each is faster than looking at each value; only sums of huge values overflow, too.
    sums = [value.sum(dtype=torch.float32) for value in expected.values()]
    if sums and not torch.stack(sums).isfinite().all():
        broken = [name for name in common if not weights[name].isfinite().all()]
        if broken:
            listed = ", ".join(map(shown, broken[:5])) + (" …" if len(broken) > 5 else "")
            raise CheckpointError(f"{origin}: NaN or infinite values in {listed}")


def _converts(given: Tensor, expected: Tensor) -> bool:
    """Whether a weight has a type that can be loaded: floats of 16 to 64 bits for floats."""
    return given.dtype in (_FLOATS if expected.dtype in _FLOATS else {expected.dtype})


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state to a file, atomically."""
    with replacing_file(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state; raises CheckpointError for anything but tensors and plain values."""
    state = _read(load_torch, path, "training state")
    require_state(state, path)
    try:
        return upgrade_state(state)
    except Exception as error:  # from a configuration of any form
        raise CheckpointError(f"{path}: config cannot be read ({_reason(error)})") from error


def _read(read: Callable[..., Result], *arguments: Any) -> Result:
    """The result of a reader; what it raises becomes CheckpointError."""
    try:
        return read(*arguments)
    except CheckpointError:
        raise
    except VocoderError as error:
        raise CheckpointError(str(error)) from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _empty(directory: Path) -> bool:
    return directory.is_dir() and not any(directory.iterdir())
