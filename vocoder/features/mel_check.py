"""What a mel probably is, told from its values: for mels that do not say how they were made.

Audio in [-1, 1] bounds the energy of a frame, and the fluctuations of its log magnitudes from frame
to frame and band to band, the range and the level are similar in all recordings. So each way to
read the values has a likelihood, and the right one is nearly always the most likely. A mel passes
unless its values are impossible as stated, or another reading is far more likely.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.features.mel import MelSpec
from vocoder.features.mel_values.analysis import MelAnalysis, MelProperties, analysis_of, scaled
from vocoder.features.mel_values.likelihood import mel_likelihood, normalised_likelihood
from vocoder.features.mel_values.readings import (
    SCALED,
    STATISTICS,
    Reading,
    other_readings,
    stated_nepers,
    stated_slope,
)
from vocoder.io.defaults import Float32OnCpu

_FRAMES, _BLOCKS = 160, 4  # at most this many frames are looked at, in so many pieces
_CLEAR = 5.5  # log odds of another reading from which a mel is refused
_ENOUGH = 40  # frames from which that suffices
_ODD = -14.0  # likelihood of a reading below which it is no better than any other
_SILENCE = 8.0  # what the value of silence, three times or more, adds to the log odds
_QUIETEST = math.log(1e-5)  # nepers; as the usual log floor, by which likelihoods were measured
_STATED = 2.0  # log odds that values are what they should be
_LINEAR = 6.0  # and what a logarithm of the values adds
_LIKELY_UNIT = 40.0  # and both ends of [-1, 1] or [0, 1] to those of values scaled to it


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
_TWICE = Diagnosis(
    "logarithms of logarithms",
    None,
    "is probably the logarithm of a log-mel, not {name}: take the logarithm once",
)


class ScoredReading(NamedTuple):
    """A reading of the values of a mel, and its log odds; None is the reading of the spec."""

    reading: Reading | None
    score: float


def check_mel(mel: Tensor, spec: MelSpec) -> Diagnosis | None:
    """Tell what a mel probably is if it is no mel of `spec`; None if it can be one.

    It sees wrong logarithms, offsets and scales, and no other settings. Shape: [M, F].
    """
    mel = mel.detach().float()
    with Float32OnCpu():
        analysis = analysis_of(spec)
    nepers = stated_nepers(_sample(mel), spec)
    properties = analysis.properties(nepers[: analysis.bands])
    floor = math.log(spec.log_floor) / spec.power
    below = (nepers < floor - 1.2).float().mean().item()
    impossible = below > 0.05 or properties.loud > 2.3 or _too_steady(properties)
    if logarithm_twice(_sample(mel)):
        return dataclasses.replace(_TWICE, explanation=_TWICE.explanation.format(name=_name(spec)))
    if not impossible and ((nepers - floor).abs() < 1e-4).sum() >= 3 and not _unit(mel):
        return None  # silence has the value that it should have
    ranked = _ranked(mel, spec, properties)
    others = [each for each in ranked if each.reading is not None]
    if impossible:
        return _diagnosis(others[0].reading if others else None, spec)
    stated = next(each.score for each in ranked if each.reading is None)
    best = ranked[0]
    few = max(1.0, _ENOUGH / mel.shape[1])  # frames tell less
    margin = few * _CLEAR if properties.fluctuation is not None else 3.0 * _CLEAR
    clear = best.score - stated > margin and best.score > _ODD
    if best.reading is None or not clear or (_steady(properties) and not _unit(mel)):
        return None
    return _diagnosis(best.reading, spec)


def rank_readings(mel: Tensor, spec: MelSpec) -> list[ScoredReading]:
    """All ways to read the values of a mel, `spec`'s among them, the most likely first.

    Scores are logarithms of odds. Shape: [M, F].
    """
    mel = mel.detach().float()
    with Float32OnCpu():
        analysis = analysis_of(spec)
    nepers = stated_nepers(_sample(mel), spec)[: analysis.bands]
    return _ranked(mel, spec, analysis.properties(nepers))


def _ranked(mel: Tensor, spec: MelSpec, stated: MelProperties) -> list[ScoredReading]:
    """The readings of `rank_readings`, given the properties of that of the spec."""
    with Float32OnCpu():
        analysis = analysis_of(spec)
    sample = _sample(mel)
    nepers = stated_nepers(sample, spec)[: analysis.bands]
    found = [ScoredReading(None, _stated_score(nepers, stated, spec, analysis))]
    lowest, highest = mel.min().item(), mel.max().item()
    plain = sample[: analysis.bands]
    as_stated = torch.equal(plain, nepers)  # natural logarithms of magnitudes
    measured = {False: (plain, stated if as_stated else analysis.properties(plain))}
    for reading in other_readings(lowest, highest, spec):
        if reading.logarithm not in measured:
            values = reading.values(sample)[: analysis.bands]
            measured[reading.logarithm] = values, analysis.properties(values)
        score = _score(reading, *measured[reading.logarithm], analysis)
        if _piled(mel, lowest, reading):
            score += _SILENCE
        if reading is SCALED and _unit(mel):
            score += _LIKELY_UNIT
        found.append(ScoredReading(reading, score))
    score = (
        normalised_likelihood(measured[False][1], analysis.noise.mean().item()) + STATISTICS.odds
    )
    found.append(ScoredReading(STATISTICS, score))
    return sorted(found, key=lambda each: -each.score)


def _stated_score(
    nepers: Tensor, properties: MelProperties, spec: MelSpec, analysis: MelAnalysis
) -> float:
    """Log odds of the reading that a spec states, from its nepers [bands, F] and properties."""
    slope = stated_slope(spec)
    likely = mel_likelihood(properties, slope)
    if nepers.min() < _QUIETEST:
        clipped = analysis.properties(nepers.clamp_min(_QUIETEST))
        likely = max(likely, mel_likelihood(clipped, slope))
    return likely + _STATED


def _score(
    reading: Reading, values: Tensor, properties: MelProperties, analysis: MelAnalysis
) -> float:
    """Log odds of a reading, from what is linear in nepers and its properties."""
    nepers = reading.slope * values + reading.offset
    quiet, loud = analysis.levels(nepers)
    if loud > analysis.limit + 0.6:
        return -math.inf
    noise = analysis.noise.mean().item()
    if nepers.min() < _QUIETEST - 1.0 and not reading.logarithm:
        properties = analysis.properties(nepers.clamp_min(_QUIETEST))
    else:
        properties = scaled(properties, reading, quiet, loud, noise)
    score = mel_likelihood(properties, reading.slope)
    # Linear values spread over decades: their density is that of their logarithms by the values.
    return score + reading.odds + (_LINEAR if reading.logarithm else 0.0)


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
        best, least = STATISTICS, distance
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


def _steady(properties: MelProperties) -> bool:
    """Whether all frames are about as loud, as those of noise and tones: no scale to go by."""
    return properties.loud - properties.quiet < 0.15 * properties.range


def _too_steady(properties: MelProperties) -> bool:
    """Whether every value is as loud as full-scale noise, or nearly, and steadier than noise."""
    steady = (properties.fluctuation or properties.range / 8.0) < 0.12
    return steady and properties.quiet > -0.35 and properties.low > -0.5


def _unit(mel: Tensor) -> bool:
    """Whether values fill [-1, 1] or [0, 1] exactly."""
    lowest, highest = mel.min().item(), mel.max().item()
    return abs(highest - 1.0) < 1e-5 and min(abs(lowest), abs(lowest + 1.0)) < 1e-5


def logarithm_twice(mel: Tensor) -> bool:
    """Whether values are logarithms of a log-mel: all but the loudest were negative, and clipped.

    Shape: [M, F].
    """
    lowest, highest = mel.min(), mel.max()
    inside = mel > lowest + 1e-4
    few = 2 <= inside.sum() < 0.6 * mel.numel() and inside.float().mean(dim=1).max() < 0.8
    # A lower floor lies under the noise of 16-bit audio, and has a gap above it anyway.
    clipped = any(abs(lowest - floor) < 1e-3 for floor in (math.log(1e-5), -5.0))
    if not clipped or highest - lowest < 4.0 or mel.shape[1] < 8 or not few:
        return False
    return bool((mel[inside] < highest - 0.6 * (highest - lowest)).float().mean() < 0.03)


def _piled(mel: Tensor, lowest: float, reading: Reading) -> bool:
    """Whether the lowest value is that of silence by a reading, and occurs at least three times."""
    if not any(abs(lowest - pile) <= 1e-4 * max(1.0, abs(pile)) for pile in reading.piles):
        return False
    # Part by part: what is allocated does not grow with the mel.
    parts: tuple[Tensor, ...] = torch.split(mel, _FRAMES, dim=1)
    return sum(int((part <= lowest + 1e-5).sum()) for part in parts) >= 3


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
    elif reading in (STATISTICS, SCALED):
        help_ = "--normalisation FILE, with mean and scale of the bands (stats.h5, stats.npy)"
        if reading is SCALED:
            help_ = f"--normalisation gpt_sovits if it is of GPT-SoVITS, else {help_[16:]}"
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
