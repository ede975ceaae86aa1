"""Reconstruction loss on real and imaginary parts of spectra, which depends on phase."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.resolutions import RESOLUTIONS, Resolution
from vocoder.losses.spectral import OverResolutions, SingleResolution


class MultiResolutionComplex(OverResolutions):
    """Mean absolute difference of real parts plus that of imaginary parts, over resolutions.

    Published: real and imaginary parts at several resolutions. Our choice: the absolute difference,
    Parallel WaveGAN's resolutions (n_fft, hop_length, win_length), their plain mean, and windows of
    unit energy, which give every resolution the same weight: noise of variance σ² has the loss
    2 σ / √π = 1.13 σ against silence at all of them.

    Maps (fake, real) of shape [B, C, T] to an unweighted scalar in float32, zero for equal signals,
    finite in value and gradient for silence.
    Shen et al. 2024 (FA-GAN, arXiv 2407.04575), abstract.
    """

    def __init__(self, *, resolutions: Sequence[Sequence[int]] = RESOLUTIONS) -> None:
        super().__init__(_Parts, resolutions)


class _Parts(SingleResolution):
    def __init__(self, resolution: Resolution) -> None:
        super().__init__(resolution)
        self.window = F.normalize(self.window, dim=0)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        # The transform is linear: one of the difference instead of two, and exactly 0 for equals.
        bins = self.bins(fake.float() - real.float())
        return torch.view_as_real(bins).abs().mean() * 2.0
