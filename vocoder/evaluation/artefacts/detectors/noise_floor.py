"""Noise floor: pauses that are not as silent as the reference's."""

from vocoder.evaluation.artefacts.analysis import Analysis, Pair
from vocoder.evaluation.artefacts.artefact import Artefact

_OVER = 6.0  # dB
_LOWEST_LEVEL = -75.0  # dBFS


def find_noise_floor(pair: Pair) -> list[Artefact]:
    """Pauses of the reference in which the estimate is 6 dB louder and above -75 dBFS.

    A pause is 0.15 s or longer and 25 dB below the loud frames. The median level of its frames is
    compared, above 50 Hz. One artefact for each pause; the level is that of the estimate in dBFS.
    """
    if pair.reference is None:
        return []
    found = []
    for first, last in pair.reference.pauses:
        level, own = (_median(each, first, last) for each in (pair.estimate, pair.reference))
        if level < max(own + _OVER, _LOWEST_LEVEL):
            continue
        begin, end = (place * pair.estimate.frame_seconds for place in (first, last))
        found.append(
            Artefact(
                detector="noise_floor",
                begin=begin,
                end=end,
                level=level,
                unit="dBFS",
                words=f"the pause from {begin:.2f} to {end:.2f} s is not silent: {level:.0f} dBFS, "
                f"against {own:.0f} in the reference",
            )
        )
    return found


def _median(signal: Analysis, first: int, last: int) -> float:
    return float(signal.level[first:last].median())
