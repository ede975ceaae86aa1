"""Parallel WaveGAN: a non-autoregressive WaveNet from noise to audio."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.excitation import indexed_noise, noise_table
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.nn.upsampling import require_product
from vocoder.nn.wavenet import GatedLayer
from vocoder.nn.weight_norm import weight_norm


class Upsampler(nn.Module):
    """Upsample mel frames to the sample rate, by repetition and smoothing.

    Before that, a convolution over each frame and `context` frames on either side; the first and
    last frame are repeated beyond the ends.

    Shape: [B, M, F] → [B, M, F * prod(rates)].   Yamamoto et al. 2020, sec. 3.1, as in its code.
    """

    def __init__(self, n_mels: int, *, rates: Sequence[int], context: int) -> None:
        super().__init__()
        self.rates = tuple(rates)
        self.context = context
        self.conv_in = weight_norm(nn.Conv1d(n_mels, n_mels, 2 * context + 1, bias=False))
        self.smooth = nn.ModuleList()
        for rate in rates:
            conv = nn.Conv2d(1, 1, (1, 2 * rate + 1), padding=(0, rate), bias=False)
            nn.init.constant_(conv.weight, 1.0 / (2 * rate + 1))
            self.smooth.append(weight_norm(conv))

    def forward(self, mel: Tensor) -> Tensor:
        """For each rate, repeat the frames and smooth them over time."""
        x = self.conv_in(F.pad(mel, (self.context, self.context), mode="replicate"))
        x = x[:, None]  # [B, 1, M, F]: one filter for all bands
        for rate, smooth in zip(self.rates, self.smooth, strict=True):
            x = smooth(x.repeat_interleave(rate, dim=-1))
        smoothed: Tensor = x[:, 0]
        return smoothed


class ParallelWaveGAN(Generator):
    """Gated dilated layers over white noise, conditioned on the upsampled mel.

    Within a stack the dilation doubles from layer to layer, starting at 1. `noise` holds each
    frame's samples, of unit variance. Without it the noise is always the same, except in training,
    where it starts at a random position. The last layer's `out`, whose result is not used, exists
    because published weights contain it. Raises ConfigError for sizes that do not fit.

    Shape: mel [B, M, F], noise [B, hop_length, F] → audio [B, 1, F * hop_length], not limited.
    Yamamoto et al. 2020 (Parallel WaveGAN, arXiv 1910.11480), sec. 2 and 3.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates`.
        upsample_rates: Factors by which the mel is upsampled, one after the other.
        layers: Number of gated layers, a multiple of `stacks`.
        stacks: Number of stacks that the layers form.
        kernel_size: Of the dilated convolutions; an odd number.
        channels: Of the residual path.
        gate_channels: Of signal and gate together.
        skip_channels: Of the skip path.
        context: Frames on either side that the first convolution over the mel covers.
    """

    features = ("mel", "noise")

    noise: Tensor

    def __init__(
        self,
        *,
        n_mels: int = 80,
        hop_length: int,
        upsample_rates: Sequence[int],
        layers: int = 30,
        stacks: int = 3,
        kernel_size: int = 3,
        channels: int = 64,
        gate_channels: int = 128,
        skip_channels: int = 64,
        context: int = 2,
    ) -> None:
        super().__init__(hop_length=hop_length)
        require_product(upsample_rates, hop_length)
        if min(layers, stacks) < 1 or layers % stacks:
            raise ConfigError(f"{layers} layers do not form {stacks} stacks; use a multiple")
        self.upsampler = Upsampler(n_mels, rates=upsample_rates, context=context)
        self.conv_pre = weight_norm(nn.Conv1d(1, channels, 1))
        self.layers = nn.ModuleList(
            GatedLayer(
                channels,
                gate_channels=gate_channels,
                skip_channels=skip_channels,
                condition_channels=n_mels,
                kernel_size=kernel_size,
                dilation=2 ** (layer % (layers // stacks)),
            )
            for layer in range(layers)
        )
        self.conv_mid = weight_norm(nn.Conv1d(skip_channels, skip_channels, 1))
        self.conv_post = weight_norm(nn.Conv1d(skip_channels, 1, 1))
        self.register_buffer("noise", noise_table(), persistent=False)

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        condition = self.upsampler(mel)  # [B, M, T]
        samples = self._noise(condition) if noise is None else noise.transpose(1, 2).flatten(1)
        x, total = self.layers[0](self.conv_pre(samples[:, None]), condition)
        for layer in self.layers[1:]:
            x, skip = layer(x, condition)
            total = total + skip
        y = self.conv_mid(F.relu(total * math.sqrt(1.0 / len(self.layers))))
        audio: Tensor = self.conv_post(F.relu(y))
        return audio

    def _noise(self, condition: Tensor) -> Tensor:
        """White noise for every sample.   Shape: [B, M, T] → [B, T]."""
        like = condition[:, 0]
        start: Tensor | int = 0
        if self.training:  # from a random position, or the layers would overfit to this noise
            start = torch.randint(len(self.noise), (len(like), 1)).to(like.device)
        return indexed_noise(self.noise, like, start)
