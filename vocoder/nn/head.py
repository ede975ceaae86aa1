"""Heads that turn hidden frames into audio by an inverse short-time Fourier transform."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.dsp.stft import SynthesisPadding, hann_window, istft
from vocoder.errors import ConfigError
from vocoder.nn.conv import Conv1d
from vocoder.nn.upsampling import EDGE_KERNEL
from vocoder.nn.weight_norm import weight_norm

# A symbolic trace keeps the inverse STFT as one node: one operation to read, and to stream.
MAX_MAGNITUDE = 1e2


class _SpectralHead(nn.Module):
    """Base of the heads below: log-magnitude and phase to audio."""

    window: Tensor

    def __init__(self, *, n_fft: int, hop_length: int, padding: SynthesisPadding) -> None:
        super().__init__()
        if n_fft % 2 or not 1 <= hop_length <= n_fft:
            raise ConfigError(
                f"iSTFT head has n_fft {n_fft} and hop_length {hop_length}; "
                "choose an even n_fft and a hop between 1 and n_fft"
            )
        if padding not in ("same", "center", "causal"):
            raise ConfigError(
                f"iSTFT head has padding {padding!r}; choose 'same', 'center' or 'causal'"
            )
        self.hop_length = hop_length
        self.padding: SynthesisPadding = padding
        self.register_buffer("window", hann_window(n_fft, n_fft), persistent=False)

    def samples(self, frames: int) -> int:
        """Number of audio samples for `frames` frames."""
        return (frames - (self.padding == "center")) * self.hop_length

    def synthesis(self, log_magnitude: Tensor, phase: Tensor) -> Tensor:
        """Inverse STFT of the magnitudes exp(log_magnitude), limited to 100, and the phases.

        Shape: [B, K, F], [B, K, F] → [B, 1, samples(F)].
        """
        # Clipped before exp(), where an overflow would make the gradient 0 * inf.
        magnitude = torch.exp(log_magnitude.clamp(max=math.log(MAX_MAGNITUDE)))
        spectrum = torch.polar(magnitude, phase)
        audio = istft(spectrum, self.window, hop_length=self.hop_length, padding=self.padding)
        return audio[:, None]


class ISTFTHead(_SpectralHead):
    """Predict magnitude and phase of every bin per frame, then invert the STFT.

    The phase is not bounded, as only its cosine and sine are used.

    Shape: [B, channels, F] → [B, 1, F * hop], [B, 1, (F - 1) * hop] for padding "center".
    Siuzdak 2023 (Vocos, arXiv 2306.00814), sec. 3.
    """

    def __init__(
        self, channels: int, *, n_fft: int, hop_length: int, padding: SynthesisPadding
    ) -> None:
        super().__init__(n_fft=n_fft, hop_length=hop_length, padding=padding)
        self.out = nn.Linear(channels, n_fft + 2)

    def forward(self, x: Tensor) -> Tensor:
        """Compute audio from hidden frames."""
        # Float32 also under autocast: half precision has no FFT and too few bits for a phase.
        bins = self.out(x.transpose(1, 2)).float().transpose(1, 2)  # [B, 2 K, F]
        log_magnitude, phase = bins.chunk(2, dim=1)
        return self.synthesis(log_magnitude, phase)


class ConvISTFTHead(_SpectralHead):
    """Predict magnitude and phase by a convolution over STFT columns, then invert a short STFT.

    The convolution covers three columns on either side. The phase is the sine of the prediction,
    hence within one radian: this suits short windows, whose bins rotate little, and the phase
    needs no wrapping. Columns lie on the boundaries of the hops (padding "center").

    Shape: [B, channels, F] → [B, 1, (F - 1) * hop].
    Kaneko et al. 2022 (iSTFTNet, arXiv 2203.02395); figures as in HiFTNet's code.
    """

    def __init__(self, channels: int, *, n_fft: int, hop_length: int) -> None:
        super().__init__(n_fft=n_fft, hop_length=hop_length, padding="center")
        self.out = weight_norm(Conv1d(channels, n_fft + 2, EDGE_KERNEL))

    def forward(self, x: Tensor) -> Tensor:
        """Compute audio from hidden columns."""
        log_magnitude, angle = self.out(x).float().chunk(2, dim=1)  # [B, K, F] each
        return self.synthesis(log_magnitude, torch.sin(angle))


def columns_per_frame(
    upsample_rates: Sequence[int], *, istft_hop_length: int, hop_length: int
) -> int:
    """Number of STFT columns per frame: the product of the upsample rates.

    Raises ConfigError unless this number times `istft_hop_length` is `hop_length`.
    """
    columns = math.prod(upsample_rates)
    if columns * istft_hop_length != hop_length:
        raise ConfigError(
            f"upsample_rates {list(upsample_rates)} and istft_hop_length {istft_hop_length} "
            f"upsample by {columns * istft_hop_length} but hop_length is {hop_length}; "
            f"choose rates and a hop whose product is {hop_length}"
        )
    return columns
