"""Fundamental frequency and voicing from a mel spectrogram."""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.pitch import Pitch, pitch_bins
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.kernels.chunk_invariant import double_linear
from vocoder.nn.convnext import ConvNeXtBackbone

_TOP_HZ = 1500.0  # up to here, mel bands are narrow enough to resolve the harmonics of a voice
VOICED_HZ = 10.0  # a lower F0, which no voice has, marks a frame as unvoiced
_MOST_BANDS = 512  # a pseudo-inverse of the filters of more would take seconds
_REACH = 3  # bins on either side of the best one that F0 is read from, and frames it is filled from


class PitchEstimator(nn.Module, ABC):
    """Base class of networks that estimate F0 from a mel, trained on the output of a tracker.

    F0 lies between `f_min` and `f_max` in Hz. `forward` maps a mel [B, M, F] to an estimate whose
    form the subclass chooses, `losses` compares it with the result of `track_pitch` for the
    recording, and `f0` maps a mel to F0.
    """

    f_min: float
    f_max: float

    @abstractmethod
    def f0(self, mel: Tensor) -> Tensor:
        """Estimate F0 in Hz, below `VOICED_HZ` where unvoiced.   Shape: [B, M, F] → [B, F]."""

    @abstractmethod
    def losses(self, estimate: Any, target: Pitch) -> dict[str, Tensor]:
        """Losses of the pitch of voiced frames ("pitch") and of the voicing ("voicing")."""


class NoPitch(PitchEstimator):
    """Stands for a missing estimator: F0 must be given with every mel.

    `f_min` and `f_max` in Hz are those of the tracker that measures F0 of recordings in training.
    """

    def __init__(self, *, f_min: float = 60.0, f_max: float = 1100.0) -> None:
        super().__init__()
        self.f_min, self.f_max = f_min, f_max

    def f0(self, mel: Tensor) -> Tensor:
        """Raise ConfigError, which says to give F0."""
        raise ConfigError(
            "the model has no pitch estimator; call it in Python with the F0 of every frame (f0=…)"
        )

    def losses(self, estimate: Any, target: Pitch) -> dict[str, Tensor]:
        """No losses."""
        return {}

    def forward(self, mel: Tensor) -> None:
        """No estimate."""


class PitchEstimate(NamedTuple):
    """Pitch estimate per frame: `logits` over pitch bins [B, P, F], `voicing` logit [B, F]."""

    logits: Tensor
    voicing: Tensor


class MelPitch(PitchEstimator):
    """Estimate F0 by classifying each mel frame over pitch bins, and as voiced or unvoiced.

    A classifier over narrow bins separates two candidates an octave apart, where a regression
    would return their mean; averaging the bins around the best one restores the precision (Kim et
    al. 2018, CREPE). The autocorrelation that the low mel bands imply is an input of the network
    and is added to its output; it indicates F0 without training and for any speaker. Raises
    ConfigError for too many bands or an empty range of F0.

    Args:
        mel: Settings of the mels.
        channels: Width of the ConvNeXt backbone.
        blocks: Number of its blocks.
        f_min: Lowest F0 in Hz.
        f_max: Highest F0 in Hz.
    """

    bins: Tensor
    offsets: Tensor
    inverse: Tensor
    cosines: Tensor

    def __init__(
        self,
        mel: MelSpec,
        *,
        channels: int,
        blocks: int,
        f_min: float = 60.0,
        f_max: float = 600.0,
    ) -> None:
        super().__init__()
        if mel.n_mels > _MOST_BANDS or not 1.0 <= f_min < f_max:
            raise ConfigError(
                f"MelPitch takes at most {_MOST_BANDS} mel bands and 1 Hz <= f_min < f_max, not "
                f"{mel.n_mels} bands, {f_min} and {f_max} Hz"
            )
        self.mel, self.f_min, self.f_max = mel, f_min, f_max
        bins = pitch_bins(f_min, f_max)
        self.register_buffer("bins", torch.log2(bins), persistent=False)
        offsets = torch.arange(-_REACH, _REACH + 1)[:, None]
        self.register_buffer("offsets", offsets, persistent=False)
        filterbank = MelSpectrogram(mel).filterbank
        low = math.ceil(_TOP_HZ * mel.n_fft / mel.sample_rate)  # bins below the top
        hz = torch.linspace(0.0, mel.sample_rate / 2, filterbank.shape[1])[:low]
        taper = 0.5 + 0.5 * torch.cos(math.pi * (hz / _TOP_HZ * 2.5 - 1.5).clamp(0.0, 1.0))
        cosines = torch.cos(2.0 * math.pi * hz / bins[:, None]) * taper
        inverse = torch.linalg.pinv(filterbank.double())[:low].float()
        self.register_buffer("inverse", inverse, persistent=False)
        self.register_buffer("cosines", torch.cat([taper[None], cosines]), persistent=False)
        self.backbone = ConvNeXtBackbone(
            in_channels=mel.n_mels + len(bins),
            channels=channels,
            hidden=2 * channels,
            blocks=blocks,
        )
        self.reach = self.backbone.reach + _REACH  # frames on either side that F0 depends on
        self.out = nn.Conv1d(channels, len(bins) + 1, 1)
        nn.init.zeros_(self.out.weight)
        self.sharpness = nn.Parameter(torch.tensor(20.0))

    def forward(self, mel: Tensor) -> PitchEstimate:
        """Compute logits over pitch bins and of voicing.

        Shape: [B, M, F] → logits [B, P, F], voicing [B, F].
        """
        frames = mel.mT  # [B, F, M]
        correlation = self.autocorrelation(self.mel.expand(mel).mT)
        features = torch.cat([frames, correlation], dim=-1).mT
        out = self.out(self.backbone(features))
        return PitchEstimate(out[:, :-1] + self.sharpness * correlation.mT, out[:, -1])

    def autocorrelation(self, linear: Tensor) -> Tensor:
        """Autocorrelation at the period of each pitch bin, from mel magnitudes.

        Shape: [B, F, M] → [B, F, P].
        """
        spectrum = double_linear(linear, self.inverse).clamp_min(0.0)
        sums = double_linear(spectrum, self.cosines)  # the first is the energy
        return sums[..., 1:] / sums[..., :1].clamp_min(1e-6)

    def f0(self, mel: Tensor) -> Tensor:
        """Estimate F0 in Hz, 0 where unvoiced.   Shape: [B, M, F] → [B, F]."""
        f0, voiced = self.decode(self(mel))
        return torch.where(voiced > 0.5, f0, 0.0)

    def decode(self, estimate: PitchEstimate) -> tuple[Tensor, Tensor]:
        """Decode an estimate to F0 in Hz and the probability of voicing.

        Unvoiced frames take F0 from voiced neighbours, so that interpolation between frames does
        not distort the first and last period of a voiced segment.

        Shape: [B, P, F] → [B, F], [B, F].
        """
        # In double precision: a phase accumulates F0, and with it the rounding errors of F0.
        best = estimate.logits.argmax(dim=1, keepdim=True)
        near = (best + self.offsets).clamp(0, len(self.bins) - 1)
        share = torch.softmax(estimate.logits.gather(1, near).double(), dim=1)
        octave = (share * self.bins[near]).sum(dim=1)
        voiced = torch.sigmoid(estimate.voicing.double())
        f0 = torch.exp2(_fill(octave, voiced))
        return f0.to(estimate.logits.dtype), voiced.to(estimate.logits.dtype)

    def losses(self, estimate: PitchEstimate, target: Pitch) -> dict[str, Tensor]:
        """Cross-entropy of the bins over voiced frames ("pitch") and of the voicing ("voicing")."""
        width = self.bins[1] - self.bins[0]
        distance = (self.bins[:, None] - torch.log2(target.f0)[:, None]) / width
        labels = torch.softmax(-0.5 * distance.square(), dim=1)  # Gaussian, one bin wide
        voiced = target.voiced.to(labels.dtype)
        entropy = -(labels * torch.log_softmax(estimate.logits.float(), dim=1)).sum(dim=1)
        return {
            "pitch": (entropy * voiced).sum() / voiced.sum().clamp_min(1.0),
            "voicing": F.binary_cross_entropy_with_logits(estimate.voicing.float(), voiced),
        }


def _fill(octave: Tensor, voiced: Tensor) -> Tensor:
    """Blend unvoiced frames towards the mean of voiced neighbours. Shape: [B, F] → same."""
    size = 2 * _REACH + 1
    # Cubed, so that a half-voiced frame counts for little beside a voiced one.
    weight = voiced.pow(3) + 1e-6
    total = F.avg_pool1d(torch.stack([octave * weight, weight], dim=1), size, 1, _REACH)
    return voiced * octave + (1.0 - voiced) * total[:, 0] / total[:, 1]
