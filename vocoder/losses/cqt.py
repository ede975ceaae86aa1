"""Constant-Q reconstruction loss: equally many bins in every octave."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.cqt import CQTSpec, cqt, cqt_kernels
from vocoder.nn.octaves import Octaves


class LogCQT(nn.Module):
    """Mean absolute difference of the logarithms of constant-Q magnitudes.

    The bins are those of one scale of `vocoder.discriminators.spectral.cqt.MultiScaleCQT`: of audio
    at twice its rate, in samples of which `hop_length` is given, from 32.7 Hz upwards. Magnitudes
    have a floor of 3e-4, where full scale is about √length / 2 of a bin, 6 or more.

    Maps (fake, real) of shape [B, C, T] to an unweighted scalar in float32, zero for equal signals,
    finite in value and gradient for silence. Raises ConfigError for sizes that `CQTSpec` refuses.
    """

    kernels: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        hop_length: int = 256,
        octaves: int = 9,
        bins_per_octave: int = 24,
    ) -> None:
        super().__init__()
        self.spec = CQTSpec(
            sample_rate=2 * sample_rate,
            hop_length=hop_length,
            octaves=octaves,
            bins_per_octave=bins_per_octave,
        )
        self.octaves = Octaves(octaves)
        self.register_buffer("kernels", cqt_kernels(self.spec), persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        with torch.autocast(fake.device.type, enabled=False):
            return F.l1_loss(self._log_magnitude(fake), self._log_magnitude(real))

    def _log_magnitude(self, audio: Tensor) -> Tensor:
        """Shape: [B, C, T] → [B * C, octaves, F, K]."""
        bins = cqt(self.octaves(audio), self.kernels, hop_length=self.spec.hop_length)
        return bins.square().sum(2).clamp_min(1e-7).log() / 2
