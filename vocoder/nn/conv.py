"""Padding rules of convolutions, so that lengths are laws and not accidents."""

import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError

torch.fx.wrap("pad_reflect")  # one node in a traced graph: streaming knows it by name


def same_padding(kernel_size: int, dilation: int = 1) -> int:
    """Zeros to add at both ends so that a convolution of stride 1 keeps the length of its input.

    Raises ConfigError for an even kernel, which has no center sample.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ConfigError(f"kernel size {kernel_size} has no center; use {kernel_size + 1}")
    return (kernel_size - 1) // 2 * dilation


class Conv1d(nn.Conv1d):
    """Convolution of stride 1 that keeps the length of its input.

    Half of the zeros lie at either end; `causal` puts all of them in front, so that no output
    depends on a later input. Raises ConfigError for an even kernel that is not causal.

    Shape: [B, in_channels, T] → [B, out_channels, T].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            dilation=dilation,
            padding=0 if causal else same_padding(kernel_size, dilation),
            groups=groups,
            bias=bias,
        )
        self.ahead = (kernel_size - 1) * dilation if causal else 0

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, the length unchanged."""
        return super().forward(F.pad(x, (self.ahead, 0)) if self.ahead else x)


class ReflectConv1d(nn.Conv1d):
    """Convolution of stride 1 that keeps the length of its input, which is mirrored at its ends.

    Raises ConfigError for an even kernel.

    Shape: [B, in_channels, T] → [B, out_channels, T].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation, bias=bias)
        self.margin = same_padding(kernel_size, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, the length unchanged."""
        return super().forward(pad_reflect(x, self.margin, self.margin))


class ConvTranspose1d(nn.ConvTranspose1d):
    """Upsample by exactly `stride`, whatever the kernel.

    Of the kernel_size - stride surplus samples half is trimmed at either end; when their number is
    odd, the left end loses one more. `causal` trims all of them from the right end: no output
    depends on an input later than the one it lies in. Raises ConfigError for a kernel shorter than
    the stride, which would leave samples that depend on nothing, and for an even kernel at
    stride 1 that is not causal.

    Shape: [B, in_channels, T] → [B, out_channels, T * stride].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        bias: bool = True,
        causal: bool = False,
    ) -> None:
        if not 1 <= stride <= kernel_size:
            raise ConfigError(
                f"upsampling by {stride} with kernel {kernel_size} leaves gaps; "
                f"choose a rate of at least 1 and a kernel no shorter than the rate"
            )
        surplus = kernel_size - stride
        if stride == 1 and not causal:
            same_padding(kernel_size)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0 if causal else (surplus + 1) // 2,
            output_padding=0 if causal else surplus % 2,
            bias=bias,
        )
        self.behind = surplus if causal else 0

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Upsample; `output_size` is there for torch's signature and must be None."""
        y = super().forward(x)
        return y[..., : -self.behind] if self.behind else y
