"""Phase: what magnitudes do not hear, compared without the jumps of 2π.

A phase is known only up to whole turns, so a difference x of two counts as |x - 2π round(x / 2π)|,
between 0 and π ("anti-wrapping"). The functions take complex spectra [..., K, F], of which a
network that predicts spectra has its own (of unit magnitude where it predicts phase alone); the
losses take (fake, real) of shape [B, C, T] and compare their short-time spectra. All give an
unweighted scalar in float32, zero for equal signals, finite in value and gradient for silence.

Silence has no phase, and the gradient of a phase is 1 / magnitude, which the papers leave so. Here
a bin of magnitude below `FLOOR`, in the fake or the real, counts by magnitude / FLOOR, which bounds
the gradient of each difference by 3.3 / FLOOR. Above, the numbers are the papers'; of 16-bit speech
0.1 to 5 % of the bins lie below.

Ai and Ling 2023 (APNet, arXiv 2305.07952); resolution as in Lu et al. 2024 (AP-BWE, arXiv
2401.06387).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vocoder.dsp.resolutions import resolutions_from
from vocoder.dsp.stft import Padding, istft, stft
from vocoder.features.mel import magnitude
from vocoder.losses.spectral import SingleResolution

# AP-BWE's offset under log-amplitudes; what rounding to 16 bit leaves in a bin of its spectrum.
FLOOR = 1e-4
RESOLUTION = (1024, 80, 320)


def instantaneous_phase(fake: Tensor, real: Tensor) -> Tensor:
    """Mean anti-wrapped difference of phases.   Shape: [..., K, F], [..., K, F] → scalar."""
    return _mean_angle(_error(fake, real))


def group_delay(fake: Tensor, real: Tensor) -> Tensor:
    """The same of the phases' steps from bin to bin; deaf to one turn of all bins of a frame."""
    error = _error(fake, real)
    return _mean_angle(_between(error[..., 1:, :], error[..., :-1, :]))


def instantaneous_frequency(fake: Tensor, real: Tensor) -> Tensor:
    """The same of the phases' steps from frame to frame; zero for a single frame."""
    error = _error(fake, real)
    return _mean_angle(_between(error[..., 1:], error[..., :-1]))


def consistency(
    spectrum: Tensor, window: Tensor, *, hop_length: int, padding: Padding = "center"
) -> Tensor:
    """Mean square, over real and imaginary parts, of what an inverse STFT does not keep.

    A network may predict a spectrum that no signal has; this is its distance to that of the signal
    made from it, for such a generator to name in its `Generator.auxiliary`. Two frames or more.

    Shape: [B, n_fft // 2 + 1, F] → scalar.
    """
    audio = istft(spectrum, window, hop_length=hop_length, padding=padding)
    kept = stft(audio, window, hop_length=hop_length, padding=padding)
    return torch.view_as_real(spectrum - kept).square().mean()


class _Phase(SingleResolution):
    """`distance` of the spectra at `resolution` (n_fft, hop_length, win_length)."""

    distance: Callable[[Tensor, Tensor], Tensor]

    def __init__(self, *, resolution: Sequence[int] = RESOLUTION) -> None:
        super().__init__(*resolutions_from([resolution]))

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        return self.distance(self.bins(fake), self.bins(real))


class InstantaneousPhase(_Phase):
    """`instantaneous_phase` of audio."""

    distance = staticmethod(instantaneous_phase)


class GroupDelay(_Phase):
    """`group_delay` of audio."""

    distance = staticmethod(group_delay)


class InstantaneousFrequency(_Phase):
    """`instantaneous_frequency` of audio, in radians per hop."""

    distance = staticmethod(instantaneous_frequency)


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
