"""Other operations of a graph as nodes: sums, factors, norms, activations."""

import operator

import numpy as np
from torch import Tensor, nn

from vocoder.inference.compiled.lowering.base import Lowering, to_array
from vocoder.inference.compiled.nodes.base import RowSignal
from vocoder.inference.compiled.nodes.channelwise import Activation, Norm, Sum
from vocoder.inference.compiled.nodes.convolution import Convolution, Taps
from vocoder.kernels.rows import activation
from vocoder.nn.activation import EPS, AntiAliased, Snake, SnakeBeta
from vocoder.streaming import graph
from vocoder.streaming.graph import Operation


def normed(lowering: Lowering, operation: Operation) -> bool:
    """Layer norm over the channels."""
    layer, source = operation.target, lowering.signals[operation.inputs[0].index]
    assert isinstance(layer, nn.LayerNorm)
    whole = operation.output.axis == 1 and layer.normalized_shape == (source.channels,)
    if not whole or source.width != source.channels or layer.weight is None or layer.bias is None:
        return False
    output = RowSignal(source.channels, source.rate)
    node = Norm((source,), (output,), to_array(layer.weight), to_array(layer.bias), layer.eps)
    return lowering.put(operation, output, node)


def gelu(lowering: Lowering, operation: Operation) -> bool:
    """GELU, in its exact form."""
    layer, source = operation.target, lowering.signals[operation.inputs[0].index]
    if isinstance(layer, nn.GELU) and layer.approximate != "none":
        return False
    output = RowSignal(source.channels, source.rate)
    return lowering.put(operation, output, Activation((source,), (output,), activation.GELU))


def same_rows(lowering: Lowering, operation: Operation) -> bool:
    """A transposition of time and channels, which are the same rows."""
    if {operation.argument(1, "dim0"), operation.argument(2, "dim1")} not in ({1, 2}, {-1, -2}):
        return False
    lowering.signals[operation.output.index] = lowering.signals[operation.inputs[0].index]
    return True


def leaky(lowering: Lowering, operation: Operation) -> bool:
    """Leaky ReLU."""
    target = operation.target
    slope = (
        target.negative_slope
        if isinstance(target, nn.LeakyReLU)
        else operation.argument(1, "negative_slope", 0.01)
    )
    return 0.0 <= slope <= 1.0 and _sum(lowering, operation, slope=slope)


def scaled(lowering: Lowering, operation: Operation) -> bool:
    """A product with a number, or with one for each channel."""
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
    factors[: source.channels] = to_array(factor).ravel()
    writer.groups = [Taps(taps.first, taps.weight * factors[:, None, None], taps.column)]
    writer.bias = writer.bias * factors
    lowering.signals[operation.output.index] = source
    return True


def added(lowering: Lowering, operation: Operation) -> bool:
    """The sum of two signals."""
    return len(operation.inputs) == 2 and _sum(lowering, operation)


def _sum(lowering: Lowering, operation: Operation, **settings: float) -> bool:
    inputs = tuple(lowering.signals[signal.index] for signal in operation.inputs)
    output = RowSignal(inputs[0].channels, inputs[0].rate)
    return lowering.put(operation, output, Sum(inputs, (output,), **settings))


def _snake(
    lowering: Lowering, operation: Operation, act: Snake | SnakeBeta, **settings: bool
) -> bool:
    source = lowering.signals[operation.inputs[0].index]
    output = RowSignal(source.channels, source.rate)
    alpha, scale = (np.zeros(output.width, np.float32) for _ in range(2))
    alpha[: output.channels], scale[: output.channels] = map(to_array, _alpha_and_scale(act))
    node = Activation((source,), (output,), activation.SNAKE, alpha, scale, **settings)
    return lowering.put(operation, output, node)


def _alpha_and_scale(act: Snake | SnakeBeta) -> tuple[Tensor, Tensor]:
    """Frequency of a periodic activation, and the factor of its square. Shape: [C] each."""
    stored = (act.alpha, act.beta) if isinstance(act, SnakeBeta) else (act.alpha, act.alpha)
    alpha, beta = (value.exp() if act.log_scale else value for value in stored)
    return alpha, 1.0 / (beta + EPS)


def periodic(lowering: Lowering, operation: Operation) -> bool:
    """Snake and SnakeBeta."""
    assert isinstance(operation.target, Snake | SnakeBeta)
    return _snake(lowering, operation, operation.target)


def anti_aliased(lowering: Lowering, operation: Operation) -> bool:
    """Snake and SnakeBeta at twice the rate."""
    target = operation.target
    assert isinstance(target, AntiAliased)
    if not isinstance(target.act, Snake | SnakeBeta):
        return False
    return _snake(lowering, operation, target.act, anti_aliased=True, causal=target.causal)
