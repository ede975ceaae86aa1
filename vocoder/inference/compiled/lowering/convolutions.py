"""Convolutions of a graph as nodes."""

import numpy as np
from torch import Tensor, nn

from vocoder.inference.compiled.lowering.base import Lowering, Pending, only, to_array
from vocoder.inference.compiled.nodes.base import RowSignal
from vocoder.inference.compiled.nodes.channelwise import Depthwise
from vocoder.inference.compiled.nodes.convolution import (
    Convolution,
    Epilogue,
    Taps,
    transposed_groups,
)
from vocoder.streaming.graph import Operation


def padded(lowering: Lowering, operation: Operation) -> bool:
    """Padding with zeros before a convolution, which does it."""
    (signal,), sizes = operation.inputs, operation.argument(1, "pad")
    plain = operation.argument(2, "mode", "constant") == "constant"
    if signal.axis != 2 or not plain or operation.argument(3, "value") or len(sizes) != 2:
        return False
    if lowering.readers[operation.output.index] != 1 or min(sizes) < 0:
        return False
    lowering.pending[operation.output.index] = Pending(lowering.signals[signal.index], *sizes)
    return True


def cut(lowering: Lowering, operation: Operation) -> bool:
    """Cutting off the steps that a transposed convolution makes beyond its last whole row."""
    pending = lowering.pending.get(operation.inputs[0].index)
    if pending is None or operation.args[1] != (..., slice(None, -pending.surplus, None)):
        return False
    lowering.signals[operation.output.index] = pending.signal
    return True


def convolved(lowering: Lowering, operation: Operation) -> bool:
    """A convolution of stride 1, dense or depthwise."""
    index = operation.inputs[0].index
    source, before, after, surplus = lowering.pending.get(index) or Pending(lowering.signals[index])
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    stride, padding, dilation = (
        only(operation.argument(place, name, default))
        for place, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    )
    groups = operation.argument(6, "groups", 1)
    if stride != 1 or padding is None or dilation is None or surplus:
        return False
    ends = padding + before, padding + after
    if groups == source.channels == len(weight) > 1:
        return _depthwise(lowering, operation, source, ends, dilation)
    return groups == 1 and _dense(lowering, operation, source, weight, bias, ends, dilation)


def _dense(
    lowering: Lowering,
    operation: Operation,
    source: RowSignal,
    weight: Tensor,
    bias: Tensor | None,
    ends: tuple[int, int] = (0, 0),
    dilation: int = 1,
) -> bool:
    out, _, size = weight.shape
    output = RowSignal(out, source.rate)
    filled = np.zeros(output.width, np.float32)
    filled[:out] = 0.0 if bias is None else to_array(bias)
    padded = np.zeros((output.width, *weight.shape[1:]), np.float32)
    padded[:out] = to_array(weight)
    node = Convolution(
        source,
        [Taps(-ends[0], padded, 0)],
        filled,
        Epilogue(output),
        dilation=dilation,
        growth=sum(ends) - (size - 1) * dilation,
    )
    return lowering.put(operation, output, node)


def linear(lowering: Lowering, operation: Operation) -> bool:
    """A linear layer over the channels."""
    layer = operation.target
    assert isinstance(layer, nn.Linear)
    if operation.output.axis != 1:
        return False
    source = lowering.signals[operation.inputs[0].index]
    return _dense(lowering, operation, source, layer.weight[:, :, None], layer.bias)


def _depthwise(
    lowering: Lowering,
    operation: Operation,
    source: RowSignal,
    ends: tuple[int, int],
    dilation: int,
) -> bool:
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    size = weight.shape[2]
    output = RowSignal(source.channels, source.rate)
    taps = np.zeros((size, output.width), np.float32)
    taps[:, : output.channels] = to_array(weight)[:, 0].T
    filled = np.zeros(output.width, np.float32)
    filled[: output.channels] = 0.0 if bias is None else to_array(bias)
    growth = sum(ends) - (size - 1) * dilation
    node = Depthwise((source,), (output,), taps, filled, -ends[0], dilation, growth)
    return lowering.put(operation, output, node)


def transposed(lowering: Lowering, operation: Operation) -> bool:
    """A transposed convolution that upsamples by its stride."""
    source = lowering.signals[operation.inputs[0].index]
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    stride, padding, extra, dilation = (
        only(operation.argument(place, name, default))
        for place, name, default in (
            (3, "stride", 1),
            (4, "padding", 0),
            (5, "output_padding", 0),
            (7, "dilation", 1),
        )
    )
    size = weight.shape[2]
    if stride is None or padding is None or extra is None:
        return False
    surplus = size - stride - 2 * padding + extra
    if surplus < 0 or dilation != 1 or operation.argument(6, "groups", 1) != 1:
        return False
    output = RowSignal(weight.shape[1], source.rate * stride, stride=stride)
    groups = transposed_groups(to_array(weight), stride=stride, padding=padding, width=output.width)
    filled = np.zeros((stride, output.width), np.float32)
    filled[:, : output.channels] = 0.0 if bias is None else to_array(bias)
    node = Convolution(source, groups, filled.ravel(), Epilogue(output), stride=stride)
    if not surplus:
        return lowering.put(operation, output, node)
    lowering.nodes.append(node)
    lowering.pending[operation.output.index] = Pending(output, surplus=surplus)
    return True
