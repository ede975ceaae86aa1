"""Residual stacks of dilated convolutions, as HiFi-GAN and its descendants use them."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from vocoder.nn.conv import same_padding
from vocoder.nn.weight_norm import weight_norm

Activation = Callable[[int], nn.Module]
"""Makes one activation for a number of channels."""


def _convs(channels: int, kernel_size: int, dilations: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(
        weight_norm(
            nn.Conv1d(
                channels,
                channels,
                kernel_size,
                dilation=dilation,
                padding=same_padding(kernel_size, dilation),
            )
        )
        for dilation in dilations
    )


class DilatedPairBlock(nn.Module):
    """Residual pairs of a dilated and a plain convolution, one pair per dilation.

    Shape: [B, C, T] → same.   Kong et al. 2020 (HiFi-GAN), sec. 2.2; "ResBlock1" in its code.
    """

    def __init__(
        self, channels: int, *, kernel_size: int, dilations: Sequence[int], activation: Activation
    ) -> None:
        super().__init__()
        self.convs1 = _convs(channels, kernel_size, dilations)
        self.convs2 = _convs(channels, kernel_size, [1] * len(dilations))
        self.activations = nn.ModuleList(activation(channels) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        """Add every pair's correction in turn."""
        before, between = self.activations[0::2], self.activations[1::2]
        for act1, conv1, act2, conv2 in zip(before, self.convs1, between, self.convs2, strict=True):
            x = x + conv2(act2(conv1(act1(x))))
        return x


class DilatedBlock(nn.Module):
    """Residual dilated convolutions, one per dilation: the light variant.

    Shape: [B, C, T] → same.   Kong et al. 2020 (HiFi-GAN), sec. 2.2; "ResBlock2" in its code.
    """

    def __init__(
        self, channels: int, *, kernel_size: int, dilations: Sequence[int], activation: Activation
    ) -> None:
        super().__init__()
        self.convs = _convs(channels, kernel_size, dilations)
        self.activations = nn.ModuleList(activation(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """Add every convolution's correction in turn."""
        for activation, conv in zip(self.activations, self.convs, strict=True):
            x = x + conv(activation(x))
        return x
