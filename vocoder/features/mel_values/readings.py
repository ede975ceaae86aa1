"""The ways in which the values of a mel may be read, each as nepers of magnitude."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from vocoder.features.mel import NEPERS, MelSpec
from vocoder.features.normalisation import NORMALISATIONS

# One name for each set of values, the others being aliases, and how usual it is: the logarithm of
# its odds among mels of unknown origin.
_NAMES = {
    "ln": 2.0,
    "log10": 1.0,
    "db": 0.5,
    "db_ref20": 0.5,
    "keithito": 0.0,
    "rayhane": 0.0,
    "matcha_lj": 0.0,
    "matcha_vctk": -1.0,
    "gpt_sovits": -6.0,
    "power_db": -2.0,
    "int16": -0.5,
    "int16_log10": -4.0,
}
_LOWEST = 1e-10  # a log floor in use, of mels that do not state theirs
_USUAL = (1e-5, 1e-7, 1e-10)


@dataclass(frozen=True)
class Reading:
    """One way to read the values of a mel: `slope` times value plus `offset`, in nepers.

    Where `logarithm` is set, the value's logarithm takes the place of the value. `piles` are the
    values that silence can have by this reading, `odds` is the logarithm of how usual it is.
    """

    title: str
    name: str | None
    slope: float
    offset: float = 0.0
    logarithm: bool = False
    piles: tuple[float, ...] = ()
    odds: float = 0.0

    def values(self, mel: Tensor) -> Tensor:
        """What is linear in nepers: the values, or their logarithms. Any shape → same."""
        if not self.logarithm:
            return mel
        return mel.clamp_min(max(_LOWEST, 1e-7 * float(mel.max()))).log()

    def nepers(self, mel: Tensor) -> Tensor:
        """The magnitudes that the values stand for, in nepers. Any shape → same."""
        return self.slope * self.values(mel) + self.offset


STATISTICS = Reading("normalised by statistics of a training set", None, 1.0)
SCALED = Reading("scaled to a range such as [-1, 1]", None, 7.0, -5.0, odds=-1.0)


def stated_nepers(mel: Tensor, spec: MelSpec) -> Tensor:
    """The magnitudes of a mel of `spec`, in nepers. Shape: [M, F] → same."""
    if spec.scale:
        mel = mel * mel.new_tensor(spec.scale)[:, None]
    if spec.mean:
        mel = mel + mel.new_tensor(spec.mean)[:, None]
    if spec.log == "linear":
        return mel.clamp_min(1e-30).log() / spec.power
    return mel * (NEPERS[spec.log] / spec.power)


def stated_slope(spec: MelSpec) -> float:
    """Nepers for a change of the values of a mel of `spec` by 1, in the middle of the bands."""
    middle = sorted(spec.scale)[len(spec.scale) // 2] if spec.scale else 1.0
    return NEPERS.get(spec.log, 1.0) * middle / spec.power


def other_readings(lowest: float, highest: float, spec: MelSpec) -> Iterator[Reading]:
    """Readings, apart from that of `spec`, by which values from `lowest` to `highest` can be."""
    stated = None if spec.log == "linear" else _affine(spec)
    for name, odds in _NAMES.items():
        chosen = NORMALISATIONS[name]
        nepers = NEPERS[chosen.log]
        floor = math.log(chosen.log_floor or _LOWEST) / nepers
        floors = (chosen.log_floor,) if chosen.log_floor else _USUAL
        piles = tuple((math.log(x) / nepers - chosen.mean) / chosen.scale for x in floors)
        least = (floor - chosen.mean) / chosen.scale
        margin = 0.15 / (nepers * chosen.scale)
        possible = least - margin <= lowest and highest <= chosen.ceiling + 1e-3
        slope, offset = nepers * chosen.scale / spec.power, nepers * chosen.mean / spec.power
        if possible and (slope, offset) != stated:
            yield Reading(chosen.title, name, slope, offset, piles=piles, odds=odds)
    if lowest >= -1.2 and highest <= 1.2:
        yield SCALED
    yield from _of_powers(highest, spec)
    if lowest >= 0.0 and highest > 0.0:
        yield from _without_logarithm(spec)


def _affine(spec: MelSpec) -> tuple[float, float] | None:
    """Slope and offset of the reading that `spec` states, if it is one for all bands."""
    if len(set(spec.mean)) > 1 or len(set(spec.scale)) > 1:
        return None
    nepers = NEPERS[spec.log]
    scale, mean = spec.scale[:1] or (1.0,), spec.mean[:1] or (0.0,)
    return nepers * scale[0] / spec.power, nepers * mean[0] / spec.power


def _of_powers(highest: float, spec: MelSpec) -> Iterator[Reading]:
    """Logarithms of powers, where a spec has magnitudes; and Whisper's, clipped 8 decades down."""
    if spec.power != 1:
        return
    offset = _power_offset(spec)
    yield Reading("natural logarithms of powers", None, 0.5, offset, odds=-4.0)
    whisper = NORMALISATIONS["whisper"]
    slope = 0.5 * NEPERS["log10"] * whisper.scale
    yield Reading(
        "Whisper's log-mel of powers",
        None,
        slope,
        0.5 * NEPERS["log10"] * whisper.mean + offset,
        piles=(highest - 2.0,),
        odds=-3.0,
    )


def _without_logarithm(spec: MelSpec) -> Iterator[Reading]:
    powers = "powers without a logarithm"
    if spec.log != "linear":
        title = NORMALISATIONS["linear"].title if spec.power == 1 else powers
        yield Reading(title, "linear", 1.0 / spec.power, logarithm=True)
    if spec.power == 1:
        yield Reading(powers, None, 0.5, _power_offset(spec), logarithm=True, odds=-0.5)
    else:
        yield Reading("magnitudes without a logarithm", None, 1.0, logarithm=True)


def _power_offset(spec: MelSpec) -> float:
    """Nepers between the magnitudes of white noise and the root of its powers, in a mel band."""
    width = (spec.top_hz - spec.f_min) / spec.n_mels if spec.norm == "none" else 1.0
    return 0.5 * math.log(math.pi / 4.0 * width * spec.n_fft / spec.sample_rate)
