"""From hidden frames to audio through the inverse short-time Fourier transform."""

import math

import torch
from torch import Tensor, nn

from vocoder.dsp.stft import Padding, hann_window, istft
from vocoder.errors import ConfigError

# A symbolic trace keeps the inverse STFT as one node: one operation to read, and to stream.
torch.fx.wrap("istft")

MAX_MAGNITUDE = 1e2


class ISTFTHead(nn.Module):
    """Predict magnitude and phase of every bin, then invert the STFT.

    The phase is unbounded, as only its cosine and sine are used. The magnitude is the exponential
    of the prediction, at most 100, which bounds the audio however wrong the input is.

    Shape: [B, channels, F] → [B, 1, F * hop] for "same", [B, 1, (F - 1) * hop] for "center".
    Siuzdak 2023 (Vocos, arXiv 2306.00814), sec. 3.
    """

    window: Tensor

    def __init__(self, channels: int, *, n_fft: int, hop_length: int, padding: Padding) -> None:
        super().__init__()
        if n_fft % 2 or not 1 <= hop_length <= n_fft:
            raise ConfigError(
                f"iSTFT head has n_fft {n_fft} and hop_length {hop_length}; "
                "choose an even n_fft and a hop between 1 and n_fft"
            )
        if padding not in ("same", "center"):
            raise ConfigError(f"iSTFT head has padding {padding!r}; choose 'same' or 'center'")
        self.hop_length = hop_length
        self.padding: Padding = padding
        self.out = nn.Linear(channels, n_fft + 2)
        self.register_buffer("window", hann_window(n_fft, n_fft), persistent=False)

    def samples(self, frames: int) -> int:
        """Samples of audio that `frames` frames give."""
        return (frames - (self.padding == "center")) * self.hop_length

    def forward(self, x: Tensor) -> Tensor:
        """Audio of a batch of hidden frames."""
        # Float32 also under autocast: half precision has no FFT and too few bits for a phase.
        log_magnitude, phase = self.out(x.transpose(1, 2)).float().chunk(2, dim=-1)  # [B, F, K]
        # Clipped before exp(), where an overflow would make the gradient 0 * inf.
        magnitude = torch.exp(log_magnitude.clamp(max=math.log(MAX_MAGNITUDE)))
        spectrum = torch.polar(magnitude, phase).transpose(1, 2)  # [B, K, F]
        audio = istft(spectrum, self.window, hop_length=self.hop_length, padding=self.padding)
        return audio[:, None]
