"""Tremor: F0 that trembles on held notes, faster than a vibrato."""

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, smooth
from vocoder.evaluation.artefacts.artefact import Artefact
from vocoder.evaluation.artefacts.detectors.pitch_steps import held_notes

_SHORTEST = 0.35  # seconds
_BARE_SHORTEST = 0.6  # without a reference: syllables of speech are shorter
_HELD_CENTS = 80.0  # a tremor leaves the note further than a vibrato
_VIBRATO = 0.125  # seconds: the period of the fastest vibrato
_TREMOR = 4.0  # cents
_OVER_REFERENCE = 2.0  # times
_BARE_TREMOR = 25.0  # cents, without a reference


def find_tremor(pair: Pair) -> list[Artefact]:
    """Held notes whose F0 fluctuates by 4 cents or more, faster than 8 Hz.

    A held note is that of the pitch steps, 0.35 s or longer and within 80 cents of its median, in
    the reference where there is one; the fluctuation is the standard deviation in cents of F0 less
    its mean over 125 ms, the period of a fast vibrato. It must be twice the reference's; without a
    reference, 25 cents, in notes of 0.6 s.

    The level is the fluctuation in cents.
    """
    found = []
    alone = pair.reference is None
    limit, shortest = (_BARE_TREMOR, _BARE_SHORTEST) if alone else (_TREMOR, _SHORTEST)
    for first, last in held_notes(pair.reference or pair.estimate, shortest, _HELD_CENTS):
        tremor = _fluctuation(pair.estimate, first, last)
        own = _fluctuation(pair.reference, first, last) if pair.reference else 0.0
        if tremor < max(limit, _OVER_REFERENCE * own):
            continue
        begin, end = (place * pair.estimate.frame_seconds for place in (first, last))
        hz = float(pair.estimate.pitch.f0[first:last].median())
        against = f", against {own:.0f} in the reference" if pair.reference else ""
        found.append(
            Artefact(
                detector="tremor",
                begin=begin,
                end=end,
                low_hz=0.9 * hz,
                high_hz=1.1 * hz,
                level=tremor,
                unit="cents",
                words=f"the held note at {hz:.0f} Hz trembles by {tremor:.0f} cents{against}, from "
                f"{begin:.2f} to {end:.2f} s",
            )
        )
    return found


def _fluctuation(signal: Analysis, first: int, last: int) -> float:
    """Standard deviation in cents of F0 less its running mean; jumps are left to `pitch_steps`."""
    cents = 1200.0 * torch.log2(signal.pitch.f0[first:last])
    around = round(_VIBRATO / signal.frame_seconds)
    rest: Tensor = cents - smooth(cents, around)
    inner = rest[around // 2 : len(rest) - around // 2]
    return float(inner[inner.abs() < 100.0].std()) if len(inner) > 3 else 0.0
