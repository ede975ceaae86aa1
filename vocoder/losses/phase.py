"""Reconstruction losses on the phases of short-time spectra, which losses on magnitudes ignore.

All map (fake, real) of shape [B, C, T] to an unweighted scalar in float32, zero for equal signals,
finite in value and gradient for silence. The distances, and how bins close to silence are weighted,
are those of `vocoder.dsp.phase`.

Ai and Ling 2023 (APNet, arXiv 2305.07952); resolution as in Lu et al. 2024 (AP-BWE, arXiv
2401.06387).
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from vocoder.dsp.phase import group_delay, instantaneous_frequency, instantaneous_phase
from vocoder.dsp.resolutions import resolutions_from
from vocoder.losses.spectral import SingleResolution

RESOLUTION = (1024, 80, 320)


class _Phase(SingleResolution):
    """`distance` of the spectra at `resolution` (n_fft, hop_length, win_length)."""

    distance: Callable[[Tensor, Tensor], Tensor]

    def __init__(self, *, resolution: Sequence[int] = RESOLUTION) -> None:
        super().__init__(*resolutions_from([resolution]))

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        return self.distance(self.bins(fake), self.bins(real))


class InstantaneousPhase(_Phase):
    """Mean anti-wrapped difference of the phases of spectra, in radians.

    `resolution` is (n_fft, hop_length, win_length).
    """

    distance = staticmethod(instantaneous_phase)


class GroupDelay(_Phase):
    """Mean anti-wrapped difference of the phase steps from bin to bin, in radians per bin.

    `resolution` is (n_fft, hop_length, win_length).
    """

    distance = staticmethod(group_delay)


class InstantaneousFrequency(_Phase):
    """Mean anti-wrapped difference of the phase steps from frame to frame, in radians per hop.

    `resolution` is (n_fft, hop_length, win_length).
    """

    distance = staticmethod(instantaneous_frequency)
