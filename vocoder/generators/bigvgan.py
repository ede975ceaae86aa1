"""BigVGAN: HiFi-GAN's layout with anti-aliased periodic activations."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.nn.activation import AntiAliased, Snake, SnakeBeta
from vocoder.nn.conv import Conv1d
from vocoder.nn.residual import BlockKind, mrf_stages
from vocoder.nn.upsampling import EDGE_KERNEL, stage_widths, upsampling_layers
from vocoder.nn.weight_norm import weight_norm

ACTIVATIONS = {"snake": Snake, "snakebeta": SnakeBeta}


class BigVGAN(Generator):
    """Upsampling stages with residual blocks whose periodic activations are anti-aliased.

    The paper's networks end with a bias and tanh; the second release has no `final_bias` and clamps
    instead of `final_tanh`. `causal` is ours. Raises ConfigError for sizes that do not fit each
    other.

    Shape: mel [B, M, F] → audio [B, 1, F * hop_length] in [-1, 1].
    Lee et al. 2023 (BigVGAN, arXiv 2206.04658), sec. 3.

    Args:
        n_mels: Mel bands.
        hop_length: Samples per frame, the product of `upsample_rates`.
        upsample_rates: Upsampling factor of each stage.
        upsample_kernel_sizes: Kernel size of each stage's transposed convolution.
        channels: Before the first stage; each stage halves them.
        resblock: "1" (pairs of convolutions) or "2" (single convolutions).
        resblock_kernel_sizes: Kernel size of each parallel residual block of a stage.
        resblock_dilations: A list per residual block, with one residual step per entry.
        activation: "snake" or "snakebeta".
        log_scale: Whether the activation's parameters are stored as logarithms.
        final_bias: Whether the last convolution has a bias.
        final_tanh: Limit the output by tanh; otherwise it is clamped.
        causal: Whether no output depends on a later frame.
    """

    features = ("mel",)

    def __init__(
        self,
        *,
        n_mels: int,
        hop_length: int,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        channels: int,
        resblock: BlockKind = "1",
        resblock_kernel_sizes: Sequence[int] = (3, 7, 11),
        resblock_dilations: Sequence[Sequence[int]] = ((1, 3, 5),) * 3,
        activation: Literal["snake", "snakebeta"] = "snakebeta",
        log_scale: bool = True,
        final_bias: bool = True,
        final_tanh: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__(hop_length=hop_length)
        if activation not in ACTIVATIONS:
            raise ConfigError(f"activation is {activation!r}; choose from {sorted(ACTIVATIONS)}")

        def act(width: int) -> nn.Module:
            return AntiAliased(ACTIVATIONS[activation](width, log_scale=log_scale), causal=causal)

        self.conv_pre = weight_norm(Conv1d(n_mels, channels, EDGE_KERNEL, causal=causal))
        self.ups = upsampling_layers(
            channels, upsample_rates, upsample_kernel_sizes, hop_length=hop_length, causal=causal
        )
        widths = stage_widths(channels, len(upsample_rates))
        self.resblocks = mrf_stages(
            widths,
            resblock=resblock,
            kernel_sizes=resblock_kernel_sizes,
            dilations=resblock_dilations,
            activation=act,
            causal=causal,
        )
        self.activation_post = act(widths[-1])
        post = Conv1d(widths[-1], 1, EDGE_KERNEL, bias=final_bias, causal=causal)
        self.conv_post = weight_norm(post)
        self.final_tanh = final_tanh

    def forward(self, mel: Tensor) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        x = self.conv_pre(mel)  # [B, C, F]
        for up, mrf in zip(self.ups, self.resblocks, strict=True):
            x = mrf(up(x))  # [B, C / 2, T * rate]
        x = self.conv_post(self.activation_post(x))  # [B, 1, F * hop]
        return torch.tanh(x) if self.final_tanh else x.clamp(-1.0, 1.0)
