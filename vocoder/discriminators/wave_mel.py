"""HiFi-GAN BWE's discriminators: the waveform at several sample rates, and the mel spectrogram.

The logit of each is the mean of its scores. Both need nearly a second of audio; a shorter signal is
padded at its end by reflection.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.dsp.resample import resample
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.nn.conv import GroupedConv1d

# Kernel, stride, width relative to the first layer.
_WAVE_LAYERS = ((15, 1, 1), (41, 4, 4), (41, 4, 16), (41, 4, 64), (41, 4, 64), (5, 1, 64))
_PER_GROUP = 4
# Kernels over bands and frames; all move one band and two frames.
_MEL_KERNELS = ((7, 7), (4, 4), (4, 4), (4, 4))
_MEL_PADDING = (1, 2)
_LAST_KERNEL = (15, 5)
_STRIDE = (1, 2)


class RateDiscriminator(ConvDiscriminator):
    """Convolutions on audio at one sample rate, the strided ones in groups of four channels."""

    def __init__(self, *, channels: int, audio_channels: int) -> None:
        widths = [audio_channels, *(channels * factor for *_, factor in _WAVE_LAYERS)]
        convs = (
            GroupedConv1d(
                in_channels,
                out_channels,
                kernel,
                stride,
                groups=in_channels // _PER_GROUP if stride > 1 else 1,
            )
            for (kernel, stride, _), in_channels, out_channels in zip(
                _WAVE_LAYERS, widths, widths[1:], strict=False
            )
        )
        super().__init__(convs, nn.Conv1d(widths[-1], 1, 1))

    def forward(self, audio: Tensor) -> DiscriminatorOutput:
        """Score audio by the mean over time.   Shape: audio [B, C, T] → logits [B, 1]."""
        scores, feature_maps, *_ = super().forward(audio)
        return DiscriminatorOutput(scores.mean(1, keepdim=True), feature_maps[:-1])


class MultiRate(nn.Module):
    """HiFi-GAN BWE's discriminator of the waveform: audio resampled to several sample rates.

    One `RateDiscriminator` for each of `rates` in Hz, of audio at `sample_rate`. `channels` is the
    width of the first layer, a multiple of 4. Takes signals of any length with `audio_channels`
    channels. Published with torchaudio's resampling, whose aliases are at -40 dB.
    22.54 M weights at the defaults.   Su et al. 2021 (Bandwidth extension is all you need).
    """

    joins_signals = True

    def __init__(
        self,
        *,
        sample_rate: int,
        rates: Sequence[int] = (6000, 12000, 24000, 48000),
        channels: int = 16,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        if min(rates, default=0) < 1:
            raise ConfigError(f"rates is {list(rates)}; list one or more sample rates in Hz")
        if channels < 1 or channels % _PER_GROUP:
            raise ConfigError(f"channels is {channels}; make it a multiple of {_PER_GROUP}")
        self.discriminators = nn.ModuleList(
            RateDiscriminator(channels=channels, audio_channels=audio_channels) for _ in rates
        )
        self.sample_rate, self.rates = sample_rate, tuple(rates)
        samples = _shortest((kernel, stride, 0) for kernel, stride, _ in _WAVE_LAYERS)
        self.shortest = math.ceil((samples + 1) * sample_rate / min(rates))

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per rate.   Shape: audio [B, C, T]."""
        audio = pad_reflect(audio, 0, max(self.shortest - audio.shape[-1], 0))
        return [
            discriminator(resample(audio, self.sample_rate, rate))
            for discriminator, rate in zip(self.discriminators, self.rates, strict=True)
        ]


class MelMap(nn.Module):
    """HiFi-GAN BWE's discriminator of the log-mel: gated convolutions with batch norm.

    `mel` is the spec of the log-mel, `channels` the width of every layer. Published batches hold
    real and fake audio together; here each is normalised by itself. Takes signals of any length
    with `audio_channels` channels. Raises ConfigError for too few bands.
    0.10 M weights at the defaults.   Su et al. 2021 (Bandwidth extension is all you need).
    """

    def __init__(self, *, mel: MelSpec, channels: int = 32, audio_channels: int = 1) -> None:
        super().__init__()
        bands, frames = (
            _shortest(
                [(kernel[axis], _STRIDE[axis], _MEL_PADDING[axis]) for kernel in _MEL_KERNELS]
                + [(_LAST_KERNEL[axis], _STRIDE[axis], 0)]
            )
            for axis in (0, 1)
        )
        if mel.n_mels < bands or channels < 1:
            raise ConfigError(
                f"channels is {channels} and mel.n_mels {mel.n_mels}; make the first positive and "
                f"the second at least {bands}"
            )
        self.mel = MelSpectrogram(mel)
        self.shortest = frames * mel.hop_length
        widths = [audio_channels] + [channels] * len(_MEL_KERNELS)
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels, 2 * channels, kernel, _STRIDE, _MEL_PADDING, bias=False),
                nn.BatchNorm2d(2 * channels),
                nn.GLU(dim=1),
            )
            for kernel, in_channels in zip(_MEL_KERNELS, widths, strict=False)
        )
        self.conv_post = nn.Conv2d(channels, 1, _LAST_KERNEL, _STRIDE)

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output.   Shape: audio [B, C, T]."""
        audio = pad_reflect(audio, 0, max(self.shortest - audio.shape[-1], 0))
        x = self.mel(audio.flatten(0, 1)[:, None])
        x = x.unflatten(0, audio.shape[:2])  # [B, C, M, F]
        feature_maps = []
        for conv in self.convs:
            x = conv(x)
            feature_maps.append(x)
        score = torch.mean(self.conv_post(x), dim=(2, 3))  # [B, 1]
        return [DiscriminatorOutput(score, feature_maps)]


def _shortest(layers: Iterable[tuple[int, int, int]]) -> int:
    """Input steps that convolutions of (kernel, stride, padding) need for one output step."""
    steps = 1
    for kernel, stride, padding in reversed(list(layers)):
        steps = (steps - 1) * stride + kernel - 2 * padding
    return steps
