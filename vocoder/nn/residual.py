"""Residual stacks of dilated convolutions, as HiFi-GAN and its descendants use them."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Literal

from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.nn.conv import edge_conv
from vocoder.nn.weight_norm import weight_norm

Activation = Callable[[int], nn.Module]
"""Function from a number of channels to an activation for them."""
BlockKind = Literal["1", "2"]


def _convs(
    channels: int, kernel_size: int, dilations: Sequence[int], causal: bool, reflect: bool
) -> nn.ModuleList:
    return nn.ModuleList(
        weight_norm(
            edge_conv(
                channels, channels, kernel_size, dilation=dilation, causal=causal, reflect=reflect
            )
        )
        for dilation in dilations
    )


class DilatedPairBlock(nn.Module):
    """Residual pairs of a dilated and a plain convolution, one pair per dilation.

    Shape: [B, C, T] → same.   Kong et al. 2020 (HiFi-GAN), sec. 2.2; "ResBlock1" in its code.

    Args:
        channels: Of input and output.
        kernel_size: Of all convolutions; an odd number unless `causal`.
        dilations: One per pair.
        activation: Makes the activation before each convolution.
        causal: Whether no output depends on a later input.
        reflect: Whether the input is extended by its reflection instead of zeros.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int,
        dilations: Sequence[int],
        activation: Activation,
        causal: bool = False,
        reflect: bool = False,
    ) -> None:
        super().__init__()
        self.convs1 = _convs(channels, kernel_size, dilations, causal, reflect)
        self.convs2 = _convs(channels, kernel_size, [1] * len(dilations), causal, reflect)
        self.activations = nn.ModuleList(activation(channels) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of each pair to its input, one after the other."""
        before, between = self.activations[0::2], self.activations[1::2]
        for act1, conv1, act2, conv2 in zip(before, self.convs1, between, self.convs2, strict=True):
            x = x + conv2(act2(conv1(act1(x))))
        return x


class DilatedBlock(nn.Module):
    """Residual dilated convolutions, one per dilation: the light variant.

    Shape: [B, C, T] → same.   Kong et al. 2020 (HiFi-GAN), sec. 2.2; "ResBlock2" in its code.

    Args:
        channels: Of input and output.
        kernel_size: Of all convolutions; an odd number unless `causal`.
        dilations: One per convolution.
        activation: Makes the activation before each convolution.
        causal: Whether no output depends on a later input.
        reflect: Whether the input is extended by its reflection instead of zeros.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int,
        dilations: Sequence[int],
        activation: Activation,
        causal: bool = False,
        reflect: bool = False,
    ) -> None:
        super().__init__()
        self.convs = _convs(channels, kernel_size, dilations, causal, reflect)
        self.activations = nn.ModuleList(activation(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of each convolution to its input, one after the other."""
        for activation, conv in zip(self.activations, self.convs, strict=True):
            x = x + conv(activation(x))
        return x


BLOCKS = {"1": DilatedPairBlock, "2": DilatedBlock}


class MRF(nn.ModuleList):
    """Multi-receptive-field fusion: the mean of residual blocks with different kernel sizes.

    Raises ConfigError for lists that do not fit each other.

    Shape: [B, C, T] → same.   Kong et al. 2020 (HiFi-GAN), sec. 2.2.

    Args:
        channels: Of input and output.
        resblock: "1" (`DilatedPairBlock`) or "2" (`DilatedBlock`).
        kernel_sizes: One per block.
        dilations: A list per block, with one residual step per entry.
        activation: Makes the activation before each convolution.
        causal: Whether no output depends on a later input.
        reflect: Whether the input is extended by its reflection instead of zeros.
    """

    def __init__(
        self,
        channels: int,
        *,
        resblock: BlockKind,
        kernel_sizes: Sequence[int],
        dilations: Sequence[Sequence[int]],
        activation: Activation,
        causal: bool = False,
        reflect: bool = False,
    ) -> None:
        if resblock not in BLOCKS:
            raise ConfigError(f"resblock is {resblock!r}; choose from {sorted(BLOCKS)}")
        if not kernel_sizes or len(kernel_sizes) != len(dilations):
            raise ConfigError(
                f"{len(kernel_sizes)} resblock_kernel_sizes but {len(dilations)} "
                "resblock_dilations; give one list of dilations per kernel size, and at least one"
            )
        super().__init__(
            BLOCKS[resblock](
                channels,
                kernel_size=kernel_size,
                dilations=steps,
                activation=activation,
                causal=causal,
                reflect=reflect,
            )
            for kernel_size, steps in zip(kernel_sizes, dilations, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the mean of the outputs of all blocks."""
        total: Tensor = reduce(add, [block(x) for block in self])
        return total / len(self)


def mrf_stages(
    widths: Sequence[int],
    *,
    resblock: BlockKind,
    kernel_sizes: Sequence[int],
    dilations: Sequence[Sequence[int]],
    activation: Activation,
    causal: bool = False,
    reflect: bool = False,
) -> nn.ModuleList:
    """Make one multi-receptive-field fusion (`MRF`) per upsampling stage.

    Args:
        widths: Channels of each stage.
        resblock: "1" (`DilatedPairBlock`) or "2" (`DilatedBlock`).
        kernel_sizes: One per block of a stage.
        dilations: A list per block, with one residual step per entry.
        activation: Makes the activation before each convolution.
        causal: Whether no output depends on a later input.
        reflect: Whether the input is extended by its reflection instead of zeros.
    """
    return nn.ModuleList(
        MRF(
            width,
            resblock=resblock,
            kernel_sizes=kernel_sizes,
            dilations=dilations,
            activation=activation,
            causal=causal,
            reflect=reflect,
        )
        for width in widths
    )
