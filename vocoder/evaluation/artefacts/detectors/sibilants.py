"""Sibilants: fricatives that are too weak or too strong, or stutter."""

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, runs, smooth
from vocoder.evaluation.artefacts.artefact import Artefact

_WIDE_BAND, _NARROW_BAND = (8000.0, 16000.0), (4000.0, 12000.0)
_LOWEST_RATE = 11000
_WIDE_FROM = 12000.0  # Hz: a Nyquist frequency from which the wide band is judged
_EDGE = 0.95  # of Nyquist; above, converters and resamplers roll off
_LOUD = 15.0  # dB below the loudest fricatives
_BRIGHT = 0.0  # dB: the band above 4 kHz against that below 3 kHz
_SHORTEST = 0.04  # seconds
_WRONG = 6.0  # dB
_GAP = 10.0  # dB below the rest of the fricative
_SHORTEST_GAP = 0.008  # seconds


def find_sibilants(pair: Pair) -> list[Artefact]:
    """Fricatives of the reference that are 6 dB off in the estimate, or have gaps of 10 dB.

    A fricative lasts 40 ms or longer, has more energy above 4 kHz than from 0.5 to 3 kHz, and lies
    within 15 dB of the loudest. Its band is 8 to 16 kHz, below a sample rate of 24 kHz 4 to 12 kHz,
    and ends at 0.95 times Nyquist. The level is the mean difference in dB, or that in the deepest
    gap: 8 ms or longer in which the difference is 10 dB below its median.
    """
    if pair.reference is None or pair.estimate.sample_rate < _LOWEST_RATE:
        return []
    low, high = band_of(pair.reference)
    reference, estimate = (each.fine_level(low, high) for each in (pair.reference, pair.estimate))
    step = pair.estimate.fine_seconds
    difference = smooth(estimate - reference, round(_SHORTEST_GAP / step))
    found = []
    for first, last in fricatives(pair.reference):
        told = _told(difference[first:last], step)
        if told is None:
            continue
        level, words = told
        begin, end = first * step, last * step
        found.append(
            Artefact(
                detector="sibilants",
                begin=begin,
                end=end,
                low_hz=low,
                high_hz=high,
                level=level,
                unit="dB",
                words=f"the sibilant from {begin:.2f} to {end:.2f} s {words}, from "
                f"{low / 1e3:.0f} to {high / 1e3:.0f} kHz",
            )
        )
    return found


def band_of(signal: Analysis) -> tuple[float, float]:
    """Band in which fricatives are judged, in Hz."""
    nyquist = signal.sample_rate / 2
    low, high = _WIDE_BAND if nyquist >= _WIDE_FROM else _NARROW_BAND
    return low, min(high, _EDGE * nyquist)


def fricatives(reference: Analysis) -> list[tuple[int, int]]:
    """First short frame and one past the last of each fricative."""
    if reference.sample_rate < _LOWEST_RATE:
        return []
    bright = reference.fine_level(4000.0, reference.sample_rate / 2)
    dark = reference.fine_level(500.0, 3000.0)
    level = smooth(reference.fine_level(*band_of(reference)), 5)
    loud = level > torch.quantile(level, 0.97) - _LOUD
    fricative = loud & (smooth(bright - dark, 5) > _BRIGHT) & (level > -80.0)
    return runs(fricative, round(_SHORTEST / reference.fine_seconds))


def _told(difference: Tensor, step: float) -> tuple[float, str] | None:
    """Level and words about the difference in one fricative, None if it is small."""
    middle = float(difference.median())
    gaps = runs(difference < middle - _GAP, round(_SHORTEST_GAP / step))
    if gaps:
        deepest = float(difference.min()) - middle
        count = "has a gap" if len(gaps) == 1 else f"stutters: it has {len(gaps)} gaps"
        longest = 1e3 * step * max(last - first for first, last in gaps)
        return deepest, f"{count} of up to {longest:.0f} ms, {-deepest:.0f} dB deep"
    mean = float(difference.mean())
    if abs(mean) < _WRONG:
        return None
    return mean, f"is {abs(mean):.0f} dB too {'strong' if mean > 0 else 'weak'}"
