"""Dropouts: short gaps in sounds that go on."""

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, near_max, runs
from vocoder.evaluation.artefacts.artefact import Artefact

_LOWEST_HZ = 500.0  # a window of 5 ms does not tell lower sounds from rumble
_DEPTH = 20.0  # dB
_MORE_THAN_REFERENCE = 12.0  # dB
_BARE_DEPTH = 30.0  # dB, without a reference
_BARE_EDGE = 25.0  # dB within 8 ms; the closures of plosives begin more slowly
_BARE_FLOOR = -80.0  # dBFS
_SHORTEST = 2  # short frames
_REACH = 0.12  # seconds: the longest gap
_LOUD = 25.0  # dB below the level of loud frames: what is quieter may well stop


def find_dropouts(pair: Pair) -> list[Artefact]:
    """Gaps of up to 0.2 s in loud sounds: the level falls by 20 dB and returns.

    The depth of a gap is how far the level of 10 ms, above 500 Hz, lies below both the highest of
    the 0.12 s before and that of the 0.12 s after, for 5 ms or longer. It must exceed that of the
    reference within 10 ms by 12 dB. Without a reference, where the closures of plosives look alike,
    a gap is 30 dB deep, falls and returns by 25 dB within 8 ms, and has nothing above -80 dBFS.

    The level is the depth in dB, negative.
    """
    estimate = pair.estimate
    level = estimate.fine_level(_LOWEST_HZ, estimate.sample_rate / 2)
    depth, shoulder = _depth(estimate)
    hit = shoulder > torch.quantile(level, 0.95) - _LOUD
    if pair.reference is None:
        hit &= (depth > _BARE_DEPTH) & (level < _BARE_FLOOR)
    else:
        near = round(0.01 / estimate.fine_seconds)
        own = near_max(_depth(pair.reference)[0], near, near)
        hit &= (depth > _DEPTH) & (depth > own + _MORE_THAN_REFERENCE)
    found = []
    for first, last in runs(hit, _SHORTEST):
        if pair.reference is None and not _abrupt(level, first, last):
            continue
        # The window of the level reaches into what surrounds the gap.
        begin, end = (first - 1) * estimate.fine_seconds, (last + 1) * estimate.fine_seconds
        deep = float(depth[first:last].max())
        found.append(
            Artefact(
                detector="dropouts",
                begin=begin,
                end=end,
                level=-deep,
                unit="dB",
                words=f"a gap of {1e3 * (end - begin):.0f} ms at {begin:.2f} s, {deep:.0f} dB deep",
            )
        )
    return found


def _depth(signal: Analysis) -> tuple[Tensor, Tensor]:
    """How far each short frame lies below its surroundings in dB, and their level. Shape: [G]."""
    # Between two pulses of a low voice, the level falls, too, for less than three short frames.
    level = near_max(signal.fine_level(_LOWEST_HZ, signal.sample_rate / 2), 1, 1)
    reach = round(_REACH / signal.fine_seconds)
    shoulder = torch.minimum(near_max(level, reach, 0), near_max(level, 0, reach))
    return shoulder - level, shoulder


def _abrupt(level: Tensor, first: int, last: int) -> bool:
    """Whether the level falls and returns within a few short frames."""
    before, after = level[max(0, first - 3) : first + 1], level[last - 1 : last + 3]
    inside = float(level[first:last].max())
    return float(before.max()) - inside > _BARE_EDGE and float(after.max()) - inside > _BARE_EDGE
