"""DC: a waveform whose mean is not zero."""

import math

from vocoder.evaluation.artefacts.analysis import Analysis, Pair
from vocoder.evaluation.artefacts.artefact import Artefact

_LEVEL = -54.0  # dBFS
_SHARE = 0.25  # of the reference's own, which changes with the gain
_BARE_LEVEL = -40.0  # without a reference: converters have offsets, too


def find_dc(pair: Pair) -> list[Artefact]:
    """A mean of the waveform that differs from the reference's by more than -54 dBFS (0.002).

    The difference must be a quarter of the reference's own. Without a reference, it is one of more
    than -40 dBFS (0.01). The level is that difference in dBFS.
    """
    own = _mean(pair.reference) if pair.reference else 0.0
    offset = _mean(pair.estimate) - own
    level = 20.0 * math.log10(max(abs(offset), 1e-6))
    if level < (_LEVEL if pair.reference else _BARE_LEVEL) or abs(offset) < _SHARE * abs(own):
        return []
    return [
        Artefact(
            detector="dc",
            begin=0.0,
            end=pair.estimate.seconds,
            low_hz=0.0,
            high_hz=pair.estimate.bin_hz,
            level=level,
            unit="dBFS",
            words=f"the waveform has an offset of {offset:+.4f} ({level:.0f} dBFS)",
        )
    ]


def _mean(signal: Analysis) -> float:
    return float(signal.audio.double().mean())
