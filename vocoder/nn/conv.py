"""Padding rules of convolutions, so that lengths are laws and not accidents."""

from torch import nn

from vocoder.errors import ConfigError


def same_padding(kernel_size: int, dilation: int = 1) -> int:
    """Zeros to add at both ends so that a convolution of stride 1 keeps the length of its input.

    Raises ConfigError for an even kernel, which has no center sample.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ConfigError(f"kernel size {kernel_size} has no center; use {kernel_size + 1}")
    return (kernel_size - 1) // 2 * dilation


class ConvTranspose1d(nn.ConvTranspose1d):
    """Upsample by exactly `stride`, whatever the kernel.

    Of the kernel_size - stride surplus samples half is trimmed at either end; when their number is
    odd, the left end loses one more. Raises ConfigError for a kernel shorter than the stride, which
    would leave samples that depend on nothing, and for an even kernel at stride 1.

    Shape: [B, in_channels, T] → [B, out_channels, T * stride].
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int
    ) -> None:
        if not 1 <= stride <= kernel_size:
            raise ConfigError(
                f"upsampling by {stride} with kernel {kernel_size} leaves gaps; "
                f"choose a rate of at least 1 and a kernel no shorter than the rate"
            )
        if stride == 1:
            same_padding(kernel_size)
        surplus = kernel_size - stride
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=(surplus + 1) // 2,
            output_padding=surplus % 2,
        )
