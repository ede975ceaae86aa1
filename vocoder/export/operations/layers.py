"""Convolutions, pooling and interpolation of torch, as ONNX nodes.

Converters are as in `vocoder.export.operations.pointwise`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vocoder.export.graph import GraphBuilder, GraphTensor

Result = Any


def each_axis(value: Any, dims: int) -> list[int]:
    """One number for each of `dims` axes, from one or several as torch takes them."""
    if isinstance(value, str):
        raise NotImplementedError(f"with padding {value!r}")
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * dims if len(numbers) == 1 else numbers


def conv(
    b: GraphBuilder,
    x: GraphTensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Result:
    """Convolution over one or more axes."""
    input = x
    dims = input.ndim - 2
    strides, pads, dilations = (each_axis(value, dims) for value in (stride, padding, dilation))
    if weight.dtype == torch.float64:
        if groups != 1 or dims != 1 or strides != [1]:
            raise NotImplementedError("in double precision")
        return _conv_by_taps(b, input, weight, bias, pads[0], dilations[0])
    return b.op(
        "Conv",
        b.name(input, weight.dtype),
        b.name(weight),
        None if bias is None else b.name(bias),
        strides=strides,
        pads=pads * 2,
        dilations=dilations,
        group=groups,
    )


def _conv_by_taps(
    b: GraphBuilder, input: GraphTensor, weight: Tensor, bias: Any, padding: int, dilation: int
) -> str:
    """A sum of matrix products, one for each tap: runtimes have no Conv in double precision."""
    size = weight.shape[2]
    x = b.name(input, weight.dtype)
    if padding:
        x = b.pad(x, 3, 2, padding, padding, "constant")
    products = []
    for tap in range(size):
        behind = (size - 1 - tap) * dilation
        piece = x if size == 1 else b.slice(x, 2, tap * dilation, *([-behind] if behind else []))
        products.append(b.op("MatMul", b.name(weight[:, :, tap]), piece))
    total = b.sum(products)
    return total if bias is None else b.op("Add", total, b.name(bias[:, None]))


def _conv_transpose(
    b: GraphBuilder,
    input: GraphTensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Result:
    (stride,), (padding,), (extra,), (dilation,) = (
        each_axis(value, 1) for value in (stride, padding, output_padding, dilation)
    )
    if groups == input.shape[1] == weight.shape[0] and weight.shape[1] == dilation == 1:
        return _depthwise_transpose(b, input, weight, bias, stride, padding, extra)
    return b.op(
        "ConvTranspose",
        b.name(input, weight.dtype),
        b.name(weight),
        None if bias is None else b.name(bias),
        strides=[stride],
        pads=[padding, padding],
        output_padding=[extra],
        dilations=[dilation],
        group=groups,
    )


def _depthwise_transpose(
    b: GraphBuilder,
    input: GraphTensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    padding: int,
    extra: int,
) -> str:
    """One short convolution for each phase of the output; ConvTranspose is slow for many groups.

    Sample stride · m + r of the untrimmed output is Σ_j x[m - j] weight[stride · j + r].
    """
    channels = weight.shape[0]
    taps = nn.functional.pad(weight[:, 0], (0, -weight.shape[-1] % stride))
    phases = taps.reshape(channels, -1, stride).transpose(1, 2).flip(-1)  # [C, stride, J]
    behind = phases.shape[-1] - 1
    kernel = phases.reshape(channels * stride, 1, -1).contiguous()
    made = b.op(
        "Conv",
        input.name,
        b.name(kernel),
        None if bias is None else b.name(bias.repeat_interleave(stride)),
        pads=[behind, behind],
        group=channels,
    )
    split = b.reshape(made, 0, channels, stride, -1)
    audio = b.reshape(b.transpose(split, 0, 1, 3, 2), 0, channels, -1)
    # Its length is (T + behind) stride; that of torch's (T - 1) stride + size - 2 padding + extra.
    surplus = (behind + 1) * stride - weight.shape[-1] + padding - extra
    if surplus < 0:
        audio = b.pad(audio, 3, 2, 0, -surplus, "constant")
    return b.slice(audio, 2, padding, *([-surplus] if surplus > 0 else []))


def _avg_pool1d(
    b: GraphBuilder,
    input: GraphTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Result:
    (size,), (pad,) = each_axis(kernel_size, 1), each_axis(padding, 1)
    (step,) = each_axis(stride or size, 1)
    if input.dtype == torch.float64 and step == 1 and count_include_pad:
        x = b.pad(input.name, 3, 2, pad, pad, "constant")
        ends = [[-behind] if behind else [] for behind in range(size - 1, -1, -1)]
        total = b.sum([b.slice(x, 2, first, *end) for first, end in enumerate(ends)])
        return b.op("Div", total, b.const(float(size), input.dtype))
    return _avg_pool(b, input, [size], [step], [pad], ceil_mode, count_include_pad)


def _avg_pool(
    b: GraphBuilder,
    input: GraphTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Result:
    dims = input.ndim - 2
    if ceil_mode or divisor_override:
        raise NotImplementedError("with ceil_mode or divisor_override")
    return b.op(
        "AveragePool",
        input.name,
        kernel_shape=each_axis(kernel_size, dims),
        strides=each_axis(stride or kernel_size, dims),
        pads=each_axis(padding, dims) * 2,
        count_include_pad=int(count_include_pad),
    )


def _interpolate(
    b: GraphBuilder,
    input: GraphTensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    **_: Any,
) -> Result:
    factor = scale_factor[0] if isinstance(scale_factor, tuple | list) else scale_factor
    if not factor or factor % 1 or align_corners or input.ndim != 3:
        raise NotImplementedError("by anything but a whole factor")
    count = int(factor)
    spread = b.op("Unsqueeze", input.name, b.ints(-1))  # [B, C, F, 1]
    if mode == "nearest":
        return b.reshape(b.op("Expand", spread, b.ints(1, 1, 1, count)), 0, 0, -1)
    if mode != "linear":
        raise NotImplementedError(f"with mode {mode!r}")
    offset = (torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5
    before = b.concat([b.slice(spread, 2, 0, 1), b.slice(spread, 2, 0, -1)], 2)
    after = b.concat([b.slice(spread, 2, 1), b.slice(spread, 2, -1)], 2)
    shares = ((-offset).clamp_min(0.0), 1.0 - offset.abs(), offset.clamp_min(0.0))
    return b.reshape(
        b.sum(
            [
                b.op("Mul", value, b.const(share, input.dtype))
                for value, share in zip((before, spread, after), shares, strict=True)
            ]
        ),
        *(0, 0, -1),
    )


def _linear(b: GraphBuilder, x: GraphTensor, weight: Tensor, bias: Tensor | None = None) -> Result:
    product = b.op("MatMul", b.name(x, weight.dtype), b.name(weight.T))
    if bias is not None:
        product = b.op("Add", product, b.name(bias))
    return product if weight.dtype == b.made.dtype else b.cast(product, b.made.dtype)


def _chunk_invariant_conv1d(b: GraphBuilder, x: GraphTensor, weight: Tensor, *rest: Any) -> Result:
    made = conv(b, x, weight, *rest)
    return made if weight.dtype == b.made.dtype else b.cast(made, b.made.dtype)


LAYERS: dict[str, Callable[..., Result]] = {
    "conv1d": conv,
    "conv2d": conv,
    "conv_transpose1d": _conv_transpose,
    "linear": _linear,
    "chunk_invariant_linear": _linear,
    "chunk_invariant_conv1d": _chunk_invariant_conv1d,
    "avg_pool1d": _avg_pool1d,
    "avg_pool2d": _avg_pool,
    "interpolate": _interpolate,
}
"""Converters by the name of the function."""
