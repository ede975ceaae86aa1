"""Spectral loss of multi-band generators, on the bands of a filter bank."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.dsp.pqmf import pqmf_analysis, pqmf_filters
from vocoder.losses.spectral import MultiResolutionSTFT

# Yang et al. 2021 (Multi-band MelGAN), as in public code: (n_fft, hop_length, win_length).
SUBBAND_RESOLUTIONS = ((384, 30, 150), (683, 60, 300), (171, 10, 60))


class SubbandSTFT(nn.Module):
    """Multi-resolution STFT loss between the PQMF bands of both signals, each band by itself.

    Both signals are split here. The bands of a fake that a generator synthesised from bands are
    these bands again, up to the error of the filters.
    Yang et al. 2021 (Multi-band MelGAN, arXiv 2005.05106), sec. 2.3.

    Args:
        bands: Number of bands.
        taps: Coefficients of each filter, less one.
        cutoff: Cutoff of the prototype low-pass as a fraction of Nyquist.
        beta: Shape of its Kaiser window.
        resolutions: Triples (n_fft, hop_length, win_length), at the rate of the bands.
    """

    filters: Tensor

    def __init__(
        self,
        *,
        bands: int = 4,
        taps: int = 62,
        cutoff: float = 0.142,
        beta: float = 9.0,
        resolutions: Sequence[Sequence[int]] = SUBBAND_RESOLUTIONS,
    ) -> None:
        super().__init__()
        filters = pqmf_filters(bands, taps=taps, cutoff=cutoff, beta=beta)
        self.register_buffer("filters", filters, persistent=False)
        self.stft = MultiResolutionSTFT(resolutions=resolutions)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar.   Shape: [B, C, T], [B, C, T]."""
        loss: Tensor = self.stft(self._split(fake), self._split(real))
        return loss

    def _split(self, audio: Tensor) -> Tensor:
        """Shape: [B, C, T] → [B * C, bands, ceil(T / bands)], in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            return pqmf_analysis(audio.float().flatten(0, 1)[:, None], self.filters)
