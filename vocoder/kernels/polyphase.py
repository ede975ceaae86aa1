"""Doubling and halving of the rate as filters of the even and the odd samples (polyphase)."""

import functools
from typing import NamedTuple, Self

from vocoder.dsp.lowpass import anti_aliasing_taps


class PhaseFilter(NamedTuple):
    """One of the filters: output t is the sum of `weights` times inputs from t + `begin` on."""

    begin: int
    weights: tuple[float, ...]

    def adjoint(self) -> "PhaseFilter":
        """The filter of the gradient: from that of its outputs to that of its inputs."""
        return PhaseFilter(1 - self.begin - len(self.weights), self.weights[::-1])


class Polyphase(NamedTuple):
    """The filters of `upsample2` and `downsample2` for the taps of `AntiAliased`.

    Sample m of a doubled signal is number m // 2 of its even or odd samples. An output of either
    step takes inputs from `before` earlier to `after` later ones.
    """

    before: int
    after: int
    doubling: tuple[PhaseFilter, PhaseFilter]
    """They make the even and the odd samples."""
    halving: tuple[PhaseFilter, PhaseFilter]
    """They filter the even and the odd samples; the output is the sum."""

    @classmethod
    @functools.cache
    def of(cls, causal: bool) -> Self:
        """The filters of the causal or the centered form."""
        taps = tuple(anti_aliasing_taps().tolist())
        twice = tuple(2.0 * tap for tap in taps)
        if causal:
            doubling = PhaseFilter(-5, twice[10::-2]), PhaseFilter(-5, twice[11::-2])
            return cls(5, 0, doubling, (PhaseFilter(-5, taps[0::2]), PhaseFilter(-5, taps[1::2])))
        doubling = PhaseFilter(-3, twice[11::-2]), PhaseFilter(-2, twice[10::-2])
        return cls(3, 3, doubling, (PhaseFilter(-2, taps[1::2]), PhaseFilter(-3, taps[0::2])))

    @property
    def halo(self) -> int:
        """Inputs that a block of outputs needs beyond its own number."""
        return self.before + self.after

    def adjoint(self) -> "Polyphase":
        """The filters of the gradients: halving's doubles them, doubling's halves them."""
        even, odd = self.halving
        doubling = even.adjoint(), odd.adjoint()
        even, odd = self.doubling
        return Polyphase(self.after, self.before, doubling, (even.adjoint(), odd.adjoint()))
