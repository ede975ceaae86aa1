"""Level: an estimate that is too loud or too quiet, or changes slowly."""

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, decibels, smooth
from vocoder.evaluation.artefacts.artefact import Artefact

_GAIN = 2.0  # dB
_DRIFT = 3.0  # dB
_AROUND = 0.8  # seconds
_LOUD = 20.0  # dB below loud frames: what is quieter does not set the level


def find_level(pair: Pair) -> list[Artefact]:
    """A level 2 dB off the reference's over the recording, or one that changes by 3 dB in it.

    The difference is that of the energies of 0.8 s in dB, where the reference is within 20 dB of
    its loudest. The level is the median of the difference, of a change the range of nine tenths
    of it.
    """
    if pair.reference is None:
        return []
    estimate, reference = pair.estimate, pair.reference
    own, theirs = _energy(reference), _energy(estimate)
    judged = own > float(own.max()) * 10.0 ** (-_LOUD / 10.0)
    if not bool(judged.any()):
        return []
    difference = (decibels(theirs) - decibels(own))[judged]
    gain = float(difference.median())
    found = []
    if abs(gain) >= _GAIN:
        words = f"{abs(gain):.1f} dB {'louder' if gain > 0 else 'quieter'} than the reference"
        found.append(_artefact(estimate, gain, words))
    if estimate.seconds >= 2.0 * _AROUND:
        low, high = (float(torch.quantile(difference, q)) for q in (0.05, 0.95))
        if high - low >= _DRIFT:
            words = f"the level against the reference changes by {high - low:.1f} dB"
            found.append(_artefact(estimate, high - low, words))
    return found


def _energy(signal: Analysis) -> Tensor:
    """Mean square of the 0.8 s around each frame, above 50 Hz. Shape: [F]."""
    return smooth(10.0 ** (signal.level / 10.0), round(_AROUND / signal.frame_seconds))


def _artefact(signal: Analysis, level: float, words: str) -> Artefact:
    return Artefact(
        detector="level", begin=0.0, end=signal.seconds, level=level, unit="dB", words=words
    )
