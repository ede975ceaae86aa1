"""Discriminators and optimizers of other projects, from which a fine-tuning run continues.

HiFi-GAN's `do_02500000` and its descendants hold {"mpd", "msd" or "mrd", "optim_g", "optim_d",
"steps", "epoch"}. The optimizers number parameters in the order of the networks' state dicts
without the buffers.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vocoder.checks.budget import build_network
from vocoder.dsp.resolutions import RESOLUTIONS
from vocoder.errors import CheckpointError
from vocoder.importers.common.state_dict import Weights, has, unwrap, without
from vocoder.importers.common.weights import fit, read, shaped

# In every project the optimizer has the other ensemble before the multi-period one.
_ENSEMBLES = ("msd", "mrd", "mpd")
# Networks that are not imported have the same names: part of a weight's name → what they are.
_OTHERS = {
    ".band_convs.": "mbd, a multi-band discriminator",
    ".conv_post.scale": "a slicing adversarial (SAN) discriminator",
    "discriminators.0.discriminators.": "the spectrogram discriminator of HiFTNet",
}
_BUFFERS = (
    r"(.*\.)?(filter|cqt_transform\..*|resample\.kernel"
    r"|running_mean|running_var|num_batches_tracked)"
)
# A rate and a hop that allow any number of octaves: weights determine neither.
_ANY_RATE = 1 << 20

Moments = dict[str, dict[str, Tensor]]


class Start(NamedTuple):
    """The state to fine-tune from, for `save_model`, and the discriminators that it leaves out."""

    state: dict[str, Any]
    left_out: list[str]


def read_start(
    path: Path, weights: Weights, generator: nn.Module, names: Mapping[str, str]
) -> Start:
    """Read the state of discriminators and optimizers from `path`, under our names.

    `weights` are those of the generator in the order of its file, and `names` maps their names to
    those in `generator`. The state is {"discriminators": {member: state dict},
    "optimizers": {"generator": moments, "discriminators": moments}, "steps": int}, with moments
    {parameter: {"step", "exp_avg", "exp_avg_sq"}}. Raises CheckpointError for what does not fit.
    """
    content = read(path)
    if not isinstance(content, Mapping) or not {"mpd", "optim_g", "optim_d"} <= content.keys():
        raise CheckpointError(
            f"{path}: not a file of discriminators and optimizers (mpd, optim_g, optim_d)"
        )
    saved = {name: unwrap(content[name], path) for name in _ENSEMBLES if name in content}
    files = {_own_name(name, file): without(file, _BUFFERS) for name, file in saved.items()}
    others = {name: _other(file) for name, file in files.items()}
    ensemble = nn.ModuleDict()
    own_names: dict[str, str] = {}
    for name in (name for name, other in others.items() if not other):
        ensemble[name] = _member(name, files[name], path)
        fitted = fit(ensemble[name], files[name], str, f"{path}: {name}")
        own_names |= {f"{name}.{file}": f"{name}.{own}" for file, own in fitted.items()}
    every = {f"{name}.{key}": value for name, file in files.items() for key, value in file.items()}
    state = {
        "discriminators": {name: member.state_dict() for name, member in ensemble.items()},
        "optimizers": {
            "generator": _moments(content, "optim_g", path, weights, generator, names),
            "discriminators": _moments(content, "optim_d", path, every, ensemble, own_names),
        },
        "steps": _steps(content, path),
    }
    return Start(state, [f"{name} ({other})" for name, other in others.items() if other])


def _steps(content: Mapping[str, Any], path: Path) -> int:
    steps = content.get("steps", 0)
    if not isinstance(steps, int | np.integer) or not 0 <= steps < 1 << 40:
        raise CheckpointError(f"{path}: steps is {steps!r:.40}, which is no number of steps")
    return int(steps)


def _own_name(name: str, weights: Weights) -> str:
    """BigVGAN v2 keeps the constant-Q ensemble under the name of the one that it replaced."""
    return "cqtd" if has(weights, "discriminators.0.conv_pres.") else name


def _other(weights: Iterable[str]) -> str | None:
    found = [what for part, what in _OTHERS.items() if any(part in name for name in weights)]
    return found[0] if found else None


def _member(name: str, weights: Weights, path: Path) -> nn.Module:
    """Our ensemble of discriminators, of the size of the weights."""
    first = weights.get("discriminators.0.convs.0.bias")
    if first is None or first.ndim != 1:
        raise CheckpointError(f"{path}: {name} has no discriminators.0.convs.0.bias")
    count = len({key.split(".")[1] for key in weights if "." in key})
    octaves = Counter(re.findall(r"\.(\d+)\.conv_pres\.\d+\.bias", " ".join(weights)))
    targets: dict[str, tuple[str, dict[str, Any]]] = {
        "mpd": ("period.MultiPeriod", {"periods": [1] * count}),
        "msd": ("scale.MultiScale", {"scales": count}),
        "mrd": ("spectral.resolution.MultiResolution", {"resolutions": RESOLUTIONS[:1] * count}),
        "cqtd": (
            "spectral.cqt.MultiScaleCQT",
            {
                "sample_rate": _ANY_RATE,
                "hop_lengths": [_ANY_RATE] * count,
                "octaves": [max(octaves[str(scale)], 1) for scale in range(count)],
                "bins_per_octave": [1] * count,
            },
        ),
    }
    target, arguments = targets[name]
    node = {"_target_": f"vocoder.discriminators.{target}", **arguments, "channels": len(first)}
    member: nn.Module = build_network(node, weights, f"{path}: {name}", kind=nn.Module)
    return member


def _moments(
    content: Mapping[str, Any],
    key: str,
    path: Path,
    weights: Weights,
    model: nn.Module,
    names: Mapping[str, str],
) -> Moments:
    """Adam's moments by our name of the parameter, for the parameters of `model`."""
    parameters = [name for name in weights if not _is_buffer(name, weights)]
    ours = dict(model.named_parameters())
    try:
        states = content[key]["state"]
        count = sum(len(group["params"]) for group in content[key]["param_groups"])
        if count != len(parameters):
            raise CheckpointError(
                f"{path}: {key} has {count} parameters, but the networks have {len(parameters)}"
            )
        moments = {}
        for index in states:
            name = parameters[index] if index >= 0 else ""
            if names.get(name) in ours:
                like = ours[names[name]]
                moments[names[name]] = _moment(states[index], like, f"{path}: {key}: {name}")
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: {key} is not the state of an Adam optimizer") from error
    return moments


def _moment(values: Mapping[str, Any], like: Tensor, origin: str) -> dict[str, Tensor]:
    names = ("exp_avg", "exp_avg_sq")
    if any(values[name].is_complex() or not values[name].isfinite().all() for name in names):
        raise CheckpointError(f"{origin}: holds moments that are no finite real numbers")
    averages = {name: shaped(values[name].float(), like) for name in names}
    wrong = [name for name, value in averages.items() if value.shape != like.shape]
    if wrong:
        raise CheckpointError(
            f"{origin}: {wrong[0]} has the shape {list(averages[wrong[0]].shape)}, "
            f"but the parameter {list(like.shape)}"
        )
    return {"step": torch.tensor(float(values["step"])), **averages}


def _is_buffer(name: str, weights: Weights) -> bool:
    layer, _, kind = name.rpartition(".")
    spectral = kind in ("weight_u", "weight_v") and f"{layer}.weight_orig" in weights
    return spectral or bool(re.fullmatch(_BUFFERS, name))
