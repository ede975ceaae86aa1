"""Modules that a trace keeps whole, as ONNX nodes: linear, recurrent, normalisation, pooling.

Converters are as in `vocoder.export.operations.pointwise`, with the module before its input.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vocoder.export.graph import GraphBuilder, GraphTensor
from vocoder.export.operations.layers import conv, each_axis
from vocoder.export.operations.pointwise import gelu, silu

Result = Any


def _linear(b: GraphBuilder, layer: nn.Linear, input: GraphTensor) -> Result:
    dtype = layer.weight.dtype
    product = b.op("MatMul", b.name(input, dtype), b.name(layer.weight.T))
    if layer.bias is not None:
        product = b.op("Add", product, b.name(layer.bias))
    return product if dtype == b.made.dtype else b.cast(product, b.made.dtype)


def _conv_module(b: GraphBuilder, layer: Any, input: GraphTensor) -> Result:
    """A convolution that hooks make one node (`make_chunk_invariant`)."""
    made = conv(
        b,
        input,
        layer.weight,
        layer.bias,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )
    return made if layer.weight.dtype == b.made.dtype else b.cast(made, b.made.dtype)


def _layer_norm(b: GraphBuilder, layer: nn.LayerNorm, input: GraphTensor) -> Result:
    axis = input.ndim - len(layer.normalized_shape)
    weight = layer.weight if layer.elementwise_affine else torch.ones(layer.normalized_shape)
    names = [b.name(w) for w in (weight, layer.bias) if w is not None]
    return b.op("LayerNormalization", input.name, *names, axis=axis, epsilon=layer.eps)


def _group_norm(b: GraphBuilder, layer: nn.GroupNorm, input: GraphTensor) -> Result:
    count = layer.num_groups
    ones, zeros = b.const(torch.ones(count)), b.const(torch.zeros(count))
    grouped = b.reshape(input.name, 0, count, -1)
    normal = b.op("InstanceNormalization", grouped, ones, zeros, epsilon=layer.eps)
    y = b.op("Reshape", normal, b.op("Shape", input.name))
    for kind, values in (("Mul", layer.weight), ("Add", layer.bias)):
        if values is not None:
            y = b.op(kind, y, b.name(values.reshape(-1, *[1] * (input.ndim - 2))))
    return y


def _batch_norm(b: GraphBuilder, layer: nn.BatchNorm2d, input: GraphTensor) -> Result:
    values = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    names = [b.name(value) for value in values]
    return b.op("BatchNormalization", input.name, *names, epsilon=layer.eps)


def _max_pool(b: GraphBuilder, layer: nn.MaxPool2d, input: GraphTensor) -> Result:
    dims = input.ndim - 2
    return b.op(
        "MaxPool",
        input.name,
        kernel_shape=each_axis(layer.kernel_size, dims),
        strides=each_axis(layer.stride, dims),
        pads=each_axis(layer.padding, dims) * 2,
    )


def _prelu(b: GraphBuilder, layer: nn.PReLU, input: GraphTensor) -> Result:
    slope: Tensor = layer.weight
    if slope.numel() > 1:
        slope = slope.reshape(-1, *[1] * (input.ndim - 2))
    return b.op("PRelu", input.name, b.name(slope))


def _lstm(b: GraphBuilder, layer: nn.LSTM, input: GraphTensor) -> Result:
    if layer.num_layers != 1 or layer.proj_size or not layer.batch_first:
        raise NotImplementedError("of several layers, with projection or with time first")
    suffixes = ["", "_reverse"] if layer.bidirectional else [""]

    def gathered(kind: str) -> Tensor:
        """Weights of both directions, their gates in ONNX's order (input, output, forget, cell)."""
        values = []
        for suffix in suffixes:
            first, forget, cell, last = getattr(layer, f"{kind}_l0{suffix}").chunk(4)
            values.append(torch.cat([first, last, forget, cell]))
        return torch.stack(values)

    biases = [torch.cat([gathered("bias_ih"), gathered("bias_hh")], dim=1)] if layer.bias else []
    steps, hidden, cell = b.ops(
        "LSTM",
        [b.transpose(input.name, 1, 0, 2), *map(b.name, map(gathered, ("weight_ih", "weight_hh")))]
        + [b.name(bias) for bias in biases],
        3,
        hidden_size=layer.hidden_size,
        direction="bidirectional" if layer.bidirectional else "forward",
    )
    joined = b.transpose(steps, 2, 0, 1, 3)  # [T, directions, B, H] → [B, T, directions, H]
    return b.reshape(joined, 0, 0, -1), (hidden, cell)


def _through(b: GraphBuilder, _: nn.Module, input: GraphTensor) -> Result:
    return input.name


def _leaky_relu(b: GraphBuilder, layer: nn.LeakyReLU, input: GraphTensor) -> Result:
    return b.op("LeakyRelu", input.name, alpha=layer.negative_slope)


def _elu(b: GraphBuilder, layer: nn.ELU, input: GraphTensor) -> Result:
    return b.op("Elu", input.name, alpha=layer.alpha)


MODULES: dict[type[nn.Module], Callable[..., Result]] = {
    nn.Linear: _linear,
    nn.Conv1d: _conv_module,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.MaxPool2d: _max_pool,
    nn.LSTM: _lstm,
    nn.PReLU: _prelu,
    nn.LeakyReLU: _leaky_relu,
    nn.ELU: _elu,
    nn.ReLU: lambda b, _, input: b.op("Relu", input.name),
    nn.Tanh: lambda b, _, input: b.op("Tanh", input.name),
    nn.Sigmoid: lambda b, _, input: b.op("Sigmoid", input.name),
    nn.SiLU: lambda b, _, input: silu(b, input),
    nn.GELU: lambda b, layer, input: gelu(b, input, layer.approximate),
    nn.Dropout: _through,
    nn.Identity: _through,
}
"""Converters by the class of the module."""


def module_converter(layer: nn.Module) -> Callable[..., Result] | None:
    """The converter of a module's class, or of the nearest of its bases."""
    return next((MODULES[kind] for kind in type(layer).__mro__ if kind in MODULES), None)
