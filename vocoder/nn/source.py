"""The harmonic-plus-noise source of neural source-filter models."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.dsp.excitation import harmonic_sines, indexed_noise, noise_table
from vocoder.nn.pitch import VOICED_HZ

_AMPLITUDE = 0.1
_VOICED_NOISE = 0.003
_UNVOICED_NOISE = _AMPLITUDE / 3.0
_NOISE_SAMPLES = 1 << 16  # after which the noise of one harmonic continues as that of the next


class HarmonicSource(nn.Module):
    """Source signal from F0: a learned weighted sum of sines at its multiples and noise.

    Frames with an F0 of at most `VOICED_HZ` are noise alone, about as loud as the sines. The noise
    is random in training; otherwise it depends on the position alone. Only the weights are trained:
    F0 gets no gradient, as a spectral loss has no useful one for it. With `held`, F0 is constant
    for each frame; without, the phase is interpolated between frame centers.

    Shape: f0 [B, F] in Hz → [B, 1, F * hop_length] in (-1, 1).
    Wang et al. 2019 (NSF, arXiv 1904.12088); amplitudes and phases as in HiFTNet's code.
    """

    noise: Tensor
    starts: Tensor

    def __init__(
        self, *, sample_rate: int, hop_length: int, harmonics: int = 9, held: bool = False
    ) -> None:
        super().__init__()
        self.held = held
        self.sample_rate, self.hop_length, self.harmonics = sample_rate, hop_length, harmonics
        self.linear = nn.Linear(harmonics, 1)
        noise = noise_table(harmonics * _NOISE_SAMPLES)
        self.register_buffer("noise", noise, persistent=False)
        starts = _NOISE_SAMPLES * torch.arange(harmonics)[:, None]
        self.register_buffer("starts", starts, persistent=False)

    def forward(self, f0: Tensor) -> Tensor:
        """Compute source signals from F0 contours."""
        with torch.no_grad():
            # In frames of one sample there is nothing between them to interpolate.
            hz = f0.repeat_interleave(self.hop_length, dim=-1) if self.held else f0
            sines = harmonic_sines(
                hz,
                self.harmonics,
                hop_length=1 if self.held else self.hop_length,
                sample_rate=self.sample_rate,
            )
            noise = indexed_noise(self.noise, sines, self._entry(f0))  # [B, harmonics, T]
            voiced = (f0 > VOICED_HZ).repeat_interleave(self.hop_length, dim=-1)[:, None]
            mixed = torch.where(
                voiced, _AMPLITUDE * sines + _VOICED_NOISE * noise, _UNVOICED_NOISE * noise
            )
        return torch.tanh(self.linear(mixed.transpose(1, 2))).transpose(1, 2)

    def _entry(self, f0: Tensor) -> Tensor:
        """First index into the noise table. Shape: [harmonics, 1] or [B, harmonics, 1]."""
        if not self.training:
            return self.starts
        return torch.randint(len(self.noise), (len(f0), self.harmonics, 1), device=f0.device)


def source_convs(in_channels: int, widths: Sequence[int], rates: Sequence[int]) -> nn.ModuleList:
    """Make convolutions that bring the source to the rate and width of each upsampling stage.

    Stage i comes after `rates[i]`, so its stride is the product of the later rates.
    Wang et al. 2019 (NSF) in the form of HiFTNet's and NSF-HiFiGAN's code: not weight-normed.
    """
    strides = [math.prod(rates[stage + 1 :]) for stage in range(len(rates))]
    return nn.ModuleList(
        nn.Conv1d(in_channels, width, 1)
        if stride == 1
        else nn.Conv1d(in_channels, width, 2 * stride, stride, padding=(stride + 1) // 2)
        for width, stride in zip(widths, strides, strict=True)
    )
