"""From a generator's graph to the nodes of a program."""

import dataclasses
import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.inference.compiled.nodes import (
    Activation,
    Convolution,
    Depthwise,
    Epilogue,
    FastConvolution,
    Node,
    Norm,
    Signal,
    Sum,
    Taps,
    transposed_groups,
)
from vocoder.kernels.rows import activation, convolution
from vocoder.nn.activation import EPS, AntiAliased, Snake, SnakeBeta
from vocoder.streaming import graph
from vocoder.streaming.graph import Operation

_FEWEST_CHANNELS = 32  # of a fast convolution: with fewer its sums cost more than they save
_MOST_DILATION = 7  # of a fast convolution, whose blocks must fit behind the rows in memory


MODULES = (AntiAliased, Snake, SnakeBeta)
"""Modules that are one operation of a graph."""


class Lowering:
    """Nodes for operations, as far as there are kernels for them.

    `signals` are the signals of the program, by the index of the graph's signals, and `readers` is
    how many operations read each of these. A matrix [T, C] and its transpose are the same rows.
    """

    def __init__(self, readers: Counter[int]) -> None:
        self.nodes: list[Node] = []
        self.signals: dict[int, Signal] = {}
        self.readers = readers

    def add(self, operation: Operation) -> bool:
        """Add the nodes of an operation; returns whether there are kernels for it."""
        make = _MAKERS.get(_kind(operation.target))
        return make is not None and make(self, operation)

    def begins(self, operation: Operation) -> bool:
        """Whether a program may begin with an operation: it is worth the way into rows."""
        return _MAKERS.get(_kind(operation.target)) in (_conv, _linear, _transposed)

    def source(self, signal: graph.Signal, rate: int) -> Signal:
        """A signal that the program is given."""
        made = self.signals[signal.index] = Signal(signal.long.shape[3 - signal.axis], rate)
        return made

    def put(self, operation: Operation, signal: Signal, node: Node) -> bool:
        """Add a node that makes the signal of an operation."""
        self.signals[operation.output.index] = signal
        self.nodes.append(node)
        return True


def _kind(target: Any) -> Any:
    return type(target) if isinstance(target, nn.Module) else target


def _array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ascontiguousarray(tensor.detach().numpy())


def _one(value: Any) -> int | None:
    """The value of a number, or of a list of one."""
    if isinstance(value, int):
        return value
    return value[0] if isinstance(value, tuple | list) and len(value) == 1 else None


def _conv(lowering: Lowering, operation: Operation) -> bool:
    source = lowering.signals[operation.inputs[0].index]
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    stride, padding, dilation = (
        _one(operation.argument(place, name, default))
        for place, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    )
    groups = operation.argument(6, "groups", 1)
    if stride != 1 or padding is None or dilation is None:
        return False
    if groups == source.channels == len(weight) > 1:
        return _depthwise(lowering, operation, padding, dilation)
    return groups == 1 and _dense(lowering, operation, weight, bias, padding, dilation)


def _dense(
    lowering: Lowering,
    operation: Operation,
    weight: Tensor,
    bias: Tensor | None,
    padding: int = 0,
    dilation: int = 1,
) -> bool:
    source = lowering.signals[operation.inputs[0].index]
    out, _, size = weight.shape
    output = Signal(out, source.rate)
    filled = np.zeros(output.width, np.float32)
    filled[:out] = 0.0 if bias is None else _array(bias)
    padded = np.zeros((output.width, *weight.shape[1:]), np.float32)
    padded[:out] = _array(weight)
    node = Convolution(
        source,
        [Taps(-padding, padded, 0)],
        filled,
        Epilogue(output),
        dilation=dilation,
        growth=2 * padding - (size - 1) * dilation,
    )
    return lowering.put(operation, output, node)


def _linear(lowering: Lowering, operation: Operation) -> bool:
    layer = operation.target
    assert isinstance(layer, nn.Linear)
    if operation.output.axis != 1:
        return False
    return _dense(lowering, operation, layer.weight[:, :, None], layer.bias)


def _depthwise(lowering: Lowering, operation: Operation, padding: int, dilation: int) -> bool:
    source = lowering.signals[operation.inputs[0].index]
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    size = weight.shape[2]
    output = Signal(source.channels, source.rate)
    taps = np.zeros((size, output.width), np.float32)
    taps[:, : output.channels] = _array(weight)[:, 0].T
    filled = np.zeros(output.width, np.float32)
    filled[: output.channels] = 0.0 if bias is None else _array(bias)
    growth = 2 * padding - (size - 1) * dilation
    node = Depthwise((source,), (output,), taps, filled, -padding, dilation, growth)
    return lowering.put(operation, output, node)


def _norm(lowering: Lowering, operation: Operation) -> bool:
    layer, source = operation.target, lowering.signals[operation.inputs[0].index]
    assert isinstance(layer, nn.LayerNorm)
    whole = operation.output.axis == 1 and layer.normalized_shape == (source.channels,)
    if not whole or source.width != source.channels or layer.weight is None or layer.bias is None:
        return False
    output = Signal(source.channels, source.rate)
    node = Norm((source,), (output,), _array(layer.weight), _array(layer.bias), layer.eps)
    return lowering.put(operation, output, node)


def _gelu(lowering: Lowering, operation: Operation) -> bool:
    layer, source = operation.target, lowering.signals[operation.inputs[0].index]
    if isinstance(layer, nn.GELU) and layer.approximate != "none":
        return False
    output = Signal(source.channels, source.rate)
    return lowering.put(operation, output, Activation((source,), (output,), activation.GELU))


def _same_rows(lowering: Lowering, operation: Operation) -> bool:
    if {operation.argument(1, "dim0"), operation.argument(2, "dim1")} not in ({1, 2}, {-1, -2}):
        return False
    lowering.signals[operation.output.index] = lowering.signals[operation.inputs[0].index]
    return True


def _transposed(lowering: Lowering, operation: Operation) -> bool:
    source = lowering.signals[operation.inputs[0].index]
    weight, bias = operation.argument(1, "weight"), operation.argument(2, "bias")
    stride, padding, extra, dilation = (
        _one(operation.argument(place, name, default))
        for place, name, default in (
            (3, "stride", 1),
            (4, "padding", 0),
            (5, "output_padding", 0),
            (7, "dilation", 1),
        )
    )
    size = weight.shape[2]
    whole = stride and padding is not None and size - stride - 2 * padding + (extra or 0) == 0
    if not whole or dilation != 1 or operation.argument(6, "groups", 1) != 1:
        return False
    assert stride is not None
    assert padding is not None
    output = Signal(weight.shape[1], source.rate * stride, stride=stride)
    groups = transposed_groups(_array(weight), stride=stride, padding=padding, width=output.width)
    filled = np.zeros((stride, output.width), np.float32)
    filled[:, : output.channels] = 0.0 if bias is None else _array(bias)
    node = Convolution(source, groups, filled.ravel(), Epilogue(output), stride=stride)
    return lowering.put(operation, output, node)


def _leaky(lowering: Lowering, operation: Operation) -> bool:
    target = operation.target
    slope = (
        target.negative_slope
        if isinstance(target, nn.LeakyReLU)
        else operation.argument(1, "negative_slope", 0.01)
    )
    return 0.0 <= slope <= 1.0 and _sum(lowering, operation, slope=slope)


def _scaled(lowering: Lowering, operation: Operation) -> bool:
    factor = next((value for value in operation.args if not isinstance(value, graph.Slot)), None)
    divides = operation.target is operator.truediv
    if isinstance(factor, Tensor) and not divides:
        return _channels_scaled(lowering, operation, factor)
    if not isinstance(factor, int | float) or (divides and factor is operation.args[0]):
        return False
    return _sum(lowering, operation, factor=1.0 / factor if divides else float(factor))


def _channels_scaled(lowering: Lowering, operation: Operation, factor: Tensor) -> bool:
    """Scale the channels of a convolution, if nothing else reads it, by scaling its weights."""
    (signal,) = operation.inputs
    source = lowering.signals[signal.index]
    shape = [source.channels] if signal.axis == 1 else [source.channels, 1]
    writer = lowering.nodes[-1]
    if (
        [n for n in factor.shape if n != 1 or n == source.channels] != [source.channels]
        or list(factor.shape)[-len(shape) :] != shape
        or lowering.readers[signal.index] != 1
        or not isinstance(writer, Convolution)
        or writer.epilogue.raw is not source
        or writer.stride > 1
    ):
        return False
    (taps,) = writer.groups
    factors = np.zeros(source.width, np.float32)
    factors[: source.channels] = _array(factor).ravel()
    writer.groups = [Taps(taps.first, taps.weight * factors[:, None, None], taps.column)]
    writer.bias = writer.bias * factors
    lowering.signals[operation.output.index] = source
    return True


def _added(lowering: Lowering, operation: Operation) -> bool:
    return len(operation.inputs) == 2 and _sum(lowering, operation)


def _sum(lowering: Lowering, operation: Operation, **settings: float) -> bool:
    inputs = tuple(lowering.signals[signal.index] for signal in operation.inputs)
    output = Signal(inputs[0].channels, inputs[0].rate)
    return lowering.put(operation, output, Sum(inputs, (output,), **settings))


def _snake(
    lowering: Lowering, operation: Operation, act: Snake | SnakeBeta, **settings: bool
) -> bool:
    source = lowering.signals[operation.inputs[0].index]
    output = Signal(source.channels, source.rate)
    alpha, scale = (np.zeros(output.width, np.float32) for _ in range(2))
    alpha[: output.channels], scale[: output.channels] = map(_array, _alpha_and_scale(act))
    node = Activation((source,), (output,), activation.SNAKE, alpha, scale, **settings)
    return lowering.put(operation, output, node)


def _alpha_and_scale(act: Snake | SnakeBeta) -> tuple[Tensor, Tensor]:
    """Frequency of a periodic activation, and the factor of its square. Shape: [C] each."""
    stored = (act.alpha, act.beta) if isinstance(act, SnakeBeta) else (act.alpha, act.alpha)
    alpha, beta = (value.exp() if act.log_scale else value for value in stored)
    return alpha, 1.0 / (beta + EPS)


def _periodic(lowering: Lowering, operation: Operation) -> bool:
    assert isinstance(operation.target, Snake | SnakeBeta)
    return _snake(lowering, operation, operation.target)


def _anti_aliased(lowering: Lowering, operation: Operation) -> bool:
    target = operation.target
    assert isinstance(target, AntiAliased)
    if not isinstance(target.act, Snake | SnakeBeta):
        return False
    return _snake(lowering, operation, target.act, anti_aliased=True, causal=target.causal)


_MAKERS: dict[Any, Callable[[Lowering, Operation], bool]] = {
    F.conv1d: _conv,
    torch.conv1d: _conv,
    F.conv_transpose1d: _transposed,
    torch.conv_transpose1d: _transposed,
    F.leaky_relu: _leaky,
    nn.LeakyReLU: _leaky,
    nn.Linear: _linear,
    nn.LayerNorm: _norm,
    nn.GELU: _gelu,
    "transpose": _same_rows,
    Snake: _periodic,
    SnakeBeta: _periodic,
    AntiAliased: _anti_aliased,
    operator.add: _added,
    operator.truediv: _scaled,
    operator.mul: _scaled,
}


def fused(nodes: list[Node], results: list[Signal]) -> list[Node]:
    """Let convolutions do the sums, factors and activations that follow them."""
    made: list[Node] = []
    readers = _readers(nodes, results)
    renamed: dict[Signal, Signal] = {}
    writers: dict[Signal, Convolution] = {}
    for node in nodes:
        _rename(node, renamed)
        if isinstance(node, Sum) and _absorbed(node, made, writers, readers, renamed):
            continue
        if isinstance(node, Activation) and _ends_with(node, writers):
            continue
        made.append(node)
        if isinstance(node, Convolution):
            assert node.epilogue.raw is not None
            writers[node.epilogue.raw] = node
    _drop_unread(made, results)
    return [_fastest(node) for node in made]


def _fastest(node: Node) -> Node:
    """The fast form of a convolution that has many channels and several taps."""
    if not isinstance(node, Convolution) or node.stride > 1:
        return node
    (taps,) = node.groups
    out, inside, size = taps.weight.shape
    if node.epilogue.act != convolution.LEAKY_RELU:
        return node
    worth = min(out, inside) >= _FEWEST_CHANNELS and size >= 3 and node.dilation <= _MOST_DILATION
    if not worth:
        return node
    return FastConvolution(**{f.name: getattr(node, f.name) for f in dataclasses.fields(node)})


def _readers(nodes: list[Node], results: list[Signal]) -> dict[Signal, int]:
    counts: dict[Signal, int] = dict.fromkeys(results, 1)
    for node in nodes:
        for signal in node.inputs:
            counts[signal] = counts.get(signal, 0) + 1
    return counts


def _rename(node: Node, renamed: dict[Signal, Signal]) -> None:
    if isinstance(node, Sum):
        node.inputs = tuple(renamed.get(signal, signal) for signal in node.inputs)
    elif isinstance(node, Activation | Depthwise | Norm):
        node.inputs = (renamed.get(node.inputs[0], node.inputs[0]),)
    elif isinstance(node, Convolution):
        node.source = renamed.get(node.source, node.source)


def _absorbed(
    node: Sum,
    made: list[Node],
    writers: dict[Signal, Convolution],
    readers: dict[Signal, int],
    renamed: dict[Signal, Signal],
) -> bool:
    """Whether the convolution that made the latest input of a sum now does the sum, too."""
    order = [n for n, other in enumerate(made) if set(other.outputs) & set(node.inputs)]
    if not order or not isinstance(made[order[-1]], Convolution):
        return False
    writer = made[order[-1]]
    assert isinstance(writer, Convolution)
    end = writer.epilogue
    (output,) = node.outputs
    if len(node.inputs) == 1 and node.factor == 1.0:  # an activation: the raw signal may stay
        if node.inputs[0] is not end.raw:
            return False
        if end.act != convolution.LEAKY_RELU:
            return False
        if end.activated is None:
            end.activated, end.slope = output, node.slope
            output.stride = writer.stride
        elif end.slope != node.slope:
            return False
        renamed[output] = end.activated
        return True
    raw = next((signal for signal in node.inputs if signal is end.raw), None)
    if raw is None or readers[raw] != 1 or end.activated is not None:
        return False
    others = [signal for signal in node.inputs if signal is not raw]
    if node.slope != 1.0 or len(end.added) + len(others) > 2 or (others and end.factor != 1.0):
        return False
    end.added += others
    end.factor *= node.factor
    end.raw = output
    output.stride = writer.stride
    writers[output] = writer
    return True


def _ends_with(node: Activation, writers: dict[Signal, Convolution]) -> bool:
    """Whether the convolution before a GELU now computes it, too."""
    writer = writers.get(node.inputs[0])
    if node.kind != activation.GELU or writer is None or writer.epilogue.activated is not None:
        return False
    (output,) = node.outputs
    writer.epilogue.activated, writer.epilogue.act = output, convolution.GELU
    output.stride = writer.stride
    return True


def _drop_unread(nodes: list[Node], results: list[Signal]) -> None:
    readers = _readers(nodes, results)
    for node in nodes:
        if isinstance(node, Convolution) and node.epilogue.raw not in readers:
            node.epilogue.raw = None
