"""What an array is before anything is known of its settings: kind, layout, order of the bands."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.doctor.examination import Finding
from vocoder.features.mel import PRESETS

_USUAL_BANDS = {spec.n_mels for spec in PRESETS.values()} | {40, 60, 64, 120, 160, 256}
_MOST_BANDS = 257  # more are bins of an FFT
_UPSIDE_DOWN = 0.4  # of `_rise`, where recordings have about -1.5


@dataclass(frozen=True)
class MelContent:
    """A mel [M, F] of finite numbers, bands first, low ones first, and what was found on the way.

    `mel` is None if the array is no mel; `what` then says what it is instead. `usable` is whether
    `vocoder vocode` takes the array as it is: one mel without NaN.
    """

    mel: Tensor | None
    what: str
    findings: tuple[Finding, ...]
    usable: bool


def content_of(array: Tensor | NDArray[Any], bands: int | None) -> MelContent:
    """Tell whether an array is a mel, and return it as [M, F].

    `bands` is the number of bands that is expected, where both axes could be the bands.
    """
    kind = str(array.dtype).removeprefix("torch.")
    shape = Finding("array", f"{kind}, shape {list(array.shape)}")
    audio = _audio(array)
    if audio:
        advice = "to make a mel of it: save it as a WAV file, then vocoder mel FILE.wav"
        return MelContent(
            None, "audio, not a mel", (Finding(shape.name, audio, "problem", advice),), False
        )
    values = _numbers(array)
    if values is None or values.ndim not in (2, 3) or values.numel() == 0:
        what = "not a mel, which has the shape [bands, frames] or [1, bands, frames]"
        return MelContent(None, what, (Finding("array", shape.value, "problem"),), False)
    findings = [shape]
    if values.ndim == 3 and len(values) > 1:
        count = len(values)
        findings.append(
            Finding(
                "batch",
                f"{count} mels in one array; the first is examined",
                "problem",
                "write each to a file of its own",
            )
        )
    mel = values[0] if values.ndim == 3 else values
    mel, layout = _bands_first(mel, bands)
    findings.append(layout)
    mel, finite = _finite(mel)
    findings += finite
    if len(mel) > _MOST_BANDS or mel.shape[1] == 0:
        what = "no finite frame" if mel.shape[1] == 0 else "bins of an FFT, not mel bands"
        return MelContent(None, what, tuple(findings), False)
    usable = not any(finding.severity == "problem" for finding in findings)
    return MelContent(mel, "a mel", tuple(findings), usable)


def _audio(array: Tensor | NDArray[Any]) -> str | None:
    """Why an array is audio; None if it can be a mel."""
    shape = [size for size in array.shape if size != 1]
    kind = str(array.dtype).removeprefix("torch.")
    if len(shape) == 1 and array.ndim <= 3 and shape[0] > 400:
        return f"{kind}, shape {list(array.shape)}: one row of {shape[0]} samples"
    if len(shape) == 2 and min(shape) == 2 and max(shape) > 400:
        return f"{kind}, shape {list(array.shape)}: two channels of {max(shape)} samples"
    return None


def _numbers(array: Tensor | NDArray[Any]) -> Tensor | None:
    """The numbers of an array as float32, NaN and infinities kept; None if it holds others."""
    if isinstance(array, np.ndarray):
        if array.dtype.kind not in "fiu":
            return None
        return torch.from_numpy(np.ascontiguousarray(array.astype(np.float32)))
    return None if array.is_complex() or array.dtype == torch.bool else array.detach().float().cpu()


def _bands_first(mel: Tensor, bands: int | None) -> tuple[Tensor, Finding]:
    """The mel with bands first, and how that was told."""
    rows, columns = mel.shape
    known = {bands} if bands in (rows, columns) else _USUAL_BANDS
    if (rows in known) != (columns in known):
        first, why = rows in known, f"{rows if rows in known else columns} is a number of bands"
    else:
        first, why = _smoother_in_time(mel), "neighbours along the frames share most samples"
    if first:
        return mel, Finding("layout", f"[bands, frames]: {rows} bands, {columns} frames ({why})")
    value = f"[frames, bands]: {columns} bands, {rows} frames ({why})"
    return mel.T.contiguous(), Finding("layout", value, "ok")


def _smoother_in_time(mel: Tensor) -> bool:
    """Whether values change less along the second axis than along the first."""
    if min(mel.shape) < 8:
        return mel.shape[0] > mel.shape[1]
    finite = mel.nan_to_num(0.0, 0.0, 0.0)

    def near(values: Tensor) -> float:
        step = (values[:, 1:] - values[:, :-1]).abs().mean()
        return (step / (values[:, 3:] - values[:, :-3]).abs().mean().clamp_min(1e-9)).item()

    return near(finite) < near(finite.T)


def _finite(mel: Tensor) -> tuple[Tensor, list[Finding]]:
    """The frames without NaN and infinities, and what was left out."""
    bad = ~mel.isfinite()
    if not bad.any():
        return mel, []
    frames = ~bad.any(dim=0)
    where = "" if frames.any() else "; every frame has some"
    count, share = int(bad.sum()), bad.float().mean().item()
    value = f"{count} values ({share:.0%}), in {int((~frames).sum())} of {mel.shape[1]} frames"
    finding = Finding(
        "NaN, infinity",
        value + where,
        "problem",
        "the logarithm of zero, or a diverged model? clip magnitudes at 1e-5 before the logarithm",
    )
    if frames.float().mean() > 0.2 or bad.all():
        return mel[:, frames].contiguous(), [finding]
    return _filled(mel, ~bad), [finding]


def _filled(mel: Tensor, good: Tensor) -> Tensor:
    """The bands that have good values, with the last good one in place of each other."""
    mel, good = mel[good.any(dim=1)], good[good.any(dim=1)]
    index = torch.arange(mel.shape[1]).expand_as(mel)
    last = torch.where(good, index, -1).cummax(dim=1).values
    first = good.int().argmax(dim=1, keepdim=True)
    return mel.gather(1, torch.where(last < 0, first, last))


def upside_down(values: Tensor) -> bool:
    """Whether the bands of a mel run from high to low. `values` are logarithms. Shape: [M, F].

    Recordings have less energy at high frequencies, and low bands, which hold few bins, fluctuate
    more than high ones.
    """
    if len(values) < 12 or values.shape[1] < 16:
        return False
    return _rise(values) > _UPSIDE_DOWN


def _rise(values: Tensor) -> float:
    """Rise of level from low to high bands, plus that of the fluctuation, in deviations."""
    scaled = (values - values.mean()) / values.std().clamp_min(1e-6)
    means = scaled.mean(dim=1)
    position = torch.linspace(-1.0, 1.0, len(means))
    level = ((means - means.mean()) * position).mean() / position.square().mean()
    inside = scaled > scaled.min() + 1e-5
    inside = inside[:, 4:] & inside[:, :-4]
    steps = (scaled[:, 4:] - scaled[:, :-4]).diff(dim=0).abs()
    inside = inside[1:] & inside[:-1]
    third = len(steps) // 3
    low, high = steps[:third][inside[:third]], steps[-third:][inside[-third:]]
    if len(low) < 20 or len(high) < 20:
        return level.item()
    fluctuation = (high.median() + 0.02).log() - (low.median() + 0.02).log()
    return (level + fluctuation).item()
