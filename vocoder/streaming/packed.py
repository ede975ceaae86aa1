"""Layers with weights laid out for the CPU's kernels once, not at every chunk.

A library that multiplies by a large matrix first copies it into blocks. One call on a whole mel
does not notice; a chunk of a few frames can spend more time on that than on its arithmetic.
The operators are private to torch, so they are compared with the public ones once in a process;
where they are missing or differ, elsewhere than on a CPU, or in another precision, the public calls
are used.
"""

import functools
import logging
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.streaming.chunks import steps_first

Layer = Callable[[Tensor], Tensor]
_log = logging.getLogger(__name__)
_PLAIN: tuple[str, list[float], str] = ("none", [], "")  # nothing is fused behind the product
_HINT = 32  # steps that the layout is chosen for


def packed_linear(weight: Tensor, bias: Tensor | None) -> Layer | None:
    """A linear layer with packed weights, or None where packing is not supported.

    Shape: weight [O, I]; […, I] → […, O].
    """
    return _linear(weight, bias) if _can_pack(weight) else None


def packed_conv(
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int,
    dilation: int,
    groups: int,
    otherwise: Layer,
) -> Layer:
    """A convolution without padding with packed weights, or `otherwise` where that is faster.

    `otherwise` is used for inputs longer than O * K, and where packing is not supported.
    Shape: weight [O, I / groups, K]; [B, I, T] → [B, O, T'].

    Args:
        weight: Weights of the convolution.
        bias: Bias of the convolution, if it has one.
        stride: Stride in steps of the input.
        dilation: Dilation in steps of the input.
        groups: Number of groups of channels.
        otherwise: The same convolution by public calls.
    """
    if not _can_pack(weight):
        return otherwise
    out_channels, _, size = weight.shape
    packed = _conv(weight, bias, stride=stride, dilation=dilation, groups=groups)

    def call(x: Tensor) -> Tensor:
        return otherwise(x) if x.shape[-1] > out_channels * size else packed(x)

    return call


def _linear(weight: Tensor, bias: Tensor | None) -> Layer:
    blocks = torch.ops.mkldnn._reorder_linear_weight(weight, _HINT)

    def call(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), blocks, bias, *_PLAIN)
        return y

    return call


def _conv(weight: Tensor, bias: Tensor | None, *, stride: int, dilation: int, groups: int) -> Layer:
    _, inputs, size = weight.shape
    steps = (size - 1) * dilation + _HINT * stride
    along: tuple[Sequence[int], ...] = ([0, 0], [1, stride], [1, dilation])
    blocks = torch.ops.mkldnn._reorder_convolution_weight(
        weight[:, :, None], *along, groups, [1, inputs * groups, 1, steps]
    )

    def call(x: Tensor) -> Tensor:
        channels_beside = steps_first(x)
        x = x if channels_beside else x.contiguous()
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x[:, :, None], blocks, bias, *along, groups, *_PLAIN
        )[:, :, 0]
        return y if channels_beside else y.contiguous()

    return call


def _can_pack(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and kernels_agree()
    )


@functools.cache
def kernels_agree() -> bool:
    """Whether the private operators of this torch give the public ones' results; cached."""
    rng = torch.Generator("cpu").manual_seed(0)
    shapes = ((1, 8, 40), (6,), (6, 8), (6, 4, 3))
    x, bias, matrix, taps = (
        torch.randn(shape, generator=rng, device="cpu", dtype=torch.float32) for shape in shapes
    )
    try:
        with torch.inference_mode():
            pairs = [
                (_linear(matrix, bias)(x.mT), F.linear(x.mT, matrix, bias)),
                (
                    _conv(taps, bias, stride=2, dilation=3, groups=2)(x),
                    F.conv1d(x, taps, bias, stride=2, dilation=3, groups=2),
                ),
            ]
            if all(torch.allclose(ours, public, atol=1e-4) for ours, public in pairs):
                return True
            reason = "their results differ"
    except Exception as error:  # a later release may raise anything
        reason = str(error).split("\n", 1)[0]
    _log.info("torch %s: packed kernels are not used (%s)", torch.__version__, reason)
    return False
