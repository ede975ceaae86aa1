"""Imaging: mirror images of the spectrum, left by up-sampling that does not filter."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, hertz
from vocoder.evaluation.artefacts.artefact import Artefact

_USUAL = (2, 4, 8)
_LOWEST_HZ = 1000.0  # of a mirror; lower ones lie within the harmonics of voices
_STRUCTURE = 6  # bins on each side over which the envelope is averaged
_CLIP = 12.0  # dB; a few strong tones shall not decide
_NEARBY = 60  # bins on each side of a mirror where no other place may be as symmetric
_SYMMETRY = 0.06
_MARGIN = 0.02
_SILENT_SHARE = 1e-4  # of the energy; a side with less has no structure
_OVER_REFERENCE = 0.04
_PEAK = 6.0  # dB above the envelope
_PEAKS = 20
_QUIET = -88.0  # dBFS; below is rounding


def find_imaging(pair: Pair) -> list[Artefact]:
    """Spectra that are symmetric about k · sample_rate / (2 r), for the generator's rates r.

    r is a product of the last up-sampling factors (without them: 2, 4, 8): a layer of factor u that
    does not filter repeats its input's spectrum mirrored about multiples of half its input's rate.
    The symmetry about a frequency is the correlation of the fine structure (levels in dB less their
    mean over 6 bins on each side, at most ±12 dB) on both sides of it, over the whole recording. It
    must be 0.06 or more, above that about all other frequencies within 60 bins by 0.02, and with a
    reference, above the reference's by 0.04.

    One artefact for each mirror. The level in dB is that of the image relative to its source.
    """
    estimate = pair.estimate
    symmetry = _symmetry(estimate)
    found = []
    for hz in _mirrors(pair.upsampling, estimate.sample_rate):
        place = round(2.0 * hz / estimate.bin_hz)
        if not _stands_out(symmetry, place):
            continue
        own = float(_symmetry(pair.reference)[place]) if pair.reference is not None else 0.0
        if float(symmetry[place]) < own + _OVER_REFERENCE:
            continue
        level = _image_level(estimate, place)
        if level is None:
            continue
        reach = min(hz, estimate.sample_rate / 2 - hz)
        found.append(
            Artefact(
                detector="imaging",
                begin=0.0,
                end=estimate.seconds,
                low_hz=hz - reach,
                high_hz=hz + reach,
                level=level,
                unit="dB",
                words=f"a mirror image of the spectrum about {hertz(hz)}, {-level:.0f} dB below "
                f"its source",
            )
        )
    return found


def _mirrors(upsampling: Sequence[int], sample_rate: int) -> list[float]:
    """Frequencies about which images of the generator's layers would lie, in Hz."""
    factors = list(upsampling)
    products = [math.prod(factors[n:]) for n in range(len(factors))] if factors else list(_USUAL)
    mirrors = {round(k * sample_rate / (2 * r), 2) for r in products if r > 1 for k in range(1, r)}
    return sorted(hz for hz in mirrors if hz >= _LOWEST_HZ and sample_rate / 2 - hz >= _LOWEST_HZ)


def _structure(signal: Analysis) -> Tensor:
    """Fine structure of every second frame, in dB. Shape: [F, K]."""
    levels = signal.decibels[::2]
    width = 2 * _STRUCTURE + 1
    mean = F.avg_pool1d(levels[None], width, 1, _STRUCTURE, count_include_pad=False)[0]
    return ((levels - mean).clamp(-_CLIP, _CLIP)) * (mean > _QUIET)


def _symmetry(signal: Analysis) -> Tensor:
    """Correlation of both sides of each half bin. Shape: [2 K - 1].

    The sum of products of what lies at equal distance is the convolution of a spectrum with itself.
    """
    fine = _structure(signal)
    bins = fine.shape[1]
    size = 1 << (2 * bins - 1).bit_length()
    transformed = torch.fft.rfft(fine, n=size)
    products = torch.fft.irfft(transformed.square().sum(0), n=size)[: 2 * bins - 1]
    energy = F.pad(fine.square().sum(0).cumsum(0), (1, 0))
    place = torch.arange(2 * bins - 1)
    low, high = (place - bins + 1).clamp_min(0), place.clamp_max(bins - 1)
    middle = place // 2
    below = energy[middle + 1] - energy[low]
    above = energy[high + 1] - energy[(place + 1) // 2]
    least = _SILENT_SHARE * float(energy[-1]) + 1e-6
    symmetry: Tensor = products / (2.0 * (below * above).sqrt().clamp_min(least))
    return symmetry


def _stands_out(symmetry: Tensor, place: int) -> bool:
    """Whether the symmetry about a place exceeds that about all others nearby."""
    value = symmetry[place - 1 : place + 2].max()
    beside = [
        symmetry[max(0, place - 2 * _NEARBY) : place - 4],
        symmetry[place + 5 : place + 2 * _NEARBY],
    ]
    others = torch.cat(beside)
    return bool(value > others.max() + _MARGIN) and bool(value > _SYMMETRY)


def _image_level(signal: Analysis, place: int) -> float | None:
    """Median level of the image opposite to peaks of its source in dB, None without such peaks."""
    fine, levels = _structure(signal), signal.decibels[::2]
    reach = min(place // 2, fine.shape[1] - 1 - (place + 1) // 2)
    below = torch.arange(place // 2 - reach, place // 2 - 2)
    above = place - below
    peak = (fine[:, below] > _PEAK) & (fine[:, above] > 0.0) & (levels[:, below] > levels[:, above])
    falls = (levels[:, above] - levels[:, below])[peak]
    return float(falls.median()) if len(falls) >= _PEAKS else None
