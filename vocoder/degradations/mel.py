"""Degraded mels for training: vocoders that bear what acoustic models predict.

A vocoder that has only seen the mels of recordings turns the errors of predicted ones into noise.
Predicted mels lack fine structure in time and frequency, deviate at random, and may be stored with
few digits; so the mels of the training are smoothed, disturbed and quantised by random amounts.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.degradations.degrade import uniform
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram

_REACH = 3.0  # standard deviations of a smoothing window on either side


class DegradedMel(MelSpectrogram):
    """Mel spectrogram that is degraded at random in training: the feature "mel".

    Each item of a batch is degraded with the probability `share`, by amounts drawn uniformly from
    the ranges, in this order: smoothing along time and along frequency, noise, quantisation. All of
    it acts on the log of the magnitudes, whatever the log of the mel. In evaluation mode, as in
    validation, and for mels that come from files there is no degradation. Random numbers come from
    torch's global generator on the CPU. Raises ConfigError for ranges that are none.

    Shape: [B, 1, T] → [B, M, spec.frames(T)].

    Args:
        spec: Settings of the mel.
        share: Probability that an item is degraded.
        smoothing_frames: Range of the standard deviation of the Gaussian window along time.
        smoothing_bands: The same along frequency, in mel bands.
        noise_db: Range of the standard deviation of Gaussian noise, in dB.
        quantisation_db: Range of the step to whose multiples values are rounded, in dB.
    """

    def __init__(
        self,
        spec: MelSpec,
        *,
        share: float,
        smoothing_frames: Sequence[float],
        smoothing_bands: Sequence[float],
        noise_db: Sequence[float],
        quantisation_db: Sequence[float],
    ) -> None:
        super().__init__(spec)
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"share is {share}; it is a probability")
        self.share = share
        self.smoothing_frames = _range("smoothing_frames", smoothing_frames)
        self.smoothing_bands = _range("smoothing_bands", smoothing_bands)
        self.noise_db = _range("noise_db", noise_db)
        self.quantisation_db = _range("quantisation_db", quantisation_db)

    def forward(self, audio: Tensor) -> Tensor:
        """Compute the log-mel spectrograms of mono signals, in training mode degraded."""
        mel = super().forward(audio)
        return self.degrade(mel) if self.training else mel

    @torch.no_grad()
    def degrade(self, mel: Tensor) -> Tensor:
        """Degrade log-mels by random amounts.   Shape: [B, M, F] → same."""
        batch = len(mel)
        chosen = torch.rand(batch) < self.share
        ranges = (self.smoothing_frames, self.smoothing_bands, self.noise_db, self.quantisation_db)
        frames, bands, noise, step = (uniform(each, batch).to(mel.device) for each in ranges)
        # From here in dB of the magnitude: 20 log10 of the root of a power.
        per_neper = 20.0 / math.log(10.0) / self.spec.power
        level = per_neper * torch.log(self.spec.expand(mel).clamp_min(self.spec.log_floor))
        level = _smooth(level, frames, self.smoothing_frames[1])
        level = _smooth(level.mT, bands, self.smoothing_bands[1]).mT
        level = level + noise[:, None, None] * torch.randn(level.shape).to(mel.device)
        step = step[:, None, None]
        level = torch.where(step > 0, step * (level / step.clamp_min(1e-6)).round(), level)
        degraded = self.spec.compress(torch.exp(level / per_neper))
        return torch.where(chosen.to(mel.device)[:, None, None], degraded, mel)


def _smooth(values: Tensor, deviation: Tensor, largest: float) -> Tensor:
    """Smooth along the last axis by a Gaussian window for each item; 0 leaves it as it is.

    Shape: [B, N, L], [B] → [B, N, L].
    """
    reach = math.ceil(_REACH * largest)
    if reach == 0:
        return values
    offsets = torch.arange(-reach, reach + 1, device=values.device)
    window = torch.exp(-0.5 * (offsets / deviation[:, None].clamp_min(1e-3)).square())  # [B, K]
    window = window / window.sum(dim=1, keepdim=True)
    neighbours = F.pad(values, (reach, reach), mode="replicate").unfold(-1, 2 * reach + 1, 1)
    return torch.einsum("bnlk,bk->bnl", neighbours, window)


def _range(name: str, ends: Sequence[float]) -> tuple[float, float]:
    if len(ends) != 2 or not 0.0 <= ends[0] <= ends[1] < math.inf:
        raise ConfigError(f"{name} is {list(ends)}; give [lowest, highest], 0 or above")
    return float(ends[0]), float(ends[1])
