"""Checks of the fields of a `MelSpec`: types, ranges, and what they demand of each other."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from vocoder.errors import ConfigError

_CHOICES = {
    "mel_scale": ("slaney", "htk"),
    "norm": ("slaney", "none"),
    "log": ("ln", "log10", "db", "linear"),
    "padding": ("same", "center"),
    "power": (1, 2),
}
_LARGEST = {
    "sample_rate": 2**24,
    "n_fft": 2**20,
    "win_length": 2**20,
    "hop_length": 2**20,
    "n_mels": 2**14,
}
# What keeps float32 values finite, with room to spare.
_RANGES = {
    "f_min": (0.0, 2.0**23),
    "f_max": (0.0, 2.0**23),
    "power_floor": (0.0, 1e6),
    "log_floor": (1e-30, 1e6),
    "mean": (-1e6, 1e6),
    "scale": (1e-6, 1e6),
}
_MAX_FILTER_VALUES = 2**24  # bands times bins: 64 MiB as a matrix


def checked_fields(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a MelSpec in their types; raises ConfigError, which names one that is wrong.

    A single number for mean or scale is repeated for every band.
    """
    fields = dict(values)
    for name, allowed in _CHOICES.items():
        known = isinstance(fields[name], (str, int, float)) and not isinstance(fields[name], bool)
        if not known or fields[name] not in allowed:
            raise ConfigError(f"mel.{name} is {_shown(fields[name])}; choose from {allowed}")
    for name, largest in _LARGEST.items():
        fields[name] = _whole(name, fields[name], largest)
    for name in ("f_min", "power_floor", "log_floor"):
        _in_range(name, fields[name])
    if fields["f_max"] is not None:
        _in_range("f_max", fields["f_max"])
    _require_agreement(fields)
    for name in ("mean", "scale"):
        fields[name] = _per_band(name, fields[name], fields["n_mels"])
    return fields


def _is_number(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and value == value  # NaN does not equal itself


def _whole(name: str, value: Any, largest: int) -> int:
    if not _is_number(value) or abs(value) == math.inf or value != int(value):
        raise ConfigError(f"mel.{name} is {_shown(value)}; it is a whole number")
    if value < 1:
        raise ConfigError(f"mel.{name} is {_shown(value)}; it must be positive")
    if value > largest:
        raise ConfigError(f"mel.{name} is {_shown(value)}; at most {largest} is possible")
    return int(value)


def _in_range(name: str, value: Any) -> None:
    low, high = _RANGES[name]
    if not _is_number(value):
        raise ConfigError(f"mel.{name} is {_shown(value)}; it is a number")
    if name in ("log_floor", "scale") and value <= 0.0:
        raise ConfigError(f"mel.{name} is {_shown(value)}; it must be positive")
    if not low <= value <= high:
        raise ConfigError(f"mel.{name} is {_shown(value)}; it must lie from {low:g} to {high:g}")


def _require_agreement(fields: dict[str, Any]) -> None:
    rate, n_fft, n_mels = fields["sample_rate"], fields["n_fft"], fields["n_mels"]
    win_length, hop_length = fields["win_length"], fields["hop_length"]
    if win_length > n_fft:
        raise ConfigError(f"mel.win_length {win_length} is longer than n_fft {n_fft}")
    if hop_length > win_length:
        raise ConfigError(
            f"mel.hop_length {hop_length} is longer than win_length {win_length}, "
            "samples between frames would be lost"
        )
    bins = n_fft // 2 + 1
    if n_mels > bins or n_mels * bins > _MAX_FILTER_VALUES:
        raise ConfigError(f"mel.n_mels {n_mels} is too many for n_fft {n_fft}")
    low, high = fields["f_min"], rate / 2 if fields["f_max"] is None else fields["f_max"]
    if not 0.0 <= low < high <= rate / 2:
        raise ConfigError(
            f"mel band {low}–{high} Hz does not fit below {rate / 2} Hz (sample_rate / 2)"
        )


def _per_band(name: str, value: Any, n_mels: int) -> tuple[float, ...]:
    value = value.tolist() if hasattr(value, "tolist") else value  # NumPy and torch
    if isinstance(value, numbers.Real):
        _in_range(name, value)
        return (float(value),) * n_mels
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise ConfigError(f"mel.{name} is {_shown(value)}; it is a number, or one for each band")
    if len(value) not in (0, n_mels):
        raise ConfigError(f"mel.{name} has {len(value)} values, not {n_mels}")
    for each in value:
        _in_range(name, each)
    return tuple(value)


def _shown(value: Any) -> str:
    """A value in a message, cut short if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or a deep list
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= 40 else f"{text[:37]}…"
