"""ConvNeXt over frames: the backbone of spectral vocoders."""

import torch
from torch import Tensor, nn

from vocoder.nn.conv import Conv1d

KERNEL = 7
EPS = 1e-6


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


class ConvNeXtBlock(nn.Module):
    """Residual block: depthwise convolution over time, then a two-layer perceptron per frame.

    Shape: [B, C, F] → same.   Liu et al. 2022 (A ConvNet for the 2020s), in 1-D by Siuzdak 2023.

    Args:
        channels: Of input and output.
        hidden: Width inside the perceptron.
        scale: Initial value of the layer scale gamma.
        kernel_size: Of the convolution, in frames.
        causal: Whether no output depends on a later frame.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden: int,
        scale: float,
        kernel_size: int = KERNEL,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.dwconv = Conv1d(channels, channels, kernel_size, groups=channels, causal=causal)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = nn.Linear(channels, hidden)
        self.activation = nn.GELU()
        self.pwconv2 = nn.Linear(hidden, channels)
        self.gamma = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's output to `x`."""
        y: Tensor = self.dwconv(x).transpose(1, 2)  # [B, F, C]
        y = self.pwconv2(self.activation(self.pwconv1(self.norm(y))))
        return x + (self.gamma * y).transpose(1, 2)


class ConvNeXtBackbone(nn.Module):
    """Features to hidden frames: embedding convolution, ConvNeXt blocks, norms over channels.

    The layer scale of each block is initialised to 1 / `blocks`. A frame depends on `reach` frames
    before it, and as many after it unless causal.

    Shape: [B, in_channels, F] → [B, channels, F].   Siuzdak 2023 (Vocos, arXiv 2306.00814), sec. 3.

    Args:
        in_channels: Channels of the features.
        channels: Of the hidden frames.
        hidden: Width inside a block.
        blocks: Number of ConvNeXt blocks.
        kernel_size: Of the convolution in a block, in frames.
        causal: Whether no output depends on a later frame.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int,
        hidden: int,
        blocks: int,
        kernel_size: int = KERNEL,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.embed = Conv1d(in_channels, channels, KERNEL, causal=causal)
        self.reach = (KERNEL - 1 + blocks * (kernel_size - 1)) // (1 if causal else 2)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.convnext = nn.ModuleList(
            ConvNeXtBlock(
                channels, hidden=hidden, scale=1 / blocks, kernel_size=kernel_size, causal=causal
            )
            for _ in range(blocks)
        )
        self.final_layer_norm = nn.LayerNorm(channels, eps=EPS)
        self.apply(_init)

    def forward(self, features: Tensor) -> Tensor:
        """Compute hidden frames from features."""
        x = self.enter(features)
        for block in self.convnext:
            x = block(x)
        return self.leave(x)

    def enter(self, features: Tensor) -> Tensor:
        """Embed and normalise the features: what comes before the blocks."""
        x: Tensor = self.norm(self.embed(features).transpose(1, 2))
        return x.transpose(1, 2)  # [B, C, F]

    def leave(self, x: Tensor) -> Tensor:
        """Normalise the output of the blocks."""
        x = self.final_layer_norm(x.transpose(1, 2))
        return x.transpose(1, 2)
