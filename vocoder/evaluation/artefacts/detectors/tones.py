"""Tones in pauses: the whistling lines that networks put where there should be silence."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Pair, decibels, hertz
from vocoder.evaluation.artefacts.artefact import Artefact

_OUT_OF = 20.0  # dB above the mean of the surroundings; noise reaches 12 in a short pause
_LOWEST_LEVEL = -85.0  # dBFS; below, nobody hears it beside speech
_UNSTEADY = 8.0  # dB between parts of a pause; the tails of reverberation fall faster
_OVER_REFERENCE = 10.0  # dB
_LOWEST_HZ = 80.0
_MAINS_TOP = 1000.0  # Hz; above, the harmonics of mains hum are too weak to be heard
_WHINES = (15625.0, 15734.0)  # line rates of television, in many recordings
_NEAR, _FAR = 3, 16  # bins; the main lobe of a Hann window is 2 wide on each side


@dataclass(frozen=True)
class _Line:
    hz: float
    over: float
    level: float


def find_tones(pair: Pair) -> list[Artefact]:
    """Steady tones in pauses, 20 dB or more above their surroundings and above -85 dBFS.

    A pause is 0.15 s or longer and 25 dB below the loud frames, in the reference where there is
    one. Surroundings are 16 bins of the spectrum on each side. A tone is within 8 dB equally strong
    in the three thirds of a pause. What the reference has less than 10 dB below is its own. Without
    a reference, tones within 3 Hz of a multiple of 50 or 60 Hz, up to 1 kHz, count as mains hum,
    and those at 15,625 and 15,734 Hz as the whine of a monitor.

    One artefact for each pause: its strongest tone. The level is that above the surroundings in dB.
    """
    found = []
    estimate, step = pair.estimate, pair.estimate.frame_seconds
    for first, last in (pair.reference or estimate).pauses:
        lines = _lines(pair, first, last)
        if not lines:
            continue
        line = max(lines, key=lambda each: each.over)
        begin, end = first * step, last * step
        others = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        found.append(
            Artefact(
                detector="tones",
                begin=begin,
                end=end,
                low_hz=line.hz - 2 * estimate.bin_hz,
                high_hz=line.hz + 2 * estimate.bin_hz,
                level=line.over,
                unit="dB",
                words=f"a tone at {hertz(line.hz)}, {line.over:.0f} dB above its surroundings and "
                f"at {line.level:.0f} dBFS, in the pause from {begin:.2f} to {end:.2f} s{others}",
            )
        )
    return found


def _lines(pair: Pair, first: int, last: int) -> list[_Line]:
    """Tones in frames `first` to `last`."""
    power = pair.estimate.power[first:last]
    mean = power.mean(0)
    levels = decibels(mean)
    over = levels - _surroundings(levels)
    thirds = decibels(torch.stack([part.mean(0) for part in power.tensor_split(3)]))
    steady = thirds.amax(0) - thirds.amin(0) < _UNSTEADY
    peak = levels >= F.max_pool1d(levels[None], 5, stride=1, padding=2)[0]
    fits = peak & steady & (over > _OUT_OF) & (levels > _LOWEST_LEVEL)
    if pair.reference is not None:
        own = decibels(F.max_pool1d(pair.reference.power[first:last].mean(0)[None], 3, 1, 1)[0])
        fits &= levels > own + _OVER_REFERENCE
    fits[-_FAR:] = False  # next to Nyquist, there are surroundings on one side only
    lines = []
    for index in fits.nonzero()[:, 0].tolist():
        hz = _refined(levels, index) * pair.estimate.bin_hz
        natural = pair.reference is None and _is_common(hz)
        if hz >= _LOWEST_HZ and not natural:
            lines.append(_Line(hz, float(over[index]), float(levels[index])))
    return lines


def _surroundings(levels: Tensor) -> Tensor:
    """Mean level beside each bin, without its own main lobe. Shape: [K]."""
    padded = F.pad(levels[None], (_FAR, _FAR), mode="reflect")
    wide = F.avg_pool1d(padded, 2 * _FAR + 1, stride=1)[0] * (2 * _FAR + 1)
    cut = _FAR - _NEAR
    narrow = F.avg_pool1d(padded[:, cut:-cut], 2 * _NEAR + 1, stride=1)[0] * (2 * _NEAR + 1)
    return (wide - narrow) / (2 * (_FAR - _NEAR))


def _refined(levels: Tensor, index: int) -> float:
    """Place of a peak by the parabola through three levels in dB."""
    if not 0 < index < len(levels) - 1:
        return float(index)
    left, top, right = levels[index - 1 : index + 2].tolist()
    return float(index + 0.5 * (left - right) / min(left - 2.0 * top + right, -1e-6))


def _is_common(hz: float) -> bool:
    """Whether recordings have such tones of their own: mains hum, monitors."""
    if hz <= _MAINS_TOP and any(abs(hz - round(hz / f) * f) < 3.0 for f in (50.0, 60.0)):
        return True
    return any(abs(hz - whine) < 30.0 for whine in _WHINES)
