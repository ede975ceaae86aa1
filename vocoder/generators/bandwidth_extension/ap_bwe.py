"""AP-BWE: bandwidth extension of the spectrum by networks for amplitudes and for phases."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp import phase
from vocoder.dsp.stft import istft, magnitude, stft
from vocoder.errors import ConfigError
from vocoder.generators.base import BandwidthExtender
from vocoder.nn.convnext import ConvNeXtBackbone

OFFSET = 1e-4  # added to amplitudes before the logarithm


class APBWE(BandwidthExtender):
    """Two parallel ConvNeXt backbones, for amplitude and phase, coupled before every block.

    The network predicts what is added to the log-amplitudes of its input, and phases as the
    direction of complex numbers, to which the input phases are not added. The low band is not
    preserved. The published sizes are the same at 16 and 48 kHz. Raises ConfigError unless
    hop_length <= win_length <= n_fft, n_fft being even.

    Shape: narrowband [B, 1, T] → audio [B, 1, T], T a multiple of `hop_length`.
    Lu et al. 2024 (AP-BWE, arXiv 2401.06387), sec. III.

    Args:
        channels: Width of each backbone.
        hidden: Width inside its blocks.
        blocks: Number of its blocks.
        n_fft: Samples of the STFT, an even number.
        hop_length: Samples between its frames.
        win_length: Samples of its Hann window.
        cutoff_range: Lowest and highest cutoff of the input in Hz.
    """

    window: Tensor

    def __init__(
        self,
        *,
        channels: int = 512,
        hidden: int = 1536,
        blocks: int = 8,
        n_fft: int = 1024,
        hop_length: int = 80,
        win_length: int = 320,
        cutoff_range: Sequence[float],
    ) -> None:
        super().__init__(hop_length=hop_length, cutoff_range=cutoff_range)
        if n_fft % 2 or not 1 <= hop_length <= win_length <= n_fft:
            raise ConfigError(
                f"generator has n_fft {n_fft}, win_length {win_length} and hop_length "
                f"{hop_length}; choose an even n_fft, and hop_length <= win_length <= n_fft"
            )
        bins = n_fft // 2 + 1
        # Rounded as torch does it, not better as in `hann_window`: the last bit changes the phases
        # of faint bins, and the audio could not be compared with that of the published code.
        left, rest = (n_fft - win_length) // 2, (n_fft - win_length + 1) // 2
        window = F.pad(torch.hann_window(win_length), (left, rest))
        self.register_buffer("window", window, persistent=False)
        self.amplitude, self.phase = (
            ConvNeXtBackbone(in_channels=bins, channels=channels, hidden=hidden, blocks=blocks)
            for _ in range(2)
        )
        self.to_gain = nn.Linear(channels, bins)
        self.to_real, self.to_imaginary = (nn.Linear(channels, bins) for _ in range(2))

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        return self._audio(*self.spectrum(narrowband))

    def auxiliary(self, real: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Losses of the predicted spectrum itself, which are more direct than those of the audio.

        "log_amplitude", "complex" and "consistency" are mean squares; "instantaneous_phase",
        "group_delay" and "instantaneous_frequency" are those of `vocoder.losses.phase`.
        """
        return self._losses(real, *self.spectrum(**features))

    def with_losses(self, real: Tensor, **features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute audio and the losses of `auxiliary` in one pass of the network."""
        spectrum = self.spectrum(**features)
        return self._audio(*spectrum), self._losses(real, *spectrum)

    def _bins(self, audio: Tensor) -> Tensor:
        """Complex spectrum.   Shape: [B, 1, T] → [B, K, F]."""
        return stft(audio[:, 0], self.window, hop_length=self.hop_length, padding="center")

    def spectrum(self, narrowband: Tensor) -> tuple[Tensor, Tensor]:
        """Predict log-amplitudes, and phases as complex numbers of magnitude one.

        Shape: [B, 1, T] → [B, K, F], [B, K, F].
        """
        bins = self._bins(narrowband)
        given = torch.log(bins.abs() + OFFSET)
        # Silence and the real bins, the first and the last: should the FFT give -0 for 0, the phase
        # would be π instead of 0, or -π instead of π.
        angle = torch.atan2(bins.imag + 0.0, bins.real + 0.0)
        a, p = self.amplitude.enter(given), self.phase.enter(angle)  # [B, C, F] each
        for block_a, block_p in zip(self.amplitude.convnext, self.phase.convnext, strict=True):
            a = a + p
            p = p + a  # the sum, no longer the amplitudes alone
            a, p = block_a(a), block_p(p)
        a = self.amplitude.leave(a).transpose(1, 2)  # [B, F, C]
        p = self.phase.leave(p).transpose(1, 2)
        # Float32 also under autocast: half precision has too few bits for a phase.
        direction = torch.complex(self.to_real(p).float(), self.to_imaginary(p).float())
        log_amplitude = given + self.to_gain(a).float().transpose(1, 2)
        return log_amplitude, (direction / magnitude(direction)).transpose(1, 2)

    def _audio(self, log_amplitude: Tensor, direction: Tensor) -> Tensor:
        """Shape: [B, K, F], [B, K, F] → [B, 1, (F - 1) * hop]."""
        spectrum = log_amplitude.exp() * direction
        return istft(spectrum, self.window, hop_length=self.hop_length, padding="center")[:, None]

    def _losses(self, real: Tensor, log_amplitude: Tensor, direction: Tensor) -> dict[str, Tensor]:
        """Losses of a predicted spectrum [B, K, F] against a recording [B, 1, T]."""
        bins = self._bins(real)
        amplitude = bins.abs() + OFFSET
        spectrum = log_amplitude.exp() * direction
        error = torch.view_as_real(spectrum - torch.polar(amplitude, bins.angle()))
        hop_length = self.hop_length
        return {
            "log_amplitude": F.mse_loss(log_amplitude, amplitude.log()),
            "instantaneous_phase": phase.instantaneous_phase(direction, bins),
            "group_delay": phase.group_delay(direction, bins),
            "instantaneous_frequency": phase.instantaneous_frequency(direction, bins),
            "complex": error.square().mean(),
            "consistency": phase.consistency(spectrum, self.window, hop_length=hop_length),
        }
