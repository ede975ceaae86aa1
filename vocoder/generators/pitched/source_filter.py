"""Source-filter vocoder: pulses and noise, filtered in the STFT domain to agree with the mel.

Ours, along the lines of NSF (Wang et al. 2019) and HiFTNet (Li et al. 2023): signal processing
makes a first estimate, and a small network corrects it.

    mel ─► MelPitch ─► f0, voicing ─► pulse train, noise ─► STFT ─┐
     │                      │                                     × ─► MelConsistency ─► audio
     ├─► backbone ◄─────────┘                                     │
     │      └─► gain and phase of the pulse filter, gain of the noise filter
     └─► smooth envelope, minimum phase: what these filters are before training

So the untrained network already generates speech, and training learns the difference.
"""

from typing import Self

import torch
from torch import Tensor, nn

from vocoder.dsp.excitation import indexed_noise, minimum_phase, noise_table, pulse_train
from vocoder.dsp.stft import stft
from vocoder.features.mel import MelSpec
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.generators.pitched.consistency import MelConsistency
from vocoder.kernels.chunk_invariant import chunk_invariant_linear, make_chunk_invariant
from vocoder.nn.convnext import ConvNeXtBackbone
from vocoder.nn.pitch import MelPitch

_MAX_LOG_GAIN = 5.0  # nepers (43 dB) that the network may correct the envelope by
_VOICED_UP_TO_HZ = (
    5000.0  # where speech turns from mostly harmonic to mostly noise, before training
)


class SourceFilter(PitchedGenerator):
    """Harmonic-plus-noise generator for one MelSpec (magnitudes, "same" padding).

    `f0` is optional: in Hz, 0 where unvoiced, it overrides the pitch estimated from the mel.

    Shape: mel [B, M, F], f0 [B, F] → audio [B, 1, F * hop_length].

    Args:
        mel: Settings of the mel spectrograms.
        channels: Width of the backbone.
        hidden: Width inside its blocks.
        blocks: Number of its blocks.
        pitch_channels: Width of the pitch estimator's backbone.
        pitch_blocks: Number of the pitch estimator's blocks.
        iterations: Of `MelConsistency`; more are slower and agree better with the mel.
    """

    pitch: MelPitch
    prior: Tensor
    noise: Tensor

    def __init__(
        self,
        *,
        mel: MelSpec,
        channels: int = 256,
        hidden: int = 768,
        blocks: int = 6,
        pitch_channels: int = 128,
        pitch_blocks: int = 4,
        iterations: int,
    ) -> None:
        pitch = MelPitch(mel, channels=pitch_channels, blocks=pitch_blocks)
        super().__init__(mel=mel, pitch=pitch)
        self.mel = mel
        self.consistency = MelConsistency(mel, iterations=iterations)
        self.backbone = ConvNeXtBackbone(
            in_channels=mel.n_mels + 2, channels=channels, hidden=hidden, blocks=blocks
        )
        self.head = nn.Conv1d(channels, 3 * (mel.n_fft // 2 + 1), 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        hz = torch.linspace(0.0, mel.sample_rate / 2, mel.n_fft // 2 + 1)
        prior = torch.sigmoid((_VOICED_UP_TO_HZ - hz) / 1000.0)
        self.register_buffer("prior", prior, persistent=False)
        self.register_buffer("noise", noise_table(), persistent=False)

    def freeze(self) -> Self:
        """Prepare for inference as `Generator.freeze` does, and make all sums chunk-invariant.

        Otherwise `MelConsistency` would amplify their rounding errors in a stream.
        """
        super().freeze()
        make_chunk_invariant(self)
        return self

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        pitch, voiced = self.voice(mel, f0)
        spectrum = self.spectrum(mel, pitch, voiced, *self.excitation(pitch))
        audio: Tensor = self.consistency(spectrum, self.mel.expand(mel))
        return audio[:, None]

    @property
    def reach(self) -> int:
        """Frames before and after a frame on which its spectrum depends."""
        return max(self.backbone.reach, -(-self.mel.n_fft // self.hop_length))

    def voice(self, mel: Tensor, f0: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """F0 in Hz, positive in every frame, and voicing from 0 to 1.   Shape: [B, F] each."""
        # The pitch is learned from the tracker alone: a spectral loss has no useful gradient in F0.
        with torch.no_grad():
            pitch, voiced = self.pitch.decode(self.pitch(mel))
        if f0 is not None:
            pitch, voiced = torch.where(f0 > 0.0, f0, pitch), voiced * (f0 > 0.0)
        return pitch, voiced

    def excitation(self, f0: Tensor) -> tuple[Tensor, Tensor]:
        """Pulse train and white noise.   Shape: [B, F] → [B, F * hop_length] each."""
        pulses = pulse_train(f0, hop_length=self.hop_length, sample_rate=self.mel.sample_rate)
        # In training from a random position, or the filters would overfit to this noise.
        start = torch.randint(len(self.noise), (len(f0), 1)).to(f0.device) if self.training else 0
        return pulses, indexed_noise(self.noise, pulses, start)

    def spectrum(
        self, mel: Tensor, pitch: Tensor, voiced: Tensor, pulses: Tensor, noise: Tensor
    ) -> Tensor:
        """Spectrogram of the filtered excitations.   Shape: [B, K, F], complex."""
        context = torch.stack([torch.log2(pitch / 150.0), voiced], dim=1)
        filters = self.head(self.backbone(torch.cat([mel, context], dim=1))).mT
        gain_pulses, phase, gain_noise = filters.chunk(3, dim=-1)  # [B, F, K] each, as all below
        envelope = self._log_envelope(self.mel.expand(mel).mT)
        harmonic = voiced[..., None] * self.prior
        aperiodic = torch.sqrt((1.0 - harmonic.square()).clamp_min(0.0025))
        phase = phase + minimum_phase(envelope.mT).mT
        loudness = harmonic * _bounded_exp(envelope, gain_pulses)
        hiss = aperiodic * _bounded_exp(envelope, gain_noise)
        real, imag = loudness * torch.cos(phase), loudness * torch.sin(phase)
        pulses, noise = self._bins(pulses), self._bins(noise)
        # Not as a product of complex numbers, whose rounding depends on their place in memory.
        return torch.complex(
            real * pulses.real - imag * pulses.imag + hiss * noise.real,
            real * pulses.imag + imag * pulses.real + hiss * noise.imag,
        ).mT

    def _bins(self, signal: Tensor) -> Tensor:
        """Spectrogram between zeros.   Shape: [B, T] → [B, F, K]."""
        window = self.consistency.window
        return stft(signal, window, hop_length=self.hop_length, mode="constant").mT

    def _log_envelope(self, target: Tensor) -> Tensor:
        """Smooth log-magnitude for an excitation of unit variance. [B, F, M] → [B, F, K]."""
        # A band too narrow to cover a bin has no area and carries no information.
        density = target / self.consistency.filterbank.sum(dim=1).clamp_min(1e-8)
        # The mean magnitude of windowed white noise of unit variance.
        level = 0.886 * self.consistency.window.square().sum().sqrt()
        mean = chunk_invariant_linear(density, self.consistency.spreading)  # over a bin's bands
        envelope = torch.where(self.consistency.uncovered > 0, 0.5 * density[..., -1:], mean)
        return torch.log(envelope.clamp_min(1e-6) / level)


def _bounded_exp(log_prior: Tensor, correction: Tensor) -> Tensor:
    """Magnitude exp(prior + correction), the correction softly limited to `_MAX_LOG_GAIN`."""
    return torch.exp(log_prior + _MAX_LOG_GAIN * torch.tanh(correction / _MAX_LOG_GAIN))
