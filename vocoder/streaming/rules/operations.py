"""Streaming rules of torch's operations along time, from the arguments of their calls.

Each function returns the rule of one operation, or None if it is local with these arguments, or
combines steps in a way without a rule; then it is tried as a local one.
"""

import operator
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.stft import (
    inverse_frames,
    istft,
    overlap_add,
    pad_reflect,
    synthesis_cuts,
    synthesis_envelope,
)
from vocoder.kernels.chunk_invariant import chunk_invariant_conv1d
from vocoder.streaming.chunks import Chunk
from vocoder.streaming.graph import Operation
from vocoder.streaming.packed import Layer, packed_conv, packed_linear
from vocoder.streaming.rules.base import Crop, Cumsum, Local, Pad, Rule, Stretch, Windowed
from vocoder.streaming.rules.overlap import OverlapAdd


def _conv(operation: Operation, held_until_flush: int) -> Rule | None:
    dims = operation.inputs[0].long.ndim - 2
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    padding = operation.argument(4, "padding", 0)
    stride, dilation, padding = (
        _each(value, dims)
        for value in (
            operation.argument(3, "stride", 1),
            operation.argument(5, "dilation", 1),
            0 if padding == "valid" else padding,
        )
    )
    groups = operation.argument(6, "groups", 1)
    axis = operation.inputs[0].axis
    along = axis - 2
    span = (weight.shape[axis] - 1) * dilation[along] + 1
    if along < 0:
        return None
    convolve = cast(Callable[..., Tensor], operation.target)
    beside = [0 if dim == along else amount for dim, amount in enumerate(padding)]

    def call(x: Tensor) -> Tensor:
        y: Tensor = convolve(x, weight, bias, stride, beside, dilation, groups)
        return y

    layer: Layer = call
    if dims == 1 and operation.packs:
        layer = packed_conv(
            weight, bias, stride=stride[0], dilation=dilation[0], groups=groups, otherwise=call
        )
    if (span, stride[along], padding[along]) == (1, 1, 0):
        return Local(layer, axes=[axis], held_until_flush=held_until_flush)
    return Windowed(
        layer,
        axis=axis,
        span=span,
        stride=stride[along],
        padding=padding[along],
        held_until_flush=held_until_flush,
    )


def _linear(operation: Operation, held_until_flush: int) -> Rule | None:
    layer, signal = operation.target, operation.inputs[0]
    assert isinstance(layer, nn.Linear)
    if signal.axis == signal.long.ndim - 1 or layer._forward_hooks:
        return None
    packed = packed_linear(layer.weight, layer.bias)
    return Local(packed, axes=[signal.axis], held_until_flush=held_until_flush) if packed else None


def _conv_transpose(operation: Operation, held_until_flush: int) -> Rule:
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    (stride,), (padding,), (extra,), (dilation,) = (
        _each(value, 1)
        for value in (
            operation.argument(3, "stride", 1),
            operation.argument(4, "padding", 0),
            operation.argument(5, "output_padding", 0),
            operation.argument(7, "dilation", 1),
        )
    )
    groups = operation.argument(6, "groups", 1)

    def spread(x: Tensor, tail: Chunk) -> Tensor:
        total = F.conv_transpose1d(x, weight, None, stride, 0, 0, groups, dilation)
        if tail is not None:
            total[..., : tail.shape[-1]] += tail
        return total

    return OverlapAdd(
        spread,
        stride=stride,
        span=(weight.shape[-1] - 1) * dilation + 1,
        left=padding,
        right=padding - extra,
        held_until_flush=held_until_flush,
        bias=bias,
    )


def _istft(operation: Operation, held_until_flush: int) -> Rule:
    window = operation.argument(1, "window")
    hop_length = operation.argument(2, "hop_length")
    padding = operation.argument(3, "padding", "same")
    n_fft = window.shape[-1]
    left, right = synthesis_cuts(n_fft, hop_length, padding)

    def spread(spectrum: Tensor, tail: Chunk) -> Tensor:
        return overlap_add(inverse_frames(spectrum, window), hop_length, tail)

    def envelope(before: int, count: int) -> Tensor:
        return synthesis_envelope(window, before + count, hop_length=hop_length, padding=padding)

    return OverlapAdd(
        spread,
        stride=hop_length,
        span=n_fft,
        left=left,
        right=right,
        held_until_flush=held_until_flush,
        envelope=envelope,
    )


def _stft(operation: Operation, held_until_flush: int) -> Rule | None:
    if operation.argument(5, "center", True):
        return None
    n_fft = operation.argument(1, "n_fft")
    hop_length = operation.argument(2, "hop_length") or n_fft // 4
    axis = operation.inputs[0].axis
    return Windowed(
        operation.function,
        axis=axis,
        span=n_fft,
        stride=hop_length,
        held_until_flush=held_until_flush,
    )


def _avg_pool(operation: Operation, held_until_flush: int) -> Rule | None:
    (size,) = _each(operation.argument(1, "kernel_size"), 1)
    (stride,) = _each(operation.argument(2, "stride") or size, 1)
    (padding,) = _each(operation.argument(3, "padding", 0), 1)
    ceil_mode = operation.argument(4, "ceil_mode", False)
    if ceil_mode or (padding and not operation.argument(5, "count_include_pad", True)):
        return None
    axis = operation.inputs[0].axis

    def call(x: Tensor) -> Tensor:
        return F.avg_pool1d(x, size, stride)

    return Windowed(
        call,
        axis=axis,
        span=size,
        stride=stride,
        padding=padding,
        held_until_flush=held_until_flush,
    )


def _pad(operation: Operation, held_until_flush: int) -> Rule | None:
    amounts = list(operation.argument(1, "pad"))
    mode, value = operation.argument(2, "mode", "constant"), operation.argument(3, "value")
    axis = operation.inputs[0].axis
    behind = operation.inputs[0].long.ndim - 1 - axis  # axes after time, which `pad` lists first
    around = amounts[2 * behind : 2 * behind + 2]
    if not any(around) or any(amounts[: 2 * behind] + amounts[2 * behind + 2 :]):
        return None
    left, right = around
    if left <= 0 and right <= 0:
        return Crop(axis=axis, left=-left, right=-right, held_until_flush=held_until_flush)
    if min(left, right) < 0 or (mode == "reflect" and behind) or mode == "circular":
        return None

    def pad(x: Tensor, left: int, right: int) -> Tensor:
        if mode == "reflect":
            return pad_reflect(x, left, right)
        return F.pad(x, [0, 0] * behind + [left, right], mode, value)

    reflect = mode == "reflect"
    return Pad(
        pad, axis=axis, left=left, right=right, reflect=reflect, held_until_flush=held_until_flush
    )


def _reflect_pad(operation: Operation, held_until_flush: int) -> Rule:
    left, right = operation.argument(1, "left"), operation.argument(2, "right")
    axis = operation.inputs[0].axis
    return Pad(
        pad_reflect,
        axis=axis,
        left=left,
        right=right,
        reflect=True,
        held_until_flush=held_until_flush,
    )


def _slice(operation: Operation, held_until_flush: int) -> Rule | None:
    index = operation.argument(1, "index")
    entries = list(index) if isinstance(index, tuple) else [index]
    signal = operation.inputs[0]
    if not isinstance(signal.long, Tensor) or not all(
        entry is Ellipsis or isinstance(entry, slice) for entry in entries
    ):
        return None
    if Ellipsis in entries:
        place = entries.index(Ellipsis)
        entries[place : place + 1] = [slice(None)] * (signal.long.ndim - len(entries) + 1)
    along = entries.pop(signal.axis) if signal.axis < len(entries) else slice(None)
    begin, end = along.start or 0, along.stop or 0
    if along.step not in (None, 1) or begin < 0 or end > 0 or along == slice(None):
        return None
    if any(entry != slice(None) for entry in entries):
        return None
    return Crop(axis=signal.axis, left=begin, right=-end, held_until_flush=held_until_flush)


def _interpolate(operation: Operation, held_until_flush: int) -> Rule | None:
    factor = operation.argument(2, "scale_factor")
    mode = operation.argument(3, "mode", "nearest")
    if mode != "linear" or not factor or factor % 1 or operation.argument(4, "align_corners"):
        return None
    return Stretch(int(factor), held_until_flush=held_until_flush)


def _cumsum(operation: Operation, held_until_flush: int) -> Rule | None:
    signal = operation.inputs[0]
    if operation.argument(1, "dim") % signal.long.ndim != signal.axis:
        return None
    return Cumsum(operation.function, axis=signal.axis, held_until_flush=held_until_flush)


def _each(value: Any, dims: int) -> tuple[int, ...]:
    """One number for each dimension, from a number or a sequence as convolutions take it."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * dims if len(numbers) == 1 else numbers


RULES: dict[Any, Callable[[Operation, int], Rule | None]] = {
    nn.Linear: _linear,
    torch.conv1d: _conv,
    chunk_invariant_conv1d: _conv,
    torch.conv2d: _conv,
    torch.conv_transpose1d: _conv_transpose,
    torch.avg_pool1d: _avg_pool,
    torch.stft: _stft,
    torch.cumsum: _cumsum,
    "cumsum": _cumsum,
    F.pad: _pad,
    F.interpolate: _interpolate,
    operator.getitem: _slice,
    pad_reflect: _reflect_pad,
    istft: _istft,
}
"""Rules by function, name of a tensor's method, or class of a module."""
