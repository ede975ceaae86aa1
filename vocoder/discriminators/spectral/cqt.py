"""Multi-scale sub-band CQT discriminator: constant-Q spectra with several bins per octave."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.discriminators.spectral.spectrum import channels_last, map_conv
from vocoder.dsp.cqt import CQTSpec, cqt, cqt_kernels
from vocoder.errors import ConfigError
from vocoder.nn.octaves import Octaves
from vocoder.nn.weight_norm import weight_norm


class CQTDiscriminator(ConvDiscriminator):
    """Discriminator of constant-Q spectra at one scale: a convolution per octave, then shared ones.

    The shared 2-D convolutions halve frequency. The real and the imaginary part of each audio
    channel are maps of their own.
    """

    kernels: Tensor

    def __init__(self, spec: CQTSpec, *, channels: int, audio_channels: int) -> None:
        maps = 2 * audio_channels
        # As published, the layers in front of the first activation have no weight norm.
        convs = [map_conv(maps, channels, (3, 9))]
        convs += [
            weight_norm(map_conv(channels, channels, (3, 9), stride=(1, 2), dilation=dilation))
            for dilation in (1, 2, 4)
        ]
        convs += [weight_norm(map_conv(channels, channels, (3, 3)))]
        super().__init__(convs, weight_norm(map_conv(channels, 1, (3, 3))))
        self.conv_pres = nn.ModuleList(map_conv(maps, maps, (3, 9)) for _ in range(spec.octaves))
        self.spec = spec
        self.audio_channels = audio_channels
        self.register_buffer("kernels", cqt_kernels(spec), persistent=False)

    def forward(self, *levels: Tensor) -> DiscriminatorOutput:
        """Score the `octave_levels` of all channels.   Shape: N * [B * C, T // 2^o]."""
        maps = self.maps(levels)
        octaves = [conv(maps[:, octave]) for octave, conv in enumerate(self.conv_pres)]
        output = super().forward(
            channels_last(torch.cat(octaves, dim=-1))
        )  # [B, 2 C, F, octaves * K]
        return output._replace(feature_maps=output.feature_maps[:-1])

    def maps(self, levels: Sequence[Tensor]) -> Tensor:
        """Constant-Q bins in float32.   Shape: N * [B * C, T // 2^o] → [B, octaves, 2 C, F, K]."""
        with torch.autocast(levels[0].device.type, enabled=False):
            bins = cqt(levels, self.kernels, hop_length=self.spec.hop_length)
        bins = bins.reshape(-1, self.audio_channels, *bins.shape[1:])  # [B, C, octaves, 2, F, K]
        return bins.transpose(1, 2).flatten(2, 3)


class MultiScaleCQT(nn.Module):
    """Multi-scale sub-band CQT discriminator: one `CQTDiscriminator` per scale.

    Feature maps are the outputs of the activations. All scales analyse the audio at twice its rate,
    so that nine octaves above 32.7 Hz lie below Nyquist from 22.05 kHz on; at 16 kHz eight do.
    Takes signals of any length. 0.29 M weights at the defaults, 4.45 M at 128 channels.
    Gu et al. 2023 (MS-SB-CQT, arXiv 2311.14957), sec. 2; Lee et al. 2024 (BigVGAN v2).

    Args:
        sample_rate: Rate of the audio in Hz.
        hop_lengths: In samples at the doubled rate, multiples of 2^(octaves - 1).
        octaves: Octaves of each scale, from 32.7 Hz upwards.
        bins_per_octave: Bins per octave of each scale.
        channels: Width of every layer.
        audio_channels: Channels of the signals.
    """

    joins_signals = True

    def __init__(
        self,
        *,
        sample_rate: int,
        hop_lengths: Sequence[int] = (512, 256, 256),
        octaves: Sequence[int] = (9, 9, 9),
        bins_per_octave: Sequence[int] = (24, 36, 48),
        channels: int = 32,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        if not len(hop_lengths) == len(octaves) == len(bins_per_octave) > 0 or channels < 1:
            raise ConfigError(
                f"hop_lengths {list(hop_lengths)}, octaves {list(octaves)} and bins_per_octave "
                f"{list(bins_per_octave)} must be equally many, and channels {channels} positive"
            )
        specs = (
            CQTSpec(
                sample_rate=2 * sample_rate, hop_length=hop, octaves=count, bins_per_octave=bins
            )
            for hop, count, bins in zip(hop_lengths, octaves, bins_per_octave, strict=True)
        )
        self.discriminators = nn.ModuleList(
            CQTDiscriminator(spec, channels=channels, audio_channels=audio_channels)
            for spec in specs
        )
        self.octaves = Octaves(max(octaves))

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per scale.   Shape: audio [B, C, T]."""
        levels = self.octaves(audio)  # once for all scales
        return [discriminator(*levels) for discriminator in self.discriminators]
