"""EBEN's discriminators: the upper bands of a filter bank at three dilations, and the waveform."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.discriminators.melgan_scale import HiddenMapDiscriminator
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.dsp.pqmf import even_pqmf_analysis, even_pqmf_filters
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.nn.conv import GroupedConv1d, ReflectConv1d
from vocoder.nn.weight_norm import weight_norm

# Kernel, stride, width relative to the first layer.
_LAYERS = ((3, 1, 1), (7, 2, 2), (7, 2, 4), (7, 2, 8), (7, 2, 16), (7, 2, 32), (5, 1, 32))
_WAVE_GROUPS = 4
_WAVE_FACTORS = (1, 4, 16, 64, 64)


class PQMFDiscriminator(HiddenMapDiscriminator):
    """Convolutions of one dilation over PQMF bands, which stay separate until the last layer."""

    def __init__(self, dilation: int, *, bands: int, channels: int, audio_channels: int) -> None:
        widths = [bands * audio_channels, *(bands * channels * factor for *_, factor in _LAYERS)]
        # The published padding ignores the dilation: dilated maps shrink.
        convs = (
            GroupedConv1d(
                in_channels, out_channels, kernel, stride, kernel // 2, dilation, groups=bands
            )
            for (kernel, stride, _), in_channels, out_channels in zip(
                _LAYERS, widths, widths[1:], strict=False
            )
        )
        super().__init__(map(weight_norm, convs), weight_norm(nn.Conv1d(widths[-1], 1, 3, 1, 1)))
        self.shortest = _shortest(dilation)

    def forward(self, bands: Tensor) -> DiscriminatorOutput:
        """Score bands, padded by reflection where too short.   Shape: [B, C, T] → logits [B, N]."""
        missing = max(self.shortest - bands.shape[-1] - 2, 0)
        return super().forward(pad_reflect(bands, 1, 1 + missing))


class PQMFBands(nn.Module):
    """EBEN's discriminator of the upper PQMF bands: one stack of convolutions per dilation.

    Takes signals of any length; the same band of all audio channels is scored jointly. 8.92 M
    weights at the defaults.
    Hauret et al. 2023 (EBEN); Lin and Vaidyanathan 1998 (the choice of the cutoff).

    Args:
        bands: Bands of the filter bank.
        highest: How many of them are scored, counted from the top.
        filter_size: Coefficients of each filter.
        cutoff: Fraction of Nyquist, chosen for `filter_size` so that bands add up to the signal.
        dilations: Dilation of each sub-discriminator.
        channels: Width of the first layer for each band.
        audio_channels: Channels of the signals.
    """

    filters: Tensor
    joins_signals = True

    def __init__(
        self,
        *,
        bands: int = 4,
        highest: int = 3,
        filter_size: int = 32,
        cutoff: float = 0.158867,
        dilations: Sequence[int] = (1, 2, 3),
        channels: int = 10,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        if not 1 <= highest <= bands:
            raise ConfigError(f"highest is {highest}; it must be at least 1 and at most bands")
        if min(dilations, default=0) < 1 or channels < 1:
            raise ConfigError(f"dilations {list(dilations)}, channels {channels} must be positive")
        self.discriminators = nn.ModuleList(
            PQMFDiscriminator(
                dilation, bands=highest, channels=channels, audio_channels=audio_channels
            )
            for dilation in dilations
        )
        filters = even_pqmf_filters(bands, size=filter_size, cutoff=cutoff)
        self.register_buffer("filters", filters[bands - highest :], persistent=False)
        self.stride = bands

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per dilation.   Shape: audio [B, C, T]."""
        bands = self.analysis(audio)
        return [discriminator(bands) for discriminator in self.discriminators]

    def analysis(self, audio: Tensor) -> Tensor:
        """Highest bands in float32 with the tails of the filters, channels of a band side by side.

        Shape: [B, C, T] → [B, highest * C, (T + filter_size - 2) // bands + 1].
        """
        with torch.autocast(audio.device.type, enabled=False):
            signals = audio.to(self.filters).flatten(0, 1)[:, None]
            bands = even_pqmf_analysis(signals, self.filters, stride=self.stride)
        bands = bands.reshape(*audio.shape[:2], *bands.shape[1:])  # [B, C, highest, T']
        return bands.transpose(1, 2).flatten(1, 2)


class GroupedWaveform(nn.Module):
    """EBEN's discriminator of the waveform: one scale of MelGAN's, strided layers in four groups.

    MelGAN has a group for every four channels, so this one is larger. `channels` is the width of
    the first layer, a multiple of 4. Takes signals of any length with `audio_channels` channels.
    18.86 M weights at the defaults.
    Hauret et al. 2023 (EBEN).
    """

    joins_signals = True

    def __init__(self, *, channels: int = 16, audio_channels: int = 1) -> None:
        super().__init__()
        if channels < 1 or channels % _WAVE_GROUPS:
            raise ConfigError(f"channels is {channels}; make it a multiple of {_WAVE_GROUPS}")
        widths = [channels * factor for factor in _WAVE_FACTORS]
        convs: list[nn.Conv1d] = [ReflectConv1d(audio_channels, channels, 15)]
        convs += [
            GroupedConv1d(in_channels, out_channels, 41, stride=4, padding=20, groups=_WAVE_GROUPS)
            for in_channels, out_channels in zip(widths, widths[1:], strict=False)
        ]
        convs += [nn.Conv1d(widths[-1], widths[-1], 5, padding=2)]
        last = nn.Conv1d(widths[-1], 1, 3, padding=1)
        self.discriminator = HiddenMapDiscriminator(map(weight_norm, convs), weight_norm(last))

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output.   Shape: audio [B, C, T]."""
        return [self.discriminator(audio)]


def _shortest(dilation: int) -> int:
    """Samples that `PQMFDiscriminator` needs for a single logit."""
    samples = 1
    for kernel, stride, _ in reversed(_LAYERS):
        samples = (samples - 1) * stride + 1 + (dilation - 1) * (kernel - 1)
    return samples
