"""Which preset's filterbank a mel was made with, told from its values alone.

Triangular mel filters cover few bins of the FFT at low frequencies, so their areas and the number
of bins in each differ from band to band in a way of their own for every set of settings. The areas
show in the mean steps between neighbouring bands, the numbers in how much those steps fluctuate.
What the steps of white noise are by each preset is compared with those of the mel, beside the shape
of the mean spectrum.
"""

import dataclasses
import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.features.mel import PRESETS, MelSpec, MelSpectrogram
from vocoder.io.defaults import Float32OnCpu

_FRAMES = 1600  # of noise
_FEWEST = 24  # frames of a mel from which its steps say something
_SMOOTHED = 4  # bands on both sides
# Log odds of presets: the most used one, and others.
_USUAL = {"hifigan_22k_80": 1.0, "bigvgan_24k_100": 0.5, "vocos_24k_100": 0.5}
_EVIDENCE = 0.35  # weight of a log likelihood ratio, as neighbouring bands are not independent
_SAME_SCALE = 2.0  # log odds of a preset whose own normalisation is that of the mel


@dataclass(frozen=True)
class PresetMatch:
    """A preset, those of the same spectrogram, and its probability among the presets."""

    name: str
    aliases: tuple[str, ...]
    probability: float


def rank_presets(
    nepers: Tensor, normalisation: str | None, *, by_statistics: bool = False
) -> list[PresetMatch]:
    """Presets with as many bands as a mel, the most probable first; empty if there are none.

    `nepers` are its magnitudes in nepers, bands first; `normalisation` is the name of how it was
    stored, and `by_statistics` whether that was by a training set. Shape: [M, F].
    """
    groups: dict[MelSpec, list[str]] = {}
    for name, spec in PRESETS.items():
        if spec.n_mels == len(nepers):
            groups.setdefault(spectrogram_of(spec), []).append(name)
    if not groups:
        return []
    best = []
    for spec, names in groups.items():
        odds = {name: _prior(name, normalisation, by_statistics) for name in names}
        ordered = sorted(names, key=lambda name: -odds[name])
        best.append((_evidence(nepers, spec) + odds[ordered[0]], ordered))
    highest = max(score for score, _ in best)
    weights = [math.exp(score - highest) for score, _ in best]
    found = [
        PresetMatch(names[0], tuple(names[1:]), weight / sum(weights))
        for (_, names), weight in zip(best, weights, strict=True)
    ]
    return sorted(found, key=lambda match: -match.probability)


def spectrogram_of(spec: MelSpec) -> MelSpec:
    """The settings that decide the spectrogram alone: without logarithm, floors, mean and scale.

    Padding does not show in the values.
    """
    return dataclasses.replace(
        spec, log="ln", log_floor=1e-5, power_floor=0.0, mean=(), scale=(), padding="same"
    )


def _prior(name: str, normalisation: str | None, by_statistics: bool) -> float:
    spec = PRESETS[name]
    if by_statistics:  # ParallelWaveGAN and ESPnet do so, after log10 with a floor of 1e-10
        return _SAME_SCALE * (spec.log == "log10" and spec.log_floor == 1e-10)
    same = normalisation is not None and _stored_as(spec) == _stored_as(
        spec.normalised(normalisation)
    )
    return _USUAL.get(name, 0.0) + _SAME_SCALE * same


def _stored_as(spec: MelSpec) -> tuple[str, float, float]:
    return spec.log, (spec.mean or (0.0,))[0], (spec.scale or (1.0,))[0]


def _evidence(nepers: Tensor, spec: MelSpec) -> float:
    """Log likelihood ratio of the steps of a mel by a spec's noise, against smooth ones."""
    lag = max(1, round(spec.win_length / spec.hop_length))
    if nepers.shape[1] < max(_FEWEST, 3 * lag) or len(nepers) < 4 * _SMOOTHED:
        return 0.0
    steps, spread, enough = _steps(nepers, lag)
    if enough.sum() < 3 * _SMOOTHED:
        return 0.0
    noise_steps, noise_spread = _noise_steps(spec)
    return _EVIDENCE * sum(
        _ratio(_rough(torch.where(enough, own, expected))[enough], _rough(expected)[enough])
        for own, expected in ((steps, noise_steps), (spread, noise_spread))
    )


def _ratio(own: Tensor, expected: Tensor) -> float:
    """Log likelihood ratio of `own` with mean `expected` against mean 0, robust to outliers."""
    deviation = (own.abs().median() / 0.6745).clamp_min(0.05)
    limit = 4.0 * deviation
    without = own.clamp(-limit, limit).square().sum()
    left = (own - expected).clamp(-limit, limit).square().sum()
    return ((without - left) / (2.0 * deviation.square())).item()


def _steps(nepers: Tensor, lag: int) -> tuple[Tensor, Tensor, Tensor]:
    """Median step to the next band, log of its fluctuation, and where there is enough of both."""
    inside = nepers > nepers.min() + 1e-6
    inside = inside[1:] & inside[:-1]
    steps = nepers[1:] - nepers[:-1]
    apart = inside[:, lag:] & inside[:, :-lag]
    moves = (steps[:, lag:] - steps[:, :-lag]).abs()
    spread = torch.where(apart, moves, torch.nan).nanmedian(dim=1).values.clamp_min(1e-4).log()
    middle = torch.where(inside, steps, torch.nan).nanmedian(dim=1).values
    enough = (apart.sum(dim=1) >= 8) & spread.isfinite() & middle.isfinite()
    return middle, spread, enough


def _rough(values: Tensor) -> Tensor:
    """What differs from the mean over nine neighbours. Shape: [M] → [M]."""
    padded = F.pad(values[None, None], (_SMOOTHED, _SMOOTHED), mode="reflect")
    return values - F.avg_pool1d(padded, 2 * _SMOOTHED + 1, 1)[0, 0]


@functools.lru_cache(maxsize=32)
def _noise_steps(spec: MelSpec) -> tuple[Tensor, Tensor]:
    """The steps of white noise."""
    generator = torch.Generator().manual_seed(0)
    with Float32OnCpu():
        noise = 0.1 * torch.randn(1, 1, spec.hop_length * _FRAMES, generator=generator)
        mel = MelSpectrogram(spec)(noise)[0] / spec.power
    steps, spread, _ = _steps(mel, max(1, round(spec.win_length / spec.hop_length)))
    return steps, spread
