"""EBEN: a U-Net on the bands of a filter bank, for speech recorded by body conduction."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.pqmf import even_pqmf_analysis, even_pqmf_filters, even_pqmf_synthesis
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.generators.base import BandwidthExtender
from vocoder.nn.conv import ConvTranspose1d, ReflectConv1d
from vocoder.nn.weight_norm import weight_norm


class ResidualUnit(nn.Module):
    """A dilated and a pointwise convolution, added to their input.   Shape: [B, C, T] → same."""

    def __init__(self, channels: int, *, dilation: int) -> None:
        super().__init__()
        conv = ReflectConv1d(channels, channels, 3, dilation=dilation, bias=False)
        self.dilated_conv = weight_norm(conv)
        self.pointwise_conv = weight_norm(nn.Conv1d(channels, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Add the convolutions' output to `x`."""
        return x + F.leaky_relu(self.pointwise_conv(self.dilated_conv(x)))


class EncoderBlock(nn.Module):
    """Residual units, then a convolution that doubles the channels and divides the rate.

    Shape: [B, C, T * stride] → [B, 2 * C, T].
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.residuals = _residuals(channels)
        self.conv = weight_norm(nn.Conv1d(channels, 2 * channels, 2 * stride, stride, bias=False))
        self.margin = stride - 1

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y: Tensor = self.conv(pad_reflect(self.residuals(x), self.margin, self.margin))
        return y


class DecoderBlock(nn.Module):
    """Transposed convolution that halves the channels and multiplies the rate; residual units.

    Shape: [B, 2 * C, T] → [B, C, T * stride].
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        conv = ConvTranspose1d(2 * channels, channels, 2 * stride, stride=stride, bias=False)
        self.conv_trans = weight_norm(conv)
        self.residuals = _residuals(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y: Tensor = self.residuals(F.leaky_relu(self.conv_trans(x)))
        return y


class EBEN(BandwidthExtender):
    """U-Net from the `lowest` of `bands` PQMF bands to all of them, which adds to its input.

    The hop is `bands` times the `strides`. The network leaves out the tail of the filters, where
    its output gets reflect padding: so a recording of a length that the authors' code takes (whole
    hops less `filter_size`), padded with zeros, gives the same samples as there. Raises ConfigError
    for sizes that do not fit.

    Shape: narrowband [B, 1, T] → [B, 1, T], T a multiple of the hop.
    Hauret et al. 2023 (EBEN, arXiv 2210.14090; Configurable EBEN, arXiv 2303.10008).

    Args:
        cutoff_range: Lowest and highest cutoff of the input in Hz.
        bands: Of the filter bank.
        lowest: Number of bands, from the lowest one, that the network takes as input.
        filter_size: Samples of the filters.
        cutoff: That suits `filter_size`, as a fraction of Nyquist; see `even_pqmf_filters`.
        channels: Before the first stride, each of which doubles them.
        strides: Downsampling factor of each encoder block.
    """

    filters: Tensor

    def __init__(
        self,
        *,
        cutoff_range: Sequence[float],
        bands: int = 4,
        lowest: int = 1,
        filter_size: int = 32,
        cutoff: float = 0.158867,
        channels: int = 32,
        strides: Sequence[int] = (2, 4, 8),
    ) -> None:
        filters = even_pqmf_filters(bands, size=filter_size, cutoff=cutoff)
        if not 1 <= lowest <= bands:
            raise ConfigError(f"lowest is {lowest}; it must be at least 1 and at most bands")
        if channels < 1 or min(strides, default=0) < 2:
            raise ConfigError(
                f"channels is {channels}, strides {list(strides)}; give at least one channel and "
                "one stride, and strides of at least 2"
            )
        super().__init__(hop_length=bands * math.prod(strides), cutoff_range=cutoff_range)
        self.register_buffer("filters", filters, persistent=False)
        self.bands, self.lowest, self.tail = bands, lowest, filter_size // bands
        stages = [(channels << stage, stride) for stage, stride in enumerate(strides)]
        self.first_conv = ReflectConv1d(lowest, channels, 3, bias=False)
        self.encoder_blocks = nn.ModuleList(EncoderBlock(c, stride=s) for c, s in stages)
        self.latent_conv = _latent(channels << len(stages))
        self.decoder_blocks = nn.ModuleList(DecoderBlock(c, stride=s) for c, s in stages[::-1])
        self.last_conv = ReflectConv1d(channels, bands, 3, bias=False)

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        low = even_pqmf_analysis(narrowband, self.filters[: self.lowest], stride=self.bands)
        added = pad_reflect(self._network(low[..., : -self.tail]), 0, self.tail)
        whole = added + F.pad(low, (0, 0, 0, self.bands - self.lowest))  # [B, bands, N + tail]
        return even_pqmf_synthesis(torch.tanh(whole), self.filters)

    def _network(self, x: Tensor) -> Tensor:
        """Compute what is added to every band.   Shape: [B, lowest, N] → [B, bands, N]."""
        x = self.first_conv(x)
        skips = []
        for encode in self.encoder_blocks:
            x = encode(F.leaky_relu(x))  # [B, 2 * C, N / stride]
            skips.append(x)
        x = self.latent_conv(x)
        for decode in self.decoder_blocks:
            x = decode(x + skips.pop())  # [B, C / 2, N * stride]
        y: Tensor = self.last_conv(x)
        return y


def _residuals(channels: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualUnit(channels, dilation=dilation) for dilation in (1, 3, 9)))


def _latent(channels: int) -> nn.Sequential:
    narrow = max(channels // 4, 1)
    return nn.Sequential(
        nn.LeakyReLU(),
        weight_norm(ReflectConv1d(channels, narrow, 7, bias=False)),
        nn.LeakyReLU(),
        weight_norm(ReflectConv1d(narrow, channels, 7, bias=False)),
        nn.LeakyReLU(),
    )
