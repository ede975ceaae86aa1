"""Clipping: flat tops of the waveform, and samples above full scale."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, runs
from vocoder.evaluation.artefacts.artefact import Artefact

_FLAT = 3  # samples
_TOP = 0.98  # of the peak
_SAME = 5e-5  # between neighbours: a step of 16 bits is 3e-5
_CORNER = 1.5e-4  # beside a flat top; the tops of low tones are flat, too, but round
_LOWEST_PEAK = 0.02
_PLACES = 2
_OVER = 1.0001


def find_clipping(pair: Pair) -> list[Artefact]:
    """Flat tops, three samples or longer, in two places or more, and samples above full scale.

    A flat top is within 2 % of the recording's peak, its samples differ by less than two steps of
    16 bits, and the waveform bends sharply beside it. There must be twice as many as in the
    reference. The level is the share of such samples in per cent; above full scale, the peak in
    dBFS.
    """
    estimate = pair.estimate
    found = []
    peak = float(estimate.audio.abs().max())
    if peak > _OVER:
        over = estimate.audio.abs() > _OVER
        words = f"{int(over.sum())} samples lie above full scale, up to {_db(peak):+.1f} dBFS"
        found.append(_artefact(over, estimate, _db(peak), "dBFS", words))
    places, flat = _flat_tops(estimate)
    own = len(_flat_tops(pair.reference)[0]) if pair.reference else 0
    if len(places) >= max(_PLACES, 2 * own + 1):
        share = 100.0 * float(flat.float().mean())
        first = places[0][0] / estimate.sample_rate
        words = f"the waveform is clipped at {_db(peak):.1f} dBFS in {len(places)} places, first "
        found.append(_artefact(flat, estimate, share, "%", f"{words}at {first:.2f} s"))
    return found


def _flat_tops(signal: Analysis) -> tuple[list[tuple[int, int]], Tensor]:
    """Places of flat tops, and which samples belong to them. Shape of the latter: [T]."""
    audio = signal.audio
    peak = float(audio.abs().max())
    high = audio.abs() > _TOP * peak
    if peak < _LOWEST_PEAK or int(high.sum()) < _PLACES * _FLAT:
        return [], torch.zeros_like(high)
    steps = audio.diff().abs()
    corner = F.pad(steps, (1, 1)) > _CORNER
    joined = high[1:] & high[:-1] & (steps < _SAME)
    places = [
        (first, last + 1)
        for first, last in runs(joined, _FLAT - 1)
        if bool(corner[first] | corner[last + 1])
    ]
    flat = torch.zeros_like(high)
    for first, last in places:
        flat[first:last] = True
    return places, flat


def _artefact(mask: Tensor, signal: Analysis, level: float, unit: str, words: str) -> Artefact:
    where = mask.nonzero()[:, 0]
    return Artefact(
        detector="clipping",
        begin=int(where[0]) / signal.sample_rate,
        end=(int(where[-1]) + 1) / signal.sample_rate,
        level=level,
        unit=unit,
        words=words,
    )


def _db(amplitude: float) -> float:
    return float(20.0 * torch.log10(torch.tensor(amplitude)))
