"""Distances between the phases of complex spectra, without the jumps of 2π.

A phase is defined up to whole turns, so a difference x of two counts as |x - 2π round(x / 2π)|,
between 0 and π ("anti-wrapping"). The functions take complex spectra [..., K, F], of unit magnitude
where a network predicts phase alone, and return an unweighted scalar in float32, zero for equal
spectra, finite in value and gradient for silence.

Silence has no phase, and the gradient of a phase is 1 / magnitude, which the papers leave so. Here
a bin of magnitude below `FLOOR`, in the fake or the real, is weighted by magnitude / FLOOR, which
bounds the gradient of each difference by 3.3 / FLOOR. Above, the numbers are the papers'; of 16-bit
speech 0.1 to 5 % of the bins lie below.

Ai and Ling 2023 (APNet, arXiv 2305.07952).
"""

import torch
from torch import Tensor

from vocoder.dsp.stft import Padding, istft, magnitude, stft

# AP-BWE's offset under log-amplitudes; what rounding to 16 bit leaves in a bin of its spectrum.
FLOOR = 1e-4


def instantaneous_phase(fake: Tensor, real: Tensor) -> Tensor:
    """Mean anti-wrapped difference of phases.   Shape: [..., K, F], [..., K, F] → scalar."""
    return _mean_angle(_error(fake, real))


def group_delay(fake: Tensor, real: Tensor) -> Tensor:
    """Mean anti-wrapped difference of the phase steps from bin to bin.

    It ignores a rotation that all bins of a frame share.

    Shape: [..., K, F], [..., K, F] → scalar.
    """
    error = _error(fake, real)
    return _mean_angle(_between(error[..., 1:, :], error[..., :-1, :]))


def instantaneous_frequency(fake: Tensor, real: Tensor) -> Tensor:
    """Mean anti-wrapped difference of the phase steps from frame to frame; 0 for a single frame.

    Shape: [..., K, F], [..., K, F] → scalar.
    """
    error = _error(fake, real)
    return _mean_angle(_between(error[..., 1:], error[..., :-1]))


def consistency(
    spectrum: Tensor, window: Tensor, *, hop_length: int, padding: Padding = "center"
) -> Tensor:
    """Mean square, over real and imaginary parts, of what an inverse STFT does not preserve.

    A network may predict a spectrum that no signal has; this is its distance to the spectrum of the
    signal synthesised from it. Such a generator lists it in `Generator.auxiliary`. Needs two frames
    or more.

    Shape: [B, n_fft // 2 + 1, F] → scalar.
    """
    audio = istft(spectrum, window, hop_length=hop_length, padding=padding)
    consistent = stft(audio, window, hop_length=hop_length, padding=padding)
    return torch.view_as_real(spectrum - consistent).square().mean()


def _error(fake: Tensor, real: Tensor) -> Tensor:
    """Phasors whose angles are the differences of phase, of length 1 above the floor."""
    return _between(_phasors(fake), _phasors(real))


def _phasors(bins: Tensor) -> Tensor:
    return bins / magnitude(bins).clamp_min(FLOOR)


def _between(a: Tensor, b: Tensor) -> Tensor:
    """The product a · conj(b), real where a equals b: complex kernels may round it off the axis."""
    return torch.complex(a.real * b.real + a.imag * b.imag, a.imag * b.real - a.real * b.imag)


def _mean_angle(phasors: Tensor) -> Tensor:
    """Mean of |angle|, each weighted by the length of its phasor."""
    length = magnitude(phasors)
    # At the origin the angle has no gradient, but the weight takes it to zero from all sides.
    real = phasors.real.where(length > 1e-10, 1.0)
    angles = length * torch.atan2(phasors.imag.abs(), real)
    return angles.sum() / max(angles.numel(), 1)
