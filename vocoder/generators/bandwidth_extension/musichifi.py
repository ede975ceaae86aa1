"""MusicHiFi's bandwidth extension: a vocoder generates the upper band, added to the input."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.lowpass import kaiser_sinc
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.base import BandwidthExtender, Generator

_TRANSITION_HZ = 500.0  # from where nothing passes to where everything does
# Half-length of the filter in reciprocals of the transition: 80 dB down by Kaiser's rule.
_REACH = 2.8


class MusicHiFiBWE(BandwidthExtender):
    """Add to the narrow band what a vocoder generates from its mel, after a high-pass.

    Published: a vocoder of BigVGAN's kind for the mel of the low-rate signal, whose audio is added
    to the resampled input, so that resampling the result down nearly gives the input back. Our
    choice: the linear-phase high-pass that guarantees this, as nothing is added below
    `preserve_below` Hz, and all sizes. At that frequency a resampler's filter begins to fall, so it
    is at most the lowest cutoff. `vocoder` maps log-mels by `mel` to mono audio. Raises ConfigError
    if their hops differ or for another `preserve_below`.

    Shape: narrowband [B, 1, T] → [B, 1, T].   Zhu et al. 2024 (MusicHiFi, arXiv 2403.10493).
    """

    high_pass: Tensor

    def __init__(
        self,
        *,
        mel: MelSpec,
        vocoder: Generator,
        preserve_below: float,
        cutoff_range: Sequence[float],
    ) -> None:
        super().__init__(hop_length=mel.hop_length, cutoff_range=cutoff_range)
        if vocoder.hop_length != mel.hop_length:
            raise ConfigError(
                f"generator.vocoder has hop_length {vocoder.hop_length} but generator.mel has "
                f"{mel.hop_length}; make them equal"
            )
        if not 0.0 < preserve_below <= self.cutoff_range[0]:
            raise ConfigError(
                f"generator.preserve_below is {preserve_below} Hz, but the lowest cutoff is "
                f"{self.cutoff_range[0]} Hz; choose more than 0 and at most that"
            )
        self.mel = MelSpectrogram(mel)
        self.vocoder = vocoder
        self.register_buffer(
            "high_pass", _high_pass(preserve_below, mel.sample_rate), persistent=False
        )

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        made = self.vocoder(self.mel.compute(narrowband.float()))  # [B, 1, T]
        taps = self.high_pass[None, None]
        return narrowband + F.conv1d(made, taps, padding=taps.shape[-1] // 2)


def _high_pass(preserve_below: float, sample_rate: int) -> Tensor:
    """Linear-phase high-pass filter from `preserve_below` in Hz.   Shape: [odd number]."""
    center, width = (
        (preserve_below + _TRANSITION_HZ / 2) / sample_rate,
        _TRANSITION_HZ / sample_rate,
    )
    reach = math.ceil(_REACH / width)
    low = kaiser_sinc(2 * reach + 1, cutoff=center, half_width=width)
    return F.pad(torch.ones(1), (reach, reach)) - low
