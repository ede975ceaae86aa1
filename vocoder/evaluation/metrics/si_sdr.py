"""Scale-invariant ratio of signal to distortion."""

import math

import torch
from torch import Tensor

from vocoder.errors import AudioError

_MOST_DECIBELS = 100.0


def si_sdr(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Ratio of signal to distortion in dB, whatever the gain; higher is better.

    The mean of each signal is removed; the signal is the projection of the estimate on the
    reference, the distortion is the rest. From -100 to 100 dB, about the range of 16-bit files.
    Delay and phase count: models that make their own phase score about or below 0. Le Roux et al.
    2019.

    Shape: [T], [T].   AudioError for a signal that is constant.
    """
    real, fake = torch.stack([reference, estimate]).double()
    real, fake = real - real.mean(), fake - fake.mean()
    energies = real.square().sum(), fake.square().sum()
    if not min(energies):
        name = "estimate" if energies[0] else "reference"
        raise AudioError(f"the {name} is silent or constant, there is no ratio to distortion")
    target = (real @ fake) / energies[0] * real
    signal, distortion = target.square().sum().item(), (fake - target).square().sum().item()
    least = 10.0 ** (-_MOST_DECIBELS / 10.0)
    return 10.0 * math.log10(max(signal, least * distortion) / max(distortion, least * signal))
