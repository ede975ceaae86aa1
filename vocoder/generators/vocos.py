"""Vocos: a network at frame rate predicts the spectrum, the inverse STFT makes the samples."""

from torch import Tensor

from vocoder.dsp.stft import Padding
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.nn.convnext import ConvNeXtBackbone
from vocoder.nn.head import ISTFTHead


class Vocos(Generator):
    """ConvNeXt backbone over mel frames that predicts a spectrogram, then an inverse STFT.

    With the padding "center" frames lie on the boundaries of the hops, so F frames span F - 1 hops,
    and a single frame gives no samples. With `causal` (ours) each frame begins where its hop does,
    which needs the padding "same"; ConfigError otherwise.

    Shape: mel [B, M, F] → audio [B, 1, F * hop] for "same", [B, 1, (F - 1) * hop] for "center".
    Siuzdak 2023 (Vocos, arXiv 2306.00814), sec. 3.

    Args:
        n_mels: Mel bands.
        channels: Width of the backbone.
        hidden: Width inside its blocks.
        blocks: Number of its blocks.
        n_fft: Window of the inverse STFT in samples.
        hop_length: Samples per frame.
        padding: That of the mel spectrogram.
        causal: Whether no output depends on a later frame.
    """

    features = ("mel",)

    def __init__(
        self,
        *,
        n_mels: int,
        channels: int,
        hidden: int,
        blocks: int,
        n_fft: int,
        hop_length: int,
        padding: Padding,
        causal: bool = False,
    ) -> None:
        super().__init__(hop_length=hop_length)
        if causal and padding != "same":
            raise ConfigError(f"a causal Vocos has padding {padding!r}; its mel must have 'same'")
        self.backbone = ConvNeXtBackbone(
            in_channels=n_mels, channels=channels, hidden=hidden, blocks=blocks, causal=causal
        )
        self.head = ISTFTHead(
            channels, n_fft=n_fft, hop_length=hop_length, padding="causal" if causal else padding
        )

    def samples(self, frames: int) -> int:
        """Exact number of audio samples for `frames` frames."""
        return self.head.samples(frames)

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        audio: Tensor = self.head(self.backbone(mel))
        return audio
