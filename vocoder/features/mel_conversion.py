"""Compare mel settings, and convert mels between them where that is exact."""

import dataclasses
import math
from typing import Any

from torch import Tensor

from vocoder.errors import MelMismatchError
from vocoder.features.mel import MelSpec


def differences(source: MelSpec, target: MelSpec) -> dict[str, tuple[Any, Any]]:
    """Fields in which two specs differ: name → (source, target)."""
    pairs = {
        field.name: (getattr(source, field.name), getattr(target, field.name))
        for field in dataclasses.fields(MelSpec)
    }
    pairs["f_max"] = (source.top_hz, target.top_hz)
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def convert(mel: Tensor, source: MelSpec, target: MelSpec) -> Tensor:
    """Convert `mel` from one spec to another where that is exact, otherwise raise MelMismatchError.

    Exact are changes of the base of the logarithm, of the per-band mean and scale, and to a higher
    log floor (the mel is clamped to it). A lower log floor is accepted where the source's is
    inaudible, as those of Tacotron are: what it clamped stays there. Shape: [..., M, F] → same.
    """
    differing = differences(source, target)
    exact = {"log", "mean", "scale"}
    if source.log_floor <= target.log_floor or _inaudible(source):
        exact.add("log_floor")
    lost = {name: pair for name, pair in differing.items() if name not in exact}
    if lost:
        listed = ", ".join(f"{name} {pair[0]} (model: {pair[1]})" for name, pair in lost.items())
        raise MelMismatchError(f"the mel was made with {listed}; make it with the model's settings")
    return target.compress(source.expand(mel)) if differing else mel


def _inaudible(spec: MelSpec) -> bool:
    """Whether the log floor lies 96 dB, as in 16-bit audio, under the largest possible values."""
    return spec.log_floor <= math.pow(10.0, -4.8 * spec.power) * min(spec.largest)


def layout(mel: Tensor, spec: MelSpec) -> Tensor:
    """Return `mel` with bands before frames, its last two axes swapped if only that fits `spec`.

    Raises MelMismatchError for what is no mel of `spec.n_mels` bands.
    Shape: [M, F], [F, M], or a batch → [..., M, F].
    """
    shape = list(mel.shape)
    if mel.ndim not in (2, 3):
        raise MelMismatchError(
            f"a mel has the shape [{spec.n_mels}, F] or [B, {spec.n_mels}, F]; this one has {shape}"
        )
    if mel.numel() == 0:
        raise MelMismatchError(f"the mel is empty (shape {shape})")
    if spec.n_mels not in shape[-2:]:
        raise MelMismatchError(
            f"the mel has the shape {shape}, but n_mels is {spec.n_mels}; "
            "make it with the model's settings"
        )
    return mel if shape[-2] == spec.n_mels else mel.transpose(-1, -2)
