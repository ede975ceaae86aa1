"""Base class of generators whose source signal is driven by F0."""

from typing import Self

import torch
from torch import Tensor

from vocoder.dsp.pitch import Pitch
from vocoder.features.f0 import F0
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator
from vocoder.kernels.chunk_invariant import make_chunk_invariant
from vocoder.nn.pitch import PitchEstimator


class PitchedGenerator(Generator):
    """Base class of generators that need F0, by default estimated from the mel by `pitch`.

    `f0` [B, F] is in Hz, 0 where unvoiced. The estimator is trained by the losses of `auxiliary`
    alone, so the generator may be trained with the F0 of the recording and still vocode from a mel.
    """

    features = ("mel", "f0")
    double_precision = True

    def __init__(self, *, mel: MelSpec, pitch: PitchEstimator) -> None:
        super().__init__(hop_length=mel.hop_length)
        self.pitch = pitch
        self.tracker = F0(mel, f_min=pitch.f_min, f_max=pitch.f_max)

    def freeze(self) -> Self:
        """Prepare for inference as `Generator.freeze` does, with F0 in double precision.

        Otherwise the phase, which accumulates F0, would drift apart in a stream, and on another
        machine.
        """
        super().freeze()
        make_chunk_invariant(self.pitch, double=True)
        return self

    def estimate(self, mel: Tensor) -> Tensor:
        """Estimate F0 from the mel, without gradient.   Shape: [B, M, F] → [B, F]."""
        with torch.no_grad():
            return self.pitch.f0(mel)

    def auxiliary(self, real: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Losses of the pitch estimate against the recording's F0: "pitch", "voicing"."""
        f0 = features["f0"] if "f0" in features else self.tracker(real)
        # Unvoiced frames have no weight, but their logarithm must be finite.
        target = Pitch(f0.clamp_min(self.pitch.f_min), f0 > 0.0)
        return self.pitch.losses(self.pitch(features["mel"]), target)
