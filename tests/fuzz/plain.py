"""Mutations of plain values, as in JSON and YAML: types, sizes, keys and targets."""

import copy
import math
from functools import cache
from random import Random
from typing import Any

SCALARS: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2, 3, 7, 80, 255, 4096, 10**5, 10**6)
SCALARS += (10**9, 2**31, 2**63, 2**64, 10**30, -(2**63), 0.5, -0.0, 1e-300, 1e308, -1e308)
SCALARS += (math.nan, math.inf, -math.inf, "", "0", "80", "a\0b", "é", "x" * 300, "ln", "\u2028")
SCALARS += ("../x", "none", "\ud800", "cuda", "a\nb")
CONTAINERS: tuple[Any, ...] = ([], {}, [[]], [None], {"a": 1}, [1] * 1000, [[1, 2], [3]], {"": {}})
CONTAINERS += ({"0": 0}, ["x"], [-1], [0, 0, 0], [10**9], [1.5, 2.5], {"_target_": None})
TARGETS = ("vocoder.errors.VocoderError", "vocoder.features.mel.MelSpec", "vocoder.build.build")
TARGETS += ("vocoder.checkpoint.ModelConfig", "vocoder.data.manifest.Clip", "torch.optim.AdamW")
TARGETS += (
    "vocoder.inference.vocoder.Vocoder",
    "vocoder.io.audio.AudioInfo",
    "os.system",
    "vocoder",
)
TARGETS += (
    "vocoder.build.inspect",
    "vocoder.generators.base.Generator",
    "vocoder.no.Such",
    ".",
    "",
)
TARGETS += ("vocoder.cli.app.app", "vocoder.losses.objective.Objective", "torch.optim.Optimizer")
TARGETS += (
    "vocoder.cli.pipe.Health",
    "vocoder.data.audit.Audit",
    "vocoder.cli.options.AudioFormat",
)


@cache
def targets() -> tuple[str, ...]:
    """Classes that a configuration may name, with those that do not belong into one."""
    from vocoder import discriminators, features, generators, losses, nn

    names = [
        f"{getattr(package, name).__module__}.{name}"
        for package in (discriminators, features, generators, losses, nn)
        for name in package.__all__
    ]
    return (*TARGETS, *names)


def mutate(rng: Random, values: Any) -> Any:
    """A copy of plain values in which one to three places are changed."""
    holder = [copy.deepcopy(values)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        spots = [(holder, 0), *_spots(holder[0])]
        container, key = rng.choice(spots[1:] if len(spots) > 1 and rng.random() < 0.98 else spots)
        _change(rng, container, key)
        holder = holder or [None]  # all of it has been removed
    return holder[0]


def _spots(values: Any) -> list[tuple[Any, Any]]:
    """All (container, key) below some values; of long lists, the first few."""
    found: list[tuple[Any, Any]] = []
    pending = [values]  # no recursion: an earlier change may have nested them deeply
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            keys: list[Any] = list(each)
        else:
            keys = list(range(min(len(each), 4))) if isinstance(each, list) else []
        found += [(each, key) for key in keys]
        pending += [each[key] for key in keys]
    return found


def _change(rng: Random, container: Any, key: Any) -> None:
    action = rng.randrange(12)
    if key in ("_target_", "target", "class_path") and action < 9:
        container[key] = rng.choice(targets())
    elif action < 5:
        container[key] = rng.choice(SCALARS)
    elif action < 7:
        container[key] = copy.deepcopy(rng.choice(CONTAINERS))
    elif action == 7 and isinstance(container, dict):
        container[rng.choice(("x", "_partial_", "_args_", "_recursive_", "", "self"))] = True
    elif action == 8:
        del container[key]
    elif action == 9:
        container[key] = _other_type(container[key])
    elif action == 10:
        container[key] = {"_target_": rng.choice(targets()), "_partial_": rng.random() < 0.3}
    else:
        for _ in range(rng.choice((1, 10, 200))):
            container[key] = [container[key]] if rng.random() < 0.5 else {"a": container[key]}


def _other_type(value: Any) -> Any:
    """The same content with another type, as files of other programs have it."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        return {str(index): each for index, each in enumerate(value)}
    if isinstance(value, str):
        return [value]
    return str(value) if isinstance(value, int | float) else 0
