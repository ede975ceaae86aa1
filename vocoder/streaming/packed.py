"""Layers with weights laid out for the CPU's kernels once, not at every chunk.

A library that multiplies by a large matrix first copies it into blocks. One call on a whole mel
does not notice; a chunk of a few frames can spend more time on that than on its arithmetic.
Without oneDNN, elsewhere than on a CPU, or in another precision these give None.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vocoder.streaming.chunks import steps_first

Layer = Callable[[Tensor], Tensor]
_PLAIN: tuple[str, list[float], str] = ("none", [], "")  # nothing is fused behind the product
_HINT = 32  # steps that the layout is chosen for


def packed_linear(weight: Tensor, bias: Tensor | None) -> Layer | None:
    """`F.linear` with these weights.   Shape: weight [O, I]; […, I] → […, O]."""
    if not _can_pack(weight):
        return None
    blocks = torch.ops.mkldnn._reorder_linear_weight(weight, _HINT)

    def call(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), blocks, bias, *_PLAIN)
        return y

    return call


def packed_conv(
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int,
    dilation: int,
    groups: int,
    otherwise: Layer,
) -> Layer:
    """`F.conv1d` without padding; `otherwise` where blocks are of no use.

    They are where the input is shorter than the weights that look at it.
    Shape: weight [O, I / groups, K]; [B, I, T] → [B, O, T'].
    """
    out_channels, inputs, size = weight.shape
    if not _can_pack(weight):
        return otherwise
    steps = (size - 1) * dilation + _HINT * stride
    along: tuple[Sequence[int], ...] = ([0, 0], [1, stride], [1, dilation])
    blocks = torch.ops.mkldnn._reorder_convolution_weight(
        weight[:, :, None], *along, groups, [1, inputs * groups, 1, steps]
    )

    def call(x: Tensor) -> Tensor:
        if x.shape[-1] > out_channels * size:
            return otherwise(x)
        kept = steps_first(x)
        x = x if kept else x.contiguous()
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x[:, :, None], blocks, bias, *along, groups, *_PLAIN
        )[:, :, 0]
        return y if kept else y.contiguous()

    return call


def _can_pack(weight: Tensor) -> bool:
    known = ("_linear_pointwise", "_convolution_pointwise")
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and all(hasattr(torch.ops.mkldnn, name) for name in known)
    )
