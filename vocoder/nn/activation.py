"""Periodic activations, and a wrapper that keeps any activation from aliasing."""

import torch
from torch import Tensor, nn

from vocoder.dsp.lowpass import anti_aliasing_taps, downsample2, upsample2
from vocoder.kernels.anti_aliased import EPS as EPS, anti_aliased, has_kernel

SLOPE = 0.1  # of the leaky ReLU of HiFi-GAN and its descendants
# Of the last one in their published networks: torch's default slope.
EXIT_SLOPE = 0.01


class Snake(nn.Module):
    """Periodic activation x + sin²(αx) / α, with one learned α per channel.

    With `log_scale`, the parameter is the logarithm of α. α is initialised to 1.

    Shape: [B, C, T] → same.   Ziyin et al. 2020; Lee et al. 2023 (BigVGAN), sec. 3.2.
    """

    def __init__(self, channels: int, *, log_scale: bool = False) -> None:
        super().__init__()
        self.log_scale = log_scale
        self.alpha = _per_channel(channels, log_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation pointwise."""
        alpha, beta = self.values()
        return x + torch.sin(alpha * x).square() / (beta + EPS)

    def values(self) -> tuple[Tensor, Tensor]:
        """α, and β, which is α.   Shape: [C, 1]."""
        alpha = _value(self.alpha, self.log_scale)
        return alpha, alpha


class SnakeBeta(nn.Module):
    """Periodic activation x + sin²(αx) / β, with learned α and β per channel.

    α sets the frequency and 1 / β the magnitude; both are initialised to 1. With `log_scale`, the
    parameters are their logarithms.

    Shape: [B, C, T] → same.   Lee et al. 2023 (BigVGAN), in its released form.
    """

    def __init__(self, channels: int, *, log_scale: bool = False) -> None:
        super().__init__()
        self.log_scale = log_scale
        self.alpha = _per_channel(channels, log_scale)
        self.beta = _per_channel(channels, log_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation pointwise."""
        alpha, beta = self.values()
        return x + torch.sin(alpha * x).square() / (beta + EPS)

    def values(self) -> tuple[Tensor, Tensor]:
        """α and β.   Shape: [C, 1]."""
        return _value(self.alpha, self.log_scale), _value(self.beta, self.log_scale)


def _per_channel(channels: int, log_scale: bool) -> nn.Parameter:
    return nn.Parameter(torch.zeros(channels) if log_scale else torch.ones(channels))


def _value(stored: Tensor, log_scale: bool) -> Tensor:
    """Shape: [C] → [C, 1]."""
    return (stored.exp() if log_scale else stored)[:, None]


class AntiAliased(nn.Module):
    """Apply a pointwise activation at twice the rate, so that its harmonics do not alias.

    Upsampling and downsampling use the same Kaiser-windowed sinc of 12 taps. With `causal`, no
    output depends on a later sample, at the price of 5 samples of delay in what `act` adds.

    Shape: [B, C, T] → same.   Lee et al. 2023 (BigVGAN), sec. 3.3; Karras et al. 2021 (StyleGAN3).
    """

    taps: Tensor

    def __init__(self, act: nn.Module, *, causal: bool = False) -> None:
        super().__init__()
        self.act = act
        self.causal = causal
        self.register_buffer("taps", anti_aliasing_taps(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample by 2, apply the activation, downsample by 2; by a fused kernel if there is one.

        The kernel runs Snake, SnakeBeta and leaky ReLU; forward hooks of these do not run there.
        """
        if has_kernel(x):
            act = self.act
            if isinstance(act, nn.LeakyReLU):
                return anti_aliased(x, slope=act.negative_slope, causal=self.causal)
            if isinstance(act, Snake | SnakeBeta) and act.alpha.shape[0] == x.shape[1]:
                alpha, beta = (value[:, 0] for value in act.values())
                return anti_aliased(x, alpha, beta, causal=self.causal)
        y = self.act(upsample2(x, self.taps, causal=self.causal))
        return downsample2(y, self.taps, causal=self.causal)


def leaky_relu(channels: int) -> nn.Module:
    """Make HiFi-GAN's leaky ReLU, which is the same for any number of channels."""
    return nn.LeakyReLU(SLOPE)
