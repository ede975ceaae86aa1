"""F0 from a mel by the network published with HiFTNet."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.pitch import Pitch
from vocoder.errors import ConfigError
from vocoder.nn.pitch import PitchEstimator

_KERNEL = 3
_POOLING = 2  # of the bands, in front of each residual block
_LAST_POOLING = 4  # after them
_DROPOUT = 0.2


class JDC(PitchEstimator):
    """Estimate F0 by convolutions over time and bands and a recurrent network over time.

    It predicts one number per frame, whose magnitude is F0 in Hz. The published network has
    `channels` 64; widths grow to four times that. Its second output (voice activity) is not used by
    HiFTNet and is not built. The LSTM depends on all frames, so the network cannot stream. Raises
    ConfigError for too few bands.

    Shape: mel [B, M, F] → f0 [B, F].
    Kum and Nam 2019 (Joint Detection and Classification); one output as in HiFTNet's code.
    """

    def __init__(
        self, n_mels: int, *, channels: int = 64, f_min: float = 60.0, f_max: float = 600.0
    ) -> None:
        super().__init__()
        self.f_min, self.f_max = f_min, f_max
        bands = n_mels // _POOLING**3 // _LAST_POOLING
        if bands < 1:
            raise ConfigError(f"JDC has n_mels {n_mels}, too few to pool; use 32 or more")
        widths = [channels, 2 * channels, 3 * channels, 4 * channels]
        self.conv_block = _convs(1, channels)
        self.res_blocks = nn.Sequential(
            *(
                _ResBlock(in_channels, out_channels)
                for in_channels, out_channels in pairwise(widths)
            )
        )
        self.pool_block = nn.Sequential(*_pooled(widths[-1], _LAST_POOLING), nn.Dropout(_DROPOUT))
        self.bilstm_classifier = nn.LSTM(
            widths[-1] * bands, widths[-1], batch_first=True, bidirectional=True
        )
        self.classifier = nn.Linear(2 * widths[-1], 1)

    def forward(self, mel: Tensor) -> Tensor:
        """Estimate F0 from log-mel spectrograms."""
        x = self.conv_block(mel.transpose(1, 2)[:, None])  # [B, C, F, M]
        x = self.pool_block(self.res_blocks(x))  # [B, 4 C, F, M / 32]
        x, _ = self.bilstm_classifier(x.transpose(1, 2).flatten(2))  # [B, F, 8 C]
        f0: Tensor = self.classifier(x)[..., 0].abs()
        return f0

    def f0(self, mel: Tensor) -> Tensor:
        """Estimate F0 in Hz, near 0 where unvoiced.   Shape: [B, M, F] → [B, F]."""
        f0: Tensor = self(mel)
        return f0

    def losses(self, estimate: Tensor, target: Pitch) -> dict[str, Tensor]:
        """Smooth L1 in Hz over voiced frames ("pitch"), and against 0 over the rest ("voicing")."""
        voiced = target.voiced.to(estimate.dtype)
        error = F.smooth_l1_loss(estimate, target.f0 * voiced, reduction="none")
        return {"pitch": _mean(error, voiced), "voicing": _mean(error, 1.0 - voiced)}


class _ResBlock(nn.Module):
    """Shape: [B, in_channels, F, M] → [B, out_channels, F, M / 2]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pre_conv = nn.Sequential(*_pooled(in_channels, _POOLING))
        self.conv = _convs(in_channels, out_channels)
        self.conv1by1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pool the bands, then one residual step."""
        x = self.pre_conv(x)
        y: Tensor = self.conv(x) + self.conv1by1(x)
        return y


def _pooled(channels: int, pool: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.LeakyReLU(), nn.MaxPool2d((1, pool))]


def _convs(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, _KERNEL, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(),
        nn.Conv2d(out_channels, out_channels, _KERNEL, padding=1, bias=False),
    )


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    return (error * weight).sum() / weight.sum().clamp_min(1.0)
