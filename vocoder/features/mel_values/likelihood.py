"""How likely the properties of a mel are among recordings, and among mels that models predict.

The numbers were measured on 240 recordings (speech of both sexes, singing, instruments, noise,
animals, steps), each as four spectrograms, as they are and smoothed in time and across bands as
acoustic models do. Levels and ranges are taken as Student-distributed, so that one odd property
does not decide; the fluctuation depends on how smooth the mel is.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.features.mel_values.analysis import MelProperties

_DEGREES = 6.0  # of freedom
_SCALED_PROPERTIES = 3  # those that a change of scale multiplies: loud, quiet and low


class _Kind(NamedTuple):
    """Share, and means and deviations of log fluctuation and smoothness, of one kind of mels."""

    share: float
    mean: tuple[float, float]
    deviation: tuple[float, float]


class _Population:
    """Distribution of loud, quiet, low, log range, log tilt and profile, and of the kinds."""

    def __init__(
        self, mean: list[float], covariance: list[list[float]], kinds: list[_Kind]
    ) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float64, device="cpu")
        rows = [row + [0.0] * (6 - len(row)) for row in covariance]
        lower = torch.tensor(rows, dtype=torch.float64, device="cpu")
        matrix = lower + lower.tril(-1).T
        self.precision = torch.linalg.inv(matrix)
        self.constant = -0.5 * torch.logdet(matrix).item()
        self.kinds = kinds

    def log_density(self, properties: MelProperties) -> float:
        """Logarithm of the density of properties, up to a constant of all populations."""
        values = (
            *properties[:3],
            math.log(max(properties.range, 1e-3)),
            math.log(max(properties.tilt, 1e-3)),
            properties.profile,
        )
        off: Tensor = torch.tensor(values, dtype=torch.float64, device="cpu") - self.mean
        density = self.constant + _student(float(off @ self.precision @ off), len(values))
        if properties.fluctuation is None or properties.smoothness is None:
            return density
        measured = (math.log(max(properties.fluctuation, 1e-3)), min(properties.smoothness, 1.5))
        return density + math.log(sum(_likelihood(measured, kind) for kind in self.kinds))


def _likelihood(measured: tuple[float, float], kind: _Kind) -> float:
    scores = zip(measured, kind.mean, kind.deviation, strict=True)
    distance = sum(((value - mean) / deviation) ** 2 for value, mean, deviation in scores)
    return kind.share / math.prod(kind.deviation) * math.exp(_student(distance, len(measured)))


def _student(distance: float, dimensions: int) -> float:
    return -0.5 * (_DEGREES + dimensions) * math.log1p(distance / _DEGREES)


# Recordings, four degrees of smoothing, and smoothed mels with noise.
_MELS = _Population(
    [-2.24, -5.71, -8.91, 2.03, 0.09, -0.74],
    [
        [0.876],
        [0.821, 4.440],
        [0.560, 2.933, 3.521],
        [0.043, -0.277, -0.417, 0.071],
        [0.037, 0.193, -0.155, 0.041, 0.148],
        [-0.008, -0.280, -0.108, -0.002, -0.093, 0.275],
    ],
    [
        _Kind(0.60, (-0.03, 0.642), (0.26, 0.087)),
        _Kind(0.08, (-0.98, 0.478), (0.36, 0.070)),
        _Kind(0.08, (-1.13, 0.370), (0.37, 0.030)),
        _Kind(0.08, (-1.32, 0.312), (0.38, 0.030)),
        _Kind(0.08, (-1.48, 0.286), (0.39, 0.030)),
        _Kind(0.08, (-0.26, 0.877), (0.40, 0.055)),
    ],
)
# The same, of speech and singing, with mean 0 and deviation 1 in every band of the corpus; levels
# and lowest values are not relative to noise.
_NORMALISED_MELS = _Population(
    [1.16, -0.92, -1.85, 1.25, -1.45, -0.01],
    [
        [0.174],
        [0.079, 0.406],
        [0.064, 0.278, 0.381],
        [0.021, -0.052, -0.088, 0.031],
        [-0.014, 0.059, -0.014, 0.009, 0.163],
        [0.042, 0.030, 0.026, 0.004, 0.006, 0.049],
    ],
    [
        _Kind(0.60, (-0.60, 0.601), (0.20, 0.032)),
        _Kind(0.08, (-1.49, 0.441), (0.20, 0.030)),
        _Kind(0.08, (-1.62, 0.357), (0.20, 0.030)),
        _Kind(0.08, (-1.80, 0.306), (0.20, 0.030)),
        _Kind(0.08, (-1.95, 0.282), (0.20, 0.030)),
        _Kind(0.08, (-0.95, 0.834), (0.40, 0.033)),
    ],
)


def mel_likelihood(properties: MelProperties, slope: float) -> float:
    """Log likelihood of values, of which one unit is `slope` nepers, by their properties in nepers.

    It is relative: only differences between readings of the same values mean anything.
    """
    return _MELS.log_density(properties) + _SCALED_PROPERTIES * math.log(slope)


def normalised_likelihood(properties: MelProperties, noise: float) -> float:
    """Log likelihood of values as normalised by statistics of a corpus, as of `mel_likelihood`.

    `properties` are those of the values, taken as nepers, relative to `noise` where they are.
    """
    loud, quiet, low = (value + noise for value in properties[:3])
    return _NORMALISED_MELS.log_density(properties._replace(loud=loud, quiet=quiet, low=low))
