"""Audio as 16-bit samples, and the count of what they cannot hold."""

import logging
import math

import torch
from torch import Tensor

from vocoder.errors import AudioError

_log = logging.getLogger(__name__)
_FULL_SCALE = 1.0 + 0.5 / 32768  # 1.0 itself becomes the highest value


def pcm16(audio: Tensor) -> Tensor:
    """Convert audio to clipped 16-bit samples on the CPU.   Shape: […] → same."""
    # soundfile itself would write 32767/32768 of the level that it reads.
    scaled = (audio.detach().cpu().double() * 32768.0).round().clamp(-32768.0, 32767.0)
    return scaled.short()


class Clipping:
    """Counts the samples beyond full scale of audio that is written; `name` is where to.

    >>> clipping = Clipping("a.wav")
    >>> clipping.add(torch.tensor([0.0, 1.5, -1.0]))
    >>> clipping.clipped, clipping.peak
    (1, 1.5)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.samples = self.clipped = 0
        self.peak = 0.0

    def add(self, audio: Tensor) -> None:
        """Count one block of any shape. Raises AudioError if it has NaN or infinite samples."""
        if not audio.numel():
            return
        low, high = (float(value) for value in torch.aminmax(audio.detach()))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise AudioError(f"{self.name}: not written, the audio has NaN or infinite samples")
        self.samples += audio.numel()
        peak = max(-low, high)
        self.peak = max(self.peak, peak)
        if peak > _FULL_SCALE:
            self.clipped += int((audio.detach().abs() > _FULL_SCALE).sum())

    def warn(self) -> None:
        """Log one warning if anything was clipped."""
        if self.clipped:
            _log.warning(
                "%s: %d of %d samples (%.2g %%) are beyond full scale, up to %.2f times, and were "
                "clipped",
                *(self.name, self.clipped, self.samples),
                *(100 * self.clipped / self.samples, self.peak),
            )
