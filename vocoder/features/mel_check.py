"""What a mel probably is, told from its values: for mels that do not say how they were made.

Audio in [-1, 1] bounds the energy of a frame, and the fluctuations of its log magnitudes from frame
to frame and band to band, the range and the level are similar in all recordings. So a mel that
is read with another logarithm, offset or scale than it was made with is implausible, and among all
readings the right one is the most plausible. A mel passes unless its values are impossible as
stated, or are as unlikely as another reading is likely.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vocoder.features.mel import MelSpec
from vocoder.features.mel_analysis import (
    MelAnalysis,
    MelProperties,
    analysis_of,
    cost_of,
    scaled,
    statistics_cost,
)
from vocoder.features.mel_readings import Reading, other_readings, stated_nepers
from vocoder.io.defaults import Float32OnCpu

_PLAUSIBLE = 20.0  # cost up to which another reading is named
_FRAMES, _BLOCKS = 160, 4  # at most this many frames are looked at, in so many pieces


@dataclass(frozen=True)
class Diagnosis:
    """Why a mel is not what it was taken for, and what it probably is."""

    likely: str
    """What the values probably are, in a few words."""
    normalisation: str | None
    """Its name in `NORMALISATIONS`; None if it has none, as for statistics of a training set."""
    explanation: str
    """One clause for a message, with the option that helps."""


_OTHER_RECORDING = Diagnosis(
    "the mel of something else",
    None,
    "is not the mel of this recording by these settings; was it made from another one, or with "
    "another filterbank?",
)


def check_mel(mel: Tensor, spec: MelSpec) -> Diagnosis | None:
    """Tell what a mel probably is if it is no mel of `spec`; None if it can be one.

    It sees wrong logarithms, offsets and scales, and no other settings. Shape: [M, F].
    """
    sample = _sample(mel.detach()).float()
    with Float32OnCpu():
        analysis = analysis_of(spec)
    nepers = stated_nepers(sample, spec)
    properties = analysis.properties(nepers[: analysis.bands])
    floor = math.log(spec.log_floor) / spec.power
    below = (nepers < floor - 1.2).float().mean().item()
    impossible = below > 0.05 or properties.loud > 2.3 or _too_steady(properties)
    narrow = _too_narrow(properties) and nepers.min().item() > floor + 2.0
    cost = cost_of(properties)
    if not impossible and properties.loud < analysis.limit and cost < 8.0:
        return None
    likely, other_cost, piled = _best(sample, spec, analysis)
    if narrow and not impossible:
        return _diagnosis(likely if other_cost < _PLAUSIBLE else _SCALED, spec)
    if impossible or (
        likely and properties.loud > analysis.limit + 0.15 and cost > other_cost + 5.0
    ):
        return _diagnosis(likely, spec)
    if likely is None or properties.fluctuation is None or properties.smoothness is None:
        return None
    if ((nepers - floor).abs() < 1e-4).sum() >= 3:  # silence has the value that it should have
        return None
    odd = likely is not _STATISTICS and not 0.68 < properties.fluctuation < 1.8
    # A smooth mel, as acoustic models predict them, fluctuates less than recordings do.
    other_cost += ((properties.smoothness - 0.60) / 0.06) ** 2
    if piled:  # as silence does by the other reading: no correct mel has these values by chance
        return _diagnosis(likely, spec) if other_cost < 30.0 and cost - other_cost > 8.0 else None
    strong = 6.0 if properties.loud > analysis.limit else 0.0
    clear = other_cost < 8.0 + strong and cost - other_cost > 14.0 - strong
    clear = clear or (other_cost < 12.0 and cost - other_cost > 40.0)
    return _diagnosis(likely, spec) if (odd or strong) and clear else None


def compare_mels(mel: Tensor, own: Tensor, spec: MelSpec) -> Diagnosis | None:
    """Tell what a mel probably is if it is not of `spec`, as `own`, the mel of its recording, is.

    None if it can be a mel of the recording, also one that an acoustic model predicted. A few
    frames more or less and another level make no difference. Shapes: [M, F], [M, F'].
    """
    mel = mel.detach().float()
    target = stated_nepers(own.detach().float(), spec)
    lowest, highest = mel.min().item(), mel.max().item()
    stated = _distance(stated_nepers(mel, spec), target, spec)
    best, least = None, math.inf
    for reading in other_readings(lowest, highest, spec):
        distance = _distance(reading.nepers(mel), target, spec)
        if distance < least:
            best, least = reading, distance
    distance = _statistics_distance(mel, target, spec)
    if distance < least - 0.1:
        best, least = _STATISTICS, distance
    if best is not None and least < 1.2 and least < 0.75 * stated - 0.1:
        return _diagnosis(best, spec)
    return None if stated < 1.8 else _OTHER_RECORDING


def _distance(nepers: Tensor, target: Tensor, spec: MelSpec) -> float:
    """Mean absolute difference of two mels in nepers, less part of that of their levels."""
    floor = math.log(spec.log_floor) / spec.power
    least = math.inf
    for shift in (-1, 0, 1):
        frames = min(nepers.shape[1] - max(shift, 0), target.shape[1] - max(-shift, 0))
        if frames < 1:
            continue
        ours = nepers[:, max(shift, 0) :][:, :frames].clamp_min(floor)
        theirs = target[:, max(-shift, 0) :][:, :frames]
        difference = ours - theirs
        level = difference.median()
        distance = (difference - level).abs().mean() + 0.3 * level.abs()
        least = min(least, distance.item())
    return least


def _statistics_distance(mel: Tensor, target: Tensor, spec: MelSpec) -> float:
    """Distance of values with mean 0 and deviation 1 in every band, given those of the target."""
    if mel.shape[1] < 16 or abs(mel.mean().item()) > 1.0 or not 0.4 < mel.std().item() < 1.6:
        return math.inf
    mean, deviation = target.mean(dim=1, keepdim=True), target.std(dim=1, keepdim=True)
    own_mean, own_deviation = mel.mean(dim=1, keepdim=True), mel.std(dim=1, keepdim=True)
    if (own_mean.std() > 0.4) | (own_deviation.std() > 0.4):
        return math.inf
    values = (mel - own_mean) / own_deviation.clamp_min(1e-3)
    return _distance(values * deviation + mean, target, spec)


def sampled_parts(frames: int) -> list[tuple[int, int]]:
    """First frame and end of each part of a mel of so many frames that `check_mel` looks at."""
    if frames <= _FRAMES:
        return [(0, frames)]
    length = _FRAMES // _BLOCKS
    starts = [round(i * (frames - length) / (_BLOCKS - 1)) for i in range(_BLOCKS)]
    return [(start, start + length) for start in starts]


def _sample(mel: Tensor) -> Tensor:
    """At most 160 frames of a mel, in pieces spread over it. Shape: [M, F] → [M, f]."""
    return torch.cat([mel[:, begin:end] for begin, end in sampled_parts(mel.shape[1])], dim=1)


def _too_steady(properties: MelProperties) -> bool:
    """Whether every value is as loud as full-scale noise, or nearly, and steadier than noise."""
    steady = (properties.fluctuation or properties.range / 8.0) < 0.12
    return steady and properties.quiet > -0.35 and properties.low > -0.5


def _too_narrow(properties: MelProperties) -> bool:
    """Whether levels change as in speech, but all values lie closer together than those of noise.

    No recording has that; one that was scaled to a range such as [-1, 1] does.
    """
    level, fluctuation = properties.loud - properties.quiet, properties.fluctuation or 0.0
    near = properties.range < 2.0 and properties.tilt < 0.4 and 0.06 < fluctuation < 0.35
    return near and level > 0.15 * properties.range


_STATISTICS = Reading("normalised by statistics of a training set", None, 1.0)
_SCALED = Reading("scaled to a range such as [-1, 1]", None, 1.0)


def _best(mel: Tensor, spec: MelSpec, analysis: MelAnalysis) -> tuple[Reading | None, float, bool]:
    """The most plausible other reading, its cost, and whether values pile up at its floor."""
    lowest, highest = mel.min().item(), mel.max().item()
    found: tuple[Reading | None, float, bool] = (None, math.inf, False)
    least = math.inf
    measured: dict[bool, tuple[Tensor, MelProperties]] = {}
    for reading in other_readings(lowest, highest, spec):
        if reading.logarithm not in measured:
            values = reading.values(mel)[: analysis.bands]
            measured[reading.logarithm] = values, analysis.properties(values)
        values, properties = measured[reading.logarithm]
        quiet, loud = analysis.levels(reading.slope * values + reading.offset)
        if loud > analysis.limit + 0.6:
            continue
        cost = 10.0 * max(loud - analysis.limit, 0.0) + cost_of(
            scaled(properties, reading, quiet, loud, analysis.noise.mean().item())
        )
        piled = _piled(mel, lowest, reading)
        if cost - 8.0 * piled < least:
            found, least = (reading, cost, piled), cost - 8.0 * piled
    cost = statistics_cost(mel[: analysis.bands], analysis)
    return (_STATISTICS, cost, False) if cost < least else found


def _piled(mel: Tensor, lowest: float, reading: Reading) -> bool:
    """Whether the lowest value is that of silence by a reading, and occurs at least three times."""
    if abs(lowest - reading.pile) > 1e-4 * max(1.0, abs(reading.pile)):
        return False
    return int((mel <= lowest + 1e-5).sum()) >= 3


def _diagnosis(reading: Reading | None, spec: MelSpec) -> Diagnosis:
    if reading is None:
        return Diagnosis(
            "values that no audio has by these settings",
            None,
            "has values that no audio has by these settings; was it made with another logarithm "
            "or normalisation? --preset or --normalisation says which",
        )
    if reading.name is not None:
        help_ = f"--normalisation {reading.name}"
    elif reading in (_STATISTICS, _SCALED):
        help_ = "--normalisation FILE, with mean and scale of the bands (stats.h5, stats.npy)"
    else:
        help_ = "make it of magnitudes, which do not follow from powers"
    return Diagnosis(
        reading.title, reading.name, f"is probably {reading.title}, not {_name(spec)}: {help_}"
    )


def _name(spec: MelSpec) -> str:
    """The values of a mel of `spec` in a few words."""
    name = {"ln": "natural logarithms", "log10": "decimal logarithms", "db": "dB"}.get(
        spec.log, "magnitudes"
    )
    return f"{name} with mean and scale" if spec.mean or spec.scale else name
