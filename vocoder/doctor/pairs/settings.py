"""Which other mel settings explain a mel, given the recording of the same words."""

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vocoder.doctor.mels.recording import distinct_specs, variations
from vocoder.doctor.pairs.timing import Timing, best_lag
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.features.mel_conversion import differences
from vocoder.features.mel_values.readings import stated_nepers
from vocoder.io.audio import resample_soxr

_PLAUSIBLE = 0.3  # nepers of a mel beside the recording's from which other settings are tried
_BETTER = 0.6  # of the distance by the stated settings
_CLOSE = 0.36  # nepers; a lower voice looks like another f_max, but 0.47 off
_SAME_RATE = 0.01  # relative difference of frame rates
_VALUES = ("log", "log_floor", "mean", "scale", "power", "power_floor")


class OtherSettings(NamedTuple):
    """Settings by which a mel fits its recording better than by those that are stated."""

    spec: MelSpec
    fields: dict[str, tuple[Any, Any]]
    """What differs: name → (of the mel, as stated)."""
    distance: float
    """Mean absolute difference to the recording's mel by these settings, in nepers."""
    stated: float
    """The same by the stated settings."""

    @property
    def words(self) -> str:
        """The fields that differ, and the evidence."""
        listed = ", ".join(f"{name} {a} (not {b})" for name, (a, b) in self.fields.items())
        return f"{listed}: {self.distance:.2f} Np off the recording's mel, else {self.stated:.2f}"


def other_settings(
    given: Tensor, audio: Tensor, spec: MelSpec, timing: Timing
) -> OtherSettings | None:
    """Settings other than `spec` that explain a mel in nepers; None if none is clearly better.

    Shape: given [M, F'], audio [T] at the sample rate of `spec`.
    """
    own = _nepers(audio, spec, spec.sample_rate)
    stated = _distance(given[:, timing.index], own)
    rate_differs = timing.straight and abs(timing.ratio - 1.0) > _SAME_RATE
    if stated < _PLAUSIBLE and not rate_differs:
        return None
    found = [
        (distance + 0.02 * len(_fields(candidate, spec)), candidate, distance)
        for candidate in _candidates(spec)
        if (distance := _explained(given, audio, spec, candidate, timing)) is not None
    ]
    if not found:
        return None
    _, best, distance = min(found, key=lambda each: each[0])
    if distance > _CLOSE or not (rate_differs or distance < _BETTER * stated):
        return None
    return OtherSettings(best, _fields(best, spec), distance, stated)


def _fields(candidate: MelSpec, spec: MelSpec) -> dict[str, tuple[Any, Any]]:
    found = differences(candidate, spec)
    return {name: pair for name, pair in found.items() if name not in _VALUES}


def _candidates(spec: MelSpec) -> set[MelSpec]:
    """Presets of the same number of bands, and settings that differ in one field. No values."""
    values = {name: getattr(spec, name) for name in _VALUES}
    near = {*variations(spec), *(preset for _, preset in distinct_specs(spec.n_mels, ()))}
    # Another rate often comes with its own Nyquist frequency.
    near |= {dataclasses.replace(each, f_max=None) for each in near}
    found = {dataclasses.replace(each, **values) for each in near if each.power == spec.power}
    return found - {spec}


def _explained(
    given: Tensor, audio: Tensor, spec: MelSpec, candidate: MelSpec, timing: Timing
) -> float | None:
    """Distance of a mel by candidate settings; None where the times do not fit them."""
    rate = candidate.sample_rate / candidate.hop_length * spec.hop_length / spec.sample_rate
    if not timing.straight and abs(rate - 1.0) > _SAME_RATE:
        return None
    if timing.straight and abs(rate / timing.ratio - 1.0) > _SAME_RATE:
        return None
    other = _nepers(audio, candidate, spec.sample_rate)
    if not timing.straight:
        return _distance(given[:, timing.index], other)
    lag, _ = best_lag(given, other)
    return _distance(given[:, max(lag, 0) :], other[:, max(-lag, 0) :])


def _nepers(audio: Tensor, spec: MelSpec, rate: int) -> Tensor:
    """The mel of mono audio at a rate by a spec, in nepers. Shape: [T] → [M, F]."""
    samples = resample_soxr(audio, rate, spec.sample_rate)
    return stated_nepers(MelSpectrogram(spec)(samples[None, None])[0], spec)


def _distance(given: Tensor, own: Tensor) -> float:
    """Mean absolute difference in nepers where the recording is audible, less the level."""
    frames = min(given.shape[1], own.shape[1])
    given, own = given[:, :frames], own[:, :frames]
    difference = (given - own)[own > own.max() - 6.5]
    if not len(difference):
        return torch.inf
    return float((difference - difference.median()).abs().clamp_max(3.0).mean())
