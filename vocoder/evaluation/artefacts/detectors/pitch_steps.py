"""Pitch steps: held notes that jump, by some cents or an octave, and return."""

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, runs
from vocoder.evaluation.artefacts.artefact import Artefact

_PERIODIC = 0.85
_HELD_CENTS = 40.0  # from the median of the frames around: a note, with vibrato at its most
_LOUD = 30.0  # dB below the loud frames
_HIGHEST = 1050.0  # Hz; at the end of the tracker's range lies noise
_AROUND = 21  # frames, about 0.25 s
_STEP = 50.0  # cents
_BARE_STEP = 80.0  # cents, without a reference: singers slide
_NOTE = 0.15  # seconds
_RETURN = 30.0  # cents
_SHORTEST = 3  # frames
_LONGEST = 0.15  # seconds, without a reference: what stays away longer is another note
_OCTAVE = 100.0  # cents around 1200
_HARMONICS = 8
_CONFIRMED = 8.0  # dB


def find_pitch_steps(pair: Pair) -> list[Artefact]:
    """Jumps of F0 by 50 cents or more within held notes, octave jumps among them.

    A held note is 0.15 s or longer of periodic frames (autocorrelation above 0.85) whose F0 stays
    within 40 cents of the median of the 0.25 s around, up to 1050 Hz. With a reference, F0 differs
    from it for 3 frames (35 ms) or longer where both are periodic and the reference is held; a
    difference of an octave counts only if the even or odd harmonics of the reference's F0 tell so,
    by 8 dB. Without a reference, F0 leaves the note by 80 cents for 3 frames to 0.15 s and returns
    to it.

    The level is the median jump in cents.
    """
    steps = _against(pair.estimate, pair.reference) if pair.reference else _alone(pair.estimate)
    found = []
    for first, last, cents in steps:
        begin, end = (place * pair.estimate.frame_seconds for place in (first, last))
        hz = float(pair.estimate.pitch.f0[first:last].median())
        octave = abs(abs(cents) - 1200.0) < _OCTAVE
        size = "an octave" if octave else f"{abs(cents):.0f} cents"
        found.append(
            Artefact(
                detector="pitch_steps",
                begin=begin,
                end=end,
                low_hz=0.9 * hz,
                high_hz=1.1 * hz,
                level=cents,
                unit="cents",
                words=f"the held note jumps {'up' if cents > 0 else 'down'} by {size}, to {hz:.0f} "
                f"Hz, from {begin:.2f} to {end:.2f} s",
            )
        )
    return found


def cents_around(f0: Tensor, frames: int) -> Tensor:
    """Cents from the running median over `frames` to each F0. Shape: [F]."""
    half = frames // 2
    cents = 1200.0 * torch.log2(f0)
    padded = torch.cat([cents[:1].expand(half), cents, cents[-1:].expand(half)])
    return cents - padded.unfold(0, 2 * half + 1, 1).median(1).values


def held_notes(
    signal: Analysis, seconds: float, cents: float = _HELD_CENTS
) -> list[tuple[int, int]]:
    """First frame and one past the last of notes held for `seconds` or longer, within `cents`."""
    pitch = signal.pitch
    held = (pitch.strength > _PERIODIC) & (cents_around(pitch.f0, _AROUND).abs() < cents)
    held &= (signal.level > signal.active_level - _LOUD) & (pitch.f0 < _HIGHEST)
    return runs(held, round(seconds / signal.frame_seconds))


def _against(estimate: Analysis, reference: Analysis) -> list[tuple[int, int, float]]:
    """Frames and cents of each difference from the reference in its held notes."""
    cents = 1200.0 * torch.log2(estimate.pitch.f0 / reference.pitch.f0)
    off = (cents.abs() > _STEP) & (estimate.pitch.strength > _PERIODIC)
    steps = []
    for begin, end in held_notes(reference, _NOTE):
        for first, last in runs(off[begin:end], _SHORTEST):
            first, last = begin + first, begin + last
            jump = float(cents[first:last].median())
            if abs(jump) < 600.0 or _confirmed(estimate, reference, first, last, jump):
                steps.append((first, last, jump))
    return steps


def _confirmed(
    estimate: Analysis, reference: Analysis, first: int, last: int, cents: float
) -> bool:
    """Whether harmonics tell of a jump by an octave or more, and not the tracker alone.

    Upwards, odd harmonics of the reference's F0 vanish; downwards, there is energy half-way between
    its harmonics.
    """
    f0 = reference.pitch.f0[first:last]
    odd = torch.arange(1, 2 * _HARMONICS, 2)
    if cents > 0:
        return _comb(reference, first, f0, odd) - _comb(estimate, first, f0, odd) > _CONFIRMED
    halves = odd / 2
    return _comb(estimate, first, f0, halves) - _comb(reference, first, f0, halves) > _CONFIRMED


def _comb(signal: Analysis, first: int, f0: Tensor, multiples: Tensor) -> float:
    """Mean level at multiples of F0 relative to that at its even multiples, in dB."""
    levels = signal.decibels[first : first + len(f0)]

    def mean(numbers: Tensor) -> float:
        places = (f0[:, None] * numbers / signal.bin_hz).round().long()
        inside = places < levels.shape[1]
        return float(levels.gather(1, places.clamp_max(levels.shape[1] - 1))[inside].mean())

    return mean(multiples) - mean(torch.arange(2, _HARMONICS + 1, 2))


def _alone(estimate: Analysis) -> list[tuple[int, int, float]]:
    """Frames and cents of each excursion from a note that is held before and after."""
    notes = held_notes(estimate, _NOTE)
    cents = 1200.0 * torch.log2(estimate.pitch.f0)
    longest = round(_LONGEST / estimate.frame_seconds)
    steps = []
    for (begin, first), (last, end) in zip(notes, notes[1:], strict=False):
        if not _SHORTEST <= last - first <= longest:
            continue
        inside = cents[first:last]
        before, after = cents[begin:first].median(), cents[last:end].median()
        periodic = estimate.pitch.strength[first:last] > _PERIODIC
        away = periodic & ((inside - before).abs() > _BARE_STEP)
        if bool((before - after).abs() < _RETURN) and int(away.sum()) >= _SHORTEST:
            steps.append((first, last, float((inside - before)[away].median())))
    return steps
