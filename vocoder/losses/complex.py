"""Real and imaginary parts of spectra: the reconstruction loss that hears phase."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.resolutions import RESOLUTIONS, Resolution, resolutions_from
from vocoder.dsp.stft import hann_window, stft


class MultiResolutionComplex(nn.Module):
    """Mean absolute difference of real parts plus that of imaginary parts, over resolutions.

    Published: real and imaginary parts at several resolutions. Our choice: the absolute difference,
    Parallel WaveGAN's resolutions (n_fft, hop_length, win_length), their plain mean, and windows of
    unit energy, which give every resolution the same say: noise of variance σ² measures
    2 σ / √π = 1.13 σ against silence at all of them.

    Maps (fake, real) of shape [B, C, T] to an unweighted scalar in float32, zero for equal signals,
    finite in value and gradient for silence.
    Shen et al. 2024 (FA-GAN, arXiv 2407.04575), abstract.
    """

    def __init__(self, *, resolutions: Sequence[Sequence[int]] = RESOLUTIONS) -> None:
        super().__init__()
        self.resolutions = nn.ModuleList(
            _SingleResolution(resolution) for resolution in resolutions_from(resolutions)
        )

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        return torch.stack([single(fake, real) for single in self.resolutions]).mean()


class _SingleResolution(nn.Module):
    window: Tensor

    def __init__(self, resolution: Resolution) -> None:
        super().__init__()
        self.hop_length = resolution.hop_length
        window = hann_window(resolution.win_length, resolution.n_fft)
        self.register_buffer("window", F.normalize(window, dim=0), persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        # The transform is linear: one of the difference instead of two, and exactly 0 for equals.
        with torch.autocast(fake.device.type, enabled=False):
            error = (fake.float() - real.float()).flatten(0, 1)
            bins = stft(error, self.window, hop_length=self.hop_length, padding="center")
            return torch.view_as_real(bins).abs().mean() * 2.0
