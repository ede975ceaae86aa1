"""In what a mel differs from that of the recording of the same words, once both are aligned.

Thresholds were set on pairs of real recordings and mels that are whole, and on the same with faults
planted; see the manual's page on the doctor.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vocoder.doctor.pairs.timing import Timing
from vocoder.features.mel import MelSpec

Kind = Literal[
    "level",
    "high band",
    "low band",
    "spectral balance",
    "contrast",
    "over-smoothed",
    "noise",
    "pauses",
    "floor",
    "ceiling",
    "dropouts",
    "repeated frames",
    "timing",
    "tempo",
    "lost frames",
]
DECIBELS = 8.686  # of a neper
_AUDIBLE = 6.5  # nepers under the loudest value
_FEWEST = 12  # frames with audible values that a band needs to be judged
_LEVEL, _GRAVE_LEVEL = 0.25, 0.45  # nepers
_MISSING = -1.3  # nepers of a band, beside the level, from which it is missing
_BALANCE, _GRAVE_BALANCE = 0.3, 0.5  # nepers, deviation of the bands
_CONTRAST = (0.8, 1.25)
_SMOOTH, _GRAVE_SMOOTH = 0.85, 0.75  # of the recording's detail
_ROUGH, _GRAVE_ROUGH = 1.2, 1.35
_ALSO_ROUGH = 1.08  # in the other direction; fast speech fluctuates more in time alone
_PILE = 0.03  # share of values that are the lowest
_DROPOUT = 2.5  # nepers of a frame, beside the level
_NOISY_PAUSE = 1.2  # nepers


# What a fault brings with it, which is then not told on its own.
_CONSEQUENCES: dict[Kind, set[Kind]] = {
    "floor": {"over-smoothed", "pauses", "contrast", "level", "spectral balance", "noise"},
    "ceiling": {"over-smoothed", "contrast", "spectral balance", "level", "dropouts"},
    "dropouts": {"contrast", "repeated frames", "lost frames", "timing", "noise"},
    "high band": {"dropouts", "contrast"},
    "contrast": {"level", "spectral balance", "over-smoothed", "noise", "pauses"},
    "spectral balance": {"noise"},
    "repeated frames": {"noise"},
    "lost frames": {"timing"},
    "over-smoothed": {"level", "spectral balance"},
}


class Difference(NamedTuple):
    """One way in which a mel differs, in words with figures, and whether it is a fault."""

    kind: Kind
    words: str
    grave: bool


def differences(given: Tensor, own: Tensor, timing: Timing, spec: MelSpec) -> list[Difference]:
    """How a mel differs from that of its recording; both in nepers. Shape: [M, F'], [M, F]."""
    aligned = given[:, timing.index]
    audible = own > own.max() - _AUDIBLE
    active = timing.active
    offsets = _offsets(aligned[:, active], own[:, active], audible[:, active])
    level = float(offsets[offsets.isfinite()].median())
    inside = _inside(offsets - level)
    found = [
        *_of_level(level),
        *_of_limits(offsets - level, inside, spec),
        *_of_balance((offsets - level)[inside]),
        *_of_contrast(aligned, own, audible & active & _mask(inside, own)),
        *_of_detail(given, own, timing, audible, _mask(inside, own)),
        *_of_extremes(given, own, level, math.log(spec.log_floor) / spec.power),
        *_of_frames(given, aligned - level, own, timing),
        *_of_time(given, own, timing, spec),
    ]
    graves = {each.kind for each in found if each.grave}
    explained = set().union(*(_CONSEQUENCES.get(kind, set()) for kind in graves))
    return [each for each in found if each.kind not in explained]


def _mask(inside: slice, own: Tensor) -> Tensor:
    mask = torch.zeros(own.shape[0], 1, dtype=torch.bool)
    mask[inside] = True
    return mask


def _offsets(given: Tensor, own: Tensor, audible: Tensor) -> Tensor:
    """Median difference of each band where the recording is audible; NaN where it never is."""
    difference = (given - own).where(audible, torch.nan)
    offsets = difference.nanmedian(dim=1).values
    return offsets.where(audible.sum(1) >= _FEWEST, torch.nan)


def _inside(offsets: Tensor) -> slice:
    """The bands between those that are missing at either end."""
    missing = offsets < _MISSING
    known = torch.nonzero(offsets.isfinite())[:, 0].tolist()
    first, last = known[0], known[-1]
    while first < last and missing[first]:
        first += 1
    while last > first and (missing[last] or not offsets[last].isfinite()):
        last -= 1
    return slice(first, last + 1)


def _of_level(level: float) -> Iterator[Difference]:
    if abs(level) > _LEVEL:
        side = "louder" if level > 0 else "quieter"
        words = f"{abs(level) * DECIBELS:.1f} dB {side} than the recording in all bands"
        yield Difference("level", words, abs(level) > _GRAVE_LEVEL)


def _of_limits(offsets: Tensor, inside: slice, spec: MelSpec) -> Iterator[Difference]:
    known = offsets.isfinite()
    above = offsets[inside.stop :][known[inside.stop :]]
    below = offsets[: inside.start][known[: inside.start]]
    for kind, lost, band in (("high band", above, inside.stop), ("low band", below, inside.start)):
        if len(lost) >= 2:
            words = (
                f"{len(lost)} bands {'above' if kind == 'high band' else 'below'} "
                f"{band_hz(spec, band):.0f} Hz are {-lost.mean() * DECIBELS:.0f} dB too low"
            )
            yield Difference(kind, words, True)  # type: ignore[arg-type]


def band_hz(spec: MelSpec, band: int) -> float:
    """The frequency at the lower end of a mel band, in Hz."""
    from vocoder.dsp.filterbank import hz_to_mel, mel_to_hz

    ends = hz_to_mel(torch.tensor([spec.f_min, spec.top_hz]), spec.mel_scale)
    place = ends[0] + (ends[1] - ends[0]) * (band + 0.5) / (spec.n_mels + 1)
    return float(mel_to_hz(place, spec.mel_scale))


def _of_balance(offsets: Tensor) -> Iterator[Difference]:
    known = offsets[offsets.isfinite()]
    spread = float(known.std()) if len(known) > 2 else 0.0
    if spread > _BALANCE:
        words = (
            f"bands lie {known.min() * DECIBELS:+.0f} to {known.max() * DECIBELS:+.0f} dB beside "
            "the recording's, each by an amount of its own"
        )
        yield Difference("spectral balance", words, spread > _GRAVE_BALANCE)


def _of_contrast(aligned: Tensor, own: Tensor, counted: Tensor) -> Iterator[Difference]:
    x, y = own[counted], aligned[counted]
    if len(x) < 100:
        return
    x, y = x - x.mean(), y - y.mean()
    # The slope of the principal axis: neither of the two is the cause of the other's deviations.
    ratio = float(y.norm() / x.norm().clamp_min(1e-6))
    if not _CONTRAST[0] < ratio < _CONTRAST[1]:
        words = f"the values vary {ratio:.2f} times as much as the recording's"
        yield Difference("contrast", words, True)


def _of_detail(
    given: Tensor, own: Tensor, timing: Timing, audible: Tensor, inside: Tensor
) -> Iterator[Difference]:
    """Detail in time and across bands, as second differences, by that of the recording."""
    used = torch.zeros(given.shape[1], dtype=torch.bool)
    used[timing.index[timing.active]] = True
    loud = given > given.max() - _AUDIBLE
    ratios = {
        name: _second(given, dim, loud & used & inside)
        / max(_second(own, dim, audible & timing.active & inside), 1e-6)
        for name, dim in (("time", 1), ("frequency", 0))
    }
    ratios["time"] *= max(timing.ratio, 1.0) ** 2  # what is slower changes less between frames
    least, most = min(ratios, key=lambda n: ratios[n]), max(ratios, key=lambda n: ratios[n])
    figures = ", ".join(f"{value:.0%} over {name}" for name, value in ratios.items())
    figures = figures.replace("%", " %")
    if ratios[least] < _SMOOTH:
        words = f"fine detail is {figures} of the recording's"
        yield Difference("over-smoothed", words, ratios[least] < _GRAVE_SMOOTH)
    elif ratios[most] > _ROUGH and ratios[least] > _ALSO_ROUGH:
        words = f"fluctuations are {figures} of the recording's"
        yield Difference("noise", words, ratios[most] > _GRAVE_ROUGH)


def _second(nepers: Tensor, dim: int, counted: Tensor) -> float:
    """Mean absolute second difference along an axis where all three values count."""
    values = nepers.diff(n=2, dim=dim).abs()
    length = nepers.shape[dim]
    near = [counted.narrow(dim, start, length - 2) for start in range(3)]
    chosen = values[near[0] & near[1] & near[2]]
    return float(chosen.mean()) if len(chosen) else 0.0


def _of_extremes(
    given: Tensor, own: Tensor, level: float, log_floor: float
) -> Iterator[Difference]:
    """Values that are cut off at the bottom, above the log floor, or at the top."""
    for kind, sign in (("floor", 1.0), ("ceiling", -1.0)):
        values, others = sign * given, sign * (own + level)
        end = float(values.min())
        pile = float((values < end + 1e-3).float().mean())
        beyond = float((others < end - 0.3).float().mean())
        if kind == "floor" and end < log_floor + 0.3:
            continue
        least = _PILE if kind == "floor" else 0.1 * _PILE
        if pile > least and beyond > least:
            words = (
                f"{pile:.0%} of the values are {sign * end:.2f} Np, and those of the recording go "
                f"{(end - float(others.min())) * DECIBELS:.0f} dB beyond"
            ).replace("%", " %", 1)
            yield Difference(kind, words, pile > 3 * least)  # type: ignore[arg-type]


def _of_frames(given: Tensor, aligned: Tensor, own: Tensor, timing: Timing) -> Iterator[Difference]:
    loudness = [x.exp().mean(0).log() for x in (aligned, own)]
    lower = loudness[0] - loudness[1] < -_DROPOUT
    lost = float(lower[timing.active].float().mean())
    if lost > 0.01:
        yield Difference(
            "dropouts", f"{lost:.0%} of the frames with sound are silent".replace("%", " %"), True
        )
    sounding = given[
        :, int(timing.index[timing.active].min()) : int(timing.index[timing.active].max()) + 1
    ]
    held = _held(sounding)
    if held > _held(own[:, timing.active]) + 0.1:
        words = f"{held:.0%} of the frames repeat the one before".replace("%", " %")
        yield Difference("repeated frames", words, True)
    quiet = ~timing.active
    if int(quiet.sum()) >= 8:
        pauses = float((loudness[0] - loudness[1])[quiet].median())
        if pauses > _NOISY_PAUSE:
            words = f"pauses are {pauses * DECIBELS:.0f} dB louder than the recording's"
            yield Difference("pauses", words, pauses > 2 * _NOISY_PAUSE)


def _held(nepers: Tensor) -> float:
    """Share of the frames that equal the one before."""
    return float((nepers.diff(dim=1).abs().amax(0) < 1e-4).float().mean())


def _of_time(given: Tensor, own: Tensor, timing: Timing, spec: MelSpec) -> Iterator[Difference]:
    hop = 1000.0 * spec.hop_length / spec.sample_rate
    if abs(timing.offset) >= 3.0 and timing.straight and abs(timing.ratio - 1.0) < 0.02:
        side = "late" if timing.offset > 0 else "early"
        words = f"{abs(timing.offset) * hop:.0f} ms {side} ({timing.offset:+.0f} frames)"
        longer = given.shape[1] - own.shape[1]
        padded = longer > 0 and timing.offset <= longer + 2  # a longer pause before, no shift
        moved = abs(timing.offset) >= 5.0 and not (padded and timing.offset > 0)
        yield Difference("timing", words, moved)
    if timing.straight and abs(timing.ratio - 1.0) >= 0.03:
        words = f"{timing.ratio:.3f} times as long as the recording, evenly"
        yield Difference("tempo", words, True)
    if timing.jumps:
        listed = ", ".join(f"{n:+d} at {at * hop / 1000:.2f} s" for at, n in timing.jumps[:5])
        words = f"frames are lost (-) or added (+): {listed}"
        yield Difference("lost frames", words, True)
