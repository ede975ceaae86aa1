"""The normalisation of a mel: by its values, or by the line that relates it to its recording."""

import math
from dataclasses import dataclass

from torch import Tensor

from vocoder.doctor.mels.recording import RecordingMatch
from vocoder.features.mel import NEPERS, MelSpec
from vocoder.features.mel_check import ScoredReading, logarithm_twice, rank_readings
from vocoder.features.mel_values.readings import STATISTICS, Reading, stated_nepers
from vocoder.features.normalisation import NORMALISATIONS

_ODD = -22.0  # log odds under which no reading is plausible
_LISTED = 0.03  # probability from which another reading is mentioned
_DECIBELS = 20.0 / math.log(10.0)  # in a neper
_MOST_GAIN = 40.0  # dB between recording and mel


@dataclass(frozen=True)
class MelScale:
    """How the values of a mel are to be read."""

    title: str
    name: str | None
    """Name in NORMALISATIONS; None if it has none."""
    nepers: Tensor
    """The magnitudes by this reading. Shape: [M, F]."""
    evidence: str
    """How sure it is, and what else is possible."""
    probability: float
    by_statistics: bool = False
    """Whether statistics of a training set normalised it."""
    gain: float = 0.0
    """dB by which the mel is louder than the recording, where one was given."""


def scale_by_values(mel: Tensor, spec: MelSpec) -> MelScale:
    """The most likely reading of a mel, whose stated settings are `spec`. Shape: [M, F]."""
    if logarithm_twice(mel):
        share = (mel <= mel.min() + 1e-4).float().mean().item()
        evidence = f"{percent(share)} of the values are {mel.min():.4g}, the rest far above"
        return MelScale("logarithms of logarithms", None, mel, evidence, 0.99)
    lowest = (mel <= mel.min() + 1e-5).float().mean().item()
    if lowest > 0.97:
        title = "silence, or logarithms of logarithms of a quiet recording"
        evidence = f"{percent(lowest)} of the values are {mel.min():.4g}"
        return MelScale(title, own_normalisation(spec), mel, evidence, 1.0)
    ranked = rank_readings(mel, spec)
    best = ranked[0]
    if best.score < _ODD:
        evidence = f"from {mel.min():.4g} to {mel.max():.4g}; no known scale makes audio of them"
        return MelScale("values that no recording has", None, stated_nepers(mel, spec), evidence, 0)
    weights = [math.exp(each.score - best.score) for each in ranked]
    shares = [weight / sum(weights) for weight in weights]
    others = [
        f"{_named(each, spec)[0]} {percent(share)}"
        for each, share in zip(ranked[1:], shares[1:], strict=True)
        if share >= _LISTED
    ]
    title, name = _named(best, spec)
    also = f"; compatible with: {', '.join(others)}" if others else ""
    evidence = f"{percent(shares[0])} by level, range and fluctuation{also}"
    reading = best.reading
    nepers = stated_nepers(mel, spec) if reading is None else reading.nepers(mel)
    return MelScale(title, name, nepers, evidence, shares[0], reading is STATISTICS)


def _named(scored: ScoredReading, spec: MelSpec) -> tuple[str, str | None]:
    """Title and name of a reading."""
    if scored.reading is not None:
        return scored.reading.title, scored.reading.name
    name = own_normalisation(spec)
    if name is None:
        return f"{spec.log} with the model's mean and scale", None
    return NORMALISATIONS[name].title, name


def own_normalisation(spec: MelSpec) -> str | None:
    """The name of the normalisation that a spec has; None if it has none."""
    if len(set(spec.mean)) > 1 or len(set(spec.scale)) > 1:
        return None
    own = spec.log, (spec.mean or (0.0,))[0], (spec.scale or (1.0,))[0]
    for name, each in NORMALISATIONS.items():
        if own == (each.log, each.mean, each.scale):
            return name
    return None


def scale_by_recording(mel: Tensor, match: RecordingMatch) -> MelScale:
    """The reading of a mel by the line of its values over those of its recording. Shape: [M, F]."""
    values = Reading("", None, 1.0, logarithm=match.linear).values(mel)
    nepers = (values - match.offset) / match.slope
    if match.per_band:
        title = "normalised band by band, as by statistics of a training set"
        return MelScale(title, None, nepers, "each band lies on a line of its own", 1.0, True)
    if match.linear:
        title = NORMALISATIONS["linear"].title if match.spec.power == 1 else "powers"
        gain = match.offset / match.slope * _DECIBELS
        return MelScale(title, "linear", nepers, "by the recording", 1.0, gain=_heard(gain))
    best: tuple[float, str] | None = None
    for name, each in NORMALISATIONS.items():
        if each.log == "linear":
            continue
        slope = match.spec.power / (NEPERS[each.log] * each.scale)
        if abs(match.slope / slope - 1.0) > 2e-3:
            continue
        gain = (match.offset + each.mean / each.scale) / match.slope * _DECIBELS
        if abs(gain) <= _MOST_GAIN and (best is None or abs(gain) < abs(best[0]) - 1e-3):
            best = gain, name
    if best is not None:
        evidence = f"by the recording: value = {match.slope:.4g} ln x + {match.offset:.4g}"
        return MelScale(
            NORMALISATIONS[best[1]].title, best[1], nepers, evidence, 1.0, gain=_heard(best[0])
        )
    scale = match.spec.power / match.slope
    title = f"natural logarithms with mean {-match.offset * scale:.5g} and scale {scale:.5g}"
    return MelScale(title, None, nepers, "by the recording; no project is known for it", 1.0)


def percent(share: float) -> str:
    """A probability, which is never certain."""
    return "over 99%" if share > 0.99 else f"{share:.0%}"


def _heard(gain: float) -> float:
    return gain if abs(gain) > 0.02 else 0.0
