"""EBEN: a U-Net on the bands of a filter bank, for speech recorded through the body."""

import math
from collections.abc import Sequence

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.pqmf import even_pqmf_analysis, even_pqmf_filters, even_pqmf_synthesis
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.generators.base import BandwidthExtender
from vocoder.nn.conv import ConvTranspose1d, ReflectConv1d
from vocoder.nn.weight_norm import weight_norm

torch.fx.wrap("pad_reflect")  # one node in a traced graph: streaming knows it by name


class ResidualUnit(nn.Module):
    """A dilated and a pointwise convolution, added to their input.   Shape: [B, C, T] → same."""

    def __init__(self, channels: int, *, dilation: int) -> None:
        super().__init__()
        conv = ReflectConv1d(channels, channels, 3, dilation=dilation, bias=False)
        self.dilated_conv = weight_norm(conv)
        self.pointwise_conv = weight_norm(nn.Conv1d(channels, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Add the correction."""
        return x + F.leaky_relu(self.pointwise_conv(self.dilated_conv(x)))


class EncoderBlock(nn.Module):
    """Residual units, then twice the channels at a `stride`-th of the rate.

    Shape: [B, C, T * stride] → [B, 2 * C, T].
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.residuals = _residuals(channels)
        self.conv = weight_norm(nn.Conv1d(channels, 2 * channels, 2 * stride, stride, bias=False))
        self.margin = stride - 1

    def forward(self, x: Tensor) -> Tensor:
        """Halfway down."""
        y: Tensor = self.conv(pad_reflect(self.residuals(x), self.margin, self.margin))
        return y


class DecoderBlock(nn.Module):
    """Half the channels at `stride` times the rate, then residual units.

    Shape: [B, 2 * C, T] → [B, C, T * stride].
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        conv = ConvTranspose1d(2 * channels, channels, 2 * stride, stride=stride, bias=False)
        self.conv_trans = weight_norm(conv)
        self.residuals = _residuals(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Halfway up."""
        y: Tensor = self.residuals(F.leaky_relu(self.conv_trans(x)))
        return y


class EBEN(BandwidthExtender):
    """From the `lowest` of `bands` PQMF bands to all of them; those heard are passed around.

    The hop is `bands` times the `strides`; `channels` is the width before the first stride.
    `filter_size` and `cutoff` (as a fraction of Nyquist) belong together, see `even_pqmf_filters`.
    The network leaves out the tail of the filters, for which its last steps are mirrored: so a
    recording of a length that the authors' code takes (whole hops less `filter_size`), filled up
    with zeros, gives the same samples as there. Raises ConfigError for sizes that do not fit.

    Shape: narrowband [B, 1, T] → [B, 1, T], T a multiple of the hop.
    Hauret et al. 2023 (EBEN, arXiv 2210.14090; Configurable EBEN, arXiv 2303.10008).
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
                f"channels is {channels}, strides {list(strides)}; the least are 1 and one of 2"
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
        """The recording with all bands."""
        heard = even_pqmf_analysis(narrowband, self.filters[: self.lowest], stride=self.bands)
        made = pad_reflect(self._network(heard[..., : -self.tail]), 0, self.tail)
        whole = made + F.pad(heard, (0, 0, 0, self.bands - self.lowest))  # [B, bands, N + tail]
        return even_pqmf_synthesis(torch.tanh(whole), self.filters)

    def _network(self, x: Tensor) -> Tensor:
        """What is added to every band.   Shape: [B, lowest, N] → [B, bands, N]."""
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
