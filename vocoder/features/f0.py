"""The fundamental frequency (F0) as a feature, for training source-filter generators."""

import torch
from torch import Tensor, nn

from vocoder.dsp.pitch import track_pitch
from vocoder.features.mel import MelSpec


class F0(nn.Module):
    """Audio to F0 in Hz at the frames of the mel `mel`, 0 where unvoiced, by `track_pitch`.

    Runs in float32 on the device of the input.   Shape: [B, 1, T] → [B, mel.frames(T)].
    """

    def __init__(self, mel: MelSpec, *, f_min: float = 60.0, f_max: float = 600.0) -> None:
        super().__init__()
        self.mel, self.f_min, self.f_max = mel, f_min, f_max

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """Estimate the F0 of mono signals."""
        f0, voiced = track_pitch(
            audio[:, 0].float(),
            sample_rate=self.mel.sample_rate,
            hop_length=self.mel.hop_length,
            padding=self.mel.padding,
            f_min=self.f_min,
            f_max=self.f_max,
        )
        return torch.where(voiced, f0, 0.0)
