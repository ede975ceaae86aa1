"""Convolutions with padding rules that fix the output length exactly."""

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.kernels.convolution import grouped_conv1d


def same_padding(kernel_size: int, dilation: int = 1) -> int:
    """Number of zeros to pad at each end so that a convolution of stride 1 keeps the length.

    Raises ConfigError for an even kernel, which has no center sample.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ConfigError(f"kernel size {kernel_size} has no center; use {kernel_size + 1}")
    return (kernel_size - 1) // 2 * dilation


class Conv1d(nn.Conv1d):
    """Convolution of stride 1 with zero padding, which keeps the length of its input.

    Raises ConfigError for an even kernel that is not causal.

    Shape: [B, in_channels, T] → [B, out_channels, T].

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps; an odd number unless `causal`.
        dilation: Distance between taps in samples.
        groups: Groups of channels that are convolved separately.
        bias: Whether a learned bias is added.
        causal: Pad in front only instead of half at each end: no output depends on a later input.
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
        """Convolve; the length stays the same."""
        return super().forward(F.pad(x, (self.ahead, 0)) if self.ahead else x)


class GroupedConv1d(nn.Conv1d):
    """Convolution in groups with zero padding, by a fused kernel if there is one.

    Shape: [B, in_channels, T] → [B, out_channels, (T + 2 padding - reach) // stride + 1], where the
    reach is 1 + dilation (kernel_size - 1).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps.
        stride: Samples of the input per sample of the output.
        padding: Zeros on each side.
        dilation: Distance between taps in samples.
        groups: Groups of channels that do not see each other.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        *,
        groups: int,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.dilation != (1,):  # has no kernel
            y: Tensor = super()._conv_forward(input, weight, bias)
            return y
        stride, padding = self.stride[0], self.padding[0]
        assert isinstance(padding, int)
        return grouped_conv1d(
            input, weight, bias, stride=stride, padding=padding, groups=self.groups
        )


class ReflectConv1d(nn.Conv1d):
    """Convolution of stride 1 with reflect padding, which keeps the length of its input.

    Raises ConfigError for an even kernel.

    Shape: [B, in_channels, T] → [B, out_channels, T].

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps; an odd number.
        dilation: Distance between taps in samples.
        bias: Whether a learned bias is added.
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
        """Convolve; the length stays the same."""
        return super().forward(pad_reflect(x, self.margin, self.margin))


def edge_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    dilation: int = 1,
    causal: bool = False,
    reflect: bool = False,
) -> Conv1d | ReflectConv1d:
    """Make a `ReflectConv1d` or a `Conv1d`, which is causal or not.

    Raises ConfigError for both at once: a causal convolution has no future to reflect.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps; an odd number unless `causal`.
        dilation: Distance between taps in samples.
        causal: Whether no output depends on a later input.
        reflect: Whether the input is extended by its reflection instead of zeros.
    """
    if not reflect:
        return Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, causal=causal)
    if causal:
        raise ConfigError("a causal network cannot reflect its input; set reflect or causal")
    return ReflectConv1d(in_channels, out_channels, kernel_size, dilation=dilation)


class ConvTranspose1d(nn.ConvTranspose1d):
    """Transposed convolution that upsamples by exactly `stride`, for any kernel size.

    Of the kernel_size - stride surplus samples half are trimmed at each end; if their number is
    odd, one more at the left end. Raises ConfigError for a kernel shorter than the stride, which
    would leave samples that depend on no input, and for an even kernel at stride 1 that is not
    causal.

    Shape: [B, in_channels, T] → [B, out_channels, T * stride].

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps; at least `stride`.
        stride: Upsampling factor.
        bias: Whether a learned bias is added.
        causal: Trim at the right end only: no output depends on an input after the one it lies in.
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
        """Upsample; `output_size` only matches torch's signature and must be None."""
        y = super().forward(x)
        return y[..., : -self.behind] if self.behind else y
