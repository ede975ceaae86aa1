"""Reconstruction losses on the samples themselves.

All map (fake, real) of shape [B, C, T] to an unweighted scalar in float32, zero for equal signals.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.errors import ConfigError


class WaveformL1(nn.Module):
    """Mean absolute difference of samples, for generators that can follow the recording's phase.

    Défossez et al. 2022 (EnCodec, arXiv 2210.13438), sec. 3.4.
    """

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        return F.l1_loss(fake.float(), real.float())


class Envelope(nn.Module):
    """Mean absolute difference of the upper envelopes plus that of the lower ones.

    An envelope is the extremes of windows of `window` samples, `hop_length` apart, the last one cut
    off by the end: loudness and asymmetry at the rate of a pitch period, independent of the phase
    within.

    Public implementations of RefineGAN (Xu et al. 2021, arXiv 2111.00962), at 44.1 kHz; those leave
    out the samples after the last whole window. Raises ConfigError for a hop beyond the window.
    """

    def __init__(self, *, window: int = 100, hop_length: int = 50) -> None:
        super().__init__()
        if not 0 < hop_length <= window:
            raise ConfigError(
                f"envelope has hop_length {hop_length} and window {window}; "
                "choose a hop between 1 and the window, or samples are left out"
            )
        self.window, self.hop_length = window, hop_length

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        fake, real = fake.float(), real.float()
        upper = F.l1_loss(self._peaks(fake), self._peaks(real))
        return upper + F.l1_loss(self._peaks(-fake), self._peaks(-real))

    def _peaks(self, audio: Tensor) -> Tensor:
        """Largest sample of every window.   Shape: [B, C, T] → [B, C, windows], T >= 1."""
        window = min(self.window, audio.shape[-1])
        return F.max_pool1d(audio, window, min(self.hop_length, window), ceil_mode=True)
