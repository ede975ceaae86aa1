"""The spectral loss of multi-band generators, taken band by band."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.dsp.pqmf import pqmf_analysis, pqmf_filters
from vocoder.losses.spectral import MultiResolutionSTFT

# Yang et al. 2021 (Multi-band MelGAN), as in public code: (n_fft, hop_length, win_length).
SUBBAND_RESOLUTIONS = ((384, 30, 150), (683, 60, 300), (171, 10, 60))


class SubbandSTFT(nn.Module):
    """`MultiResolutionSTFT` of the PQMF bands, each a signal of its own.

    Both signals are split here. For a generator that made its fake of bands, what comes out are
    these bands again, but for the error of the filters.

    Yang et al. 2021 (Multi-band MelGAN, arXiv 2005.05106), sec. 2.3.
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
