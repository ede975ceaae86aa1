"""Diffusion noise: discriminators score signals after a random number of diffusion steps."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from vocoder.augmentation.base import AdaptiveStrength
from vocoder.dsp.excitation import minimum_phase
from vocoder.dsp.stft import istft, stft
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram

_BETAS = (1e-6, 1e-2)  # variance that the first and the last step of any chain add
_QUEFRENCIES = 24  # coefficients that describe the envelope
_ENVELOPE_FLOOR = 1e-2  # so that the noise has a limit where the signal has none of its own
_LEAST_PEAK = 1e-2  # -40 dB: a batch below it counts as silence and is not scaled up


def signal_share(length: int) -> Tensor:
    """Share of the signal's power that is left after 0, 1, …, `length` diffusion steps.

    Shape: [length + 1], float64.   Ho et al. 2020, eq. 4, with a linear schedule.
    """
    betas = torch.linspace(*_BETAS, length, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1.0 - betas).cumprod(0)])


class _Chain(AdaptiveStrength):
    """x_t = √ᾱ_t x + √(1 - ᾱ_t) noise, t of each item drawn from 0 … T, T growing with `p`.

    Half the items stay clean (t = 0); for the others the probability of t is proportional to it.
    As published, every signal has its own noise: item b of real and fake share t alone.
    """

    def __init__(
        self,
        *,
        boundary: float,
        target: float,
        ramp_items: int,
        t_min: int,
        t_max: int,
        p: float,
    ) -> None:
        super().__init__(boundary=boundary, target=target, ramp_items=ramp_items, p=p, p_max=1.0)
        if not 1 <= t_min <= t_max:
            raise ConfigError(f"t_min {t_min} and t_max {t_max}: needs 1 <= t_min <= t_max")
        self.t_min, self.t_max = t_min, t_max

    @property
    def length(self) -> int:
        """Number T of diffusion steps at the present strength."""
        return self.t_min + round(self.p.item() * (self.t_max - self.t_min))

    def draw_steps(self, batch: int) -> Tensor:
        """Draw the number of diffusion steps of each item.   Shape: [batch], on the CPU.

        The published code draws from a table of 64 such numbers, refilled when `p` moves. That is
        the same distribution with a state that every process would have to save.
        """
        priority = torch.arange(1, self.length + 1, dtype=torch.float64)
        late = 1 + torch.multinomial(priority, batch, replacement=True)
        steps: Tensor = late * (torch.rand(batch) < 0.5)
        return steps

    def augment(self, x: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Diffuse every item by a random number of steps.   Shape: [S, B, C, T] → same."""
        share = signal_share(self.length)[self.draw_steps(x.shape[1])]
        levels = torch.stack([share.sqrt(), (1.0 - share).sqrt()]).float().to(x.device)
        signal, noise = levels[:, None, :, None, None].unbind()
        return signal * x + noise * self.noise(x, features)

    @abstractmethod
    def noise(self, like: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Noise that the chain ends in.   Shape: like [S, B, C, T] → same."""


class Diffusion(_Chain):
    """Diffusion with white Gaussian noise, of up to `t_max` steps.

    Wang et al. 2023 (Diffusion-GAN), sec. 3; the constants are those of the "StandardDiff-GAN" that
    Baoueb et al. 2024 compare SpecDiff-GAN with.

    Args:
        boundary: Logit between real and fake, see `AdaptiveStrength`.
        noise_std: Standard deviation of the noise.
        target: Mean sign of real logits above which the strength rises.
        ramp_items: Items of all processes within which `p` moves from 0 to 1 if it always rises.
        t_min: Diffusion steps at strength 0.
        t_max: Diffusion steps at strength 1.
        p: Strength at the start.
    """

    def __init__(
        self,
        *,
        boundary: float,
        noise_std: float = 0.05,
        target: float = 0.6,
        ramp_items: int = 500_000,
        t_min: int = 10,
        t_max: int = 1000,
        p: float = 0.0,
    ) -> None:
        super().__init__(
            boundary=boundary, target=target, ramp_items=ramp_items, t_min=t_min, t_max=t_max, p=p
        )
        if noise_std <= 0.0:
            raise ConfigError(f"noise_std is {noise_std}; it must be positive")
        self.noise_std = noise_std

    def noise(self, like: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """White noise.   Shape: like [S, B, C, T] → same."""
        return self.noise_std * torch.randn(like.shape).to(like.device)


class SpectralDiffusion(_Chain):
    """Diffusion with noise shaped by the inverse of the signal's spectral envelope.

    The envelope is computed from the feature "mel". The noise is far above the signal, so all
    signals are divided by the largest magnitude of the call. Published is a division of real and
    fake by their own, which differ by 0.8 dB on average and up to 3 dB (40 batches of 16 crops of
    one recording, each taken for both), a gain they would not share.

    Baoueb et al. 2024 (SpecDiff-GAN), sec. 3, and its code.

    Args:
        mel: Spec of the feature "mel".
        boundary: Logit between real and fake, see `AdaptiveStrength`.
        target: Mean sign of real logits above which the strength rises.
        ramp_items: Items of all processes within which `p` moves from 0 to 1 if it always rises.
        t_min: Diffusion steps at strength 0.
        t_max: Diffusion steps at strength 1.
        p: Strength at the start.
    """

    features = ("mel",)
    window: Tensor
    inverse: Tensor

    def __init__(
        self,
        mel: MelSpec,
        *,
        boundary: float,
        target: float = 0.6,
        ramp_items: int = 500_000,
        t_min: int = 10,
        t_max: int = 1000,
        p: float = 0.0,
    ) -> None:
        super().__init__(
            boundary=boundary, target=target, ramp_items=ramp_items, t_min=t_min, t_max=t_max, p=p
        )
        self.mel = mel
        analysis = MelSpectrogram(mel)
        inverse = torch.linalg.pinv(analysis.filterbank.double()).float()
        self.register_buffer("inverse", inverse, persistent=False)
        self.register_buffer("window", analysis.window, persistent=False)

    def augment(self, x: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Diffuse every item, then scale all to full scale.   Shape: [S, B, C, T] → same."""
        augmented = super().augment(x, features)
        return augmented / augmented.detach().abs().amax().clamp_min(_LEAST_PEAK)

    def log_envelope(self, mel: Tensor) -> Tensor:
        """Smooth log-magnitude of the recording, in nepers.   Shape: [B, M, F] → [B, K, F].

        As published, the cepstrum is that of the bins up to Nyquist alone, and the mirror images of
        the retained coefficients are dropped with the rest, so that ripples have half their height.
        """
        spectrum = self.inverse @ self.mel.expand(mel.float()) ** (1.0 / self.mel.power)
        cepstrum = torch.fft.ifft(torch.log(spectrum.clamp_min(1e-5)), dim=1)
        bins = torch.fft.fft(cepstrum[:, :_QUEFRENCIES], n=spectrum.shape[1], dim=1).real
        return torch.log(torch.exp(bins) + _ENVELOPE_FLOOR)

    def noise(self, like: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """White noise of unit variance, filtered by the inverse envelope.   [S, B, C, T] → same."""
        envelope = self.log_envelope(features["mel"])
        # One frame more, so that there is noise after the last whole hop.
        envelope = torch.cat([envelope, envelope[..., -1:]], dim=-1)
        response = torch.polar(torch.exp(-envelope), -minimum_phase(envelope))  # [B, K, F + 1]
        signals, batch, channels, samples = like.shape
        hop_length, padding = self.mel.hop_length, self.mel.padding
        length = hop_length * (envelope.shape[-1] - (padding == "center"))
        white = torch.randn(signals * batch * channels, length).to(like.device)
        bins = stft(white, self.window, hop_length=hop_length, padding=padding)
        bins = bins.reshape(signals, batch, channels, *bins.shape[1:]) * response[:, None]
        shaped = istft(bins.flatten(0, 2), self.window, hop_length=hop_length, padding=padding)
        return shaped[:, :samples].reshape(like.shape)
