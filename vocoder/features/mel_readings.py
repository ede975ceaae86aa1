"""The ways in which the values of a mel may be read, each as nepers of magnitude."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from vocoder.features.mel import NEPERS, MelSpec
from vocoder.features.normalisation import NORMALISATIONS

# One name for each set of values; the others are aliases.
_NAMES = ("ln", "log10", "db", "db_ref20", "keithito", "rayhane", "matcha_lj", "matcha_vctk")
_LOWEST = 1e-10  # a log floor in use, of mels that do not state theirs
_USUAL = 1e-5


@dataclass(frozen=True)
class Reading:
    """One way to read the values of a mel: `slope` times value plus `offset`, in nepers.

    Where `logarithm` is set, the value's logarithm takes the place of the value. `pile` is the
    value that silence has by this reading.
    """

    title: str
    name: str | None
    slope: float
    offset: float = 0.0
    logarithm: bool = False
    pile: float = -math.inf

    def values(self, mel: Tensor) -> Tensor:
        """What is linear in nepers: the values, or their logarithms. Any shape → same."""
        if not self.logarithm:
            return mel
        return mel.clamp_min(max(_LOWEST, 1e-7 * float(mel.max()))).log()

    def nepers(self, mel: Tensor) -> Tensor:
        """The magnitudes that the values stand for, in nepers. Any shape → same."""
        return self.slope * self.values(mel) + self.offset


def stated_nepers(mel: Tensor, spec: MelSpec) -> Tensor:
    """The magnitudes of a mel of `spec`, in nepers. Shape: [M, F] → same."""
    if spec.scale:
        mel = mel * mel.new_tensor(spec.scale)[:, None]
    if spec.mean:
        mel = mel + mel.new_tensor(spec.mean)[:, None]
    if spec.log == "linear":
        return mel.clamp_min(1e-30).log() / spec.power
    return mel * (NEPERS[spec.log] / spec.power)


def other_readings(lowest: float, highest: float, spec: MelSpec) -> Iterator[Reading]:
    """Readings, apart from that of `spec`, by which values from `lowest` to `highest` can be."""
    stated = None if spec.log == "linear" or spec.mean or spec.scale else NEPERS[spec.log]
    for name in _NAMES:
        chosen = NORMALISATIONS[name]
        nepers = NEPERS[chosen.log]
        floor = math.log(chosen.log_floor or _LOWEST) / nepers
        pile = (math.log(chosen.log_floor or _USUAL) / nepers - chosen.mean) / chosen.scale
        least = (floor - chosen.mean) / chosen.scale
        margin = 0.15 / (nepers * chosen.scale)
        possible = least - margin <= lowest and highest <= chosen.ceiling + 1e-3
        slope, offset = nepers * chosen.scale / spec.power, nepers * chosen.mean / spec.power
        if possible and not (offset == 0.0 and nepers == stated):
            yield Reading(chosen.title, name, slope, offset, pile=pile)
    if lowest >= 0.0 and highest > 0.0:
        yield from _without_logarithm(spec)


def _without_logarithm(spec: MelSpec) -> Iterator[Reading]:
    powers = "powers without a logarithm"
    if spec.log != "linear":
        title = NORMALISATIONS["linear"].title if spec.power == 1 else powers
        yield Reading(title, "linear", 1.0 / spec.power, logarithm=True)
    if spec.power == 1:
        yield Reading(powers, None, 0.5, _power_offset(spec), logarithm=True)
    else:
        yield Reading("magnitudes without a logarithm", None, 1.0, logarithm=True)


def _power_offset(spec: MelSpec) -> float:
    """Nepers between the magnitudes of white noise and the root of its powers, in a mel band."""
    width = (spec.top_hz - spec.f_min) / spec.n_mels if spec.norm == "none" else 1.0
    return 0.5 * math.log(math.pi / 4.0 * width * spec.n_fft / spec.sample_rate)
