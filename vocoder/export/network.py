"""Conversion of a network to an ONNX graph, from two examples of its inputs.

The network is traced as for streams, and run on two examples that differ in batch size and length:
what is equal in both is a constant, and an axis that has two sizes is dynamic.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.fx
from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.export.graph import Complex, GraphBuilder, GraphTensor, Size, onnx_type, real_dtype
from vocoder.export.operations.layers import LAYERS
from vocoder.export.operations.modules import module_converter
from vocoder.export.operations.pointwise import METHODS, POINTWISE
from vocoder.export.operations.reductions import REDUCTIONS
from vocoder.export.operations.shapes import SHAPES
from vocoder.export.operations.spectral import SPECTRAL
from vocoder.streaming.graph import parameters, same_value
from vocoder.streaming.tracing import symbolic_trace

FUNCTIONS = {**POINTWISE, **REDUCTIONS, **SHAPES, **LAYERS, **SPECTRAL}
OUTPUT = "audio"
IR_VERSION = 9  # that of ONNX 1.15, which all runtimes of today read
Example = Mapping[str, Tensor]


def to_onnx(
    network: nn.Module, short: Example, long: Example, *, opset: int, use_dft: bool = False
) -> Any:
    """Convert a network to an ONNX model of the same function, for any batch size and length.

    `short` and `long` are examples of its inputs, by name; they differ in batch size and length.
    Raises ConfigError, naming the operation, if there is no conversion of one.
    """
    from onnx import helper

    absent = {name: None for name in parameters(network) if name not in short}
    traced = symbolic_trace(network, absent)
    converter = Converter(traced, GraphBuilder(opset, use_dft=use_dft))
    with torch.inference_mode():
        runs = [_run(traced, network, example) for example in (short, long)]
        for node in traced.graph.nodes:
            converter.convert(node, *(run.get(node) for run in runs))
    b = converter.builder
    graph = helper.make_graph(b.nodes, "generator", converter.inputs, [converter.output])
    graph.initializer.extend(b.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = IR_VERSION
    return model


def _run(
    traced: torch.fx.GraphModule, network: nn.Module, example: Example
) -> dict[torch.fx.Node, Any]:
    run = torch.fx.Interpreter(traced, garbage_collect_values=False)
    run.run(*(example.get(name) for name in parameters(network)))
    return run.env


class Converter:
    """Converts the nodes of a traced network, one after the other."""

    functions = FUNCTIONS

    def __init__(self, traced: torch.fx.GraphModule, builder: GraphBuilder) -> None:
        self.traced, self.builder = traced, builder
        self.inputs: list[Any] = []
        self.output: Any = None
        self._values: dict[torch.fx.Node, Any] = {}

    def convert(self, node: torch.fx.Node, short: Any, long: Any) -> None:
        """Add the next node, with its values in both examples."""
        if node.op == "output":
            self.output = self._output(self._values[cast(torch.fx.Node, node.args[0])])
        elif same_value(short, long):
            self._values[node] = short
        elif node.op == "placeholder":
            self._values[node] = value = _wrapped(node.name, short, long)
            self.inputs.append(_value_info(value, "frames"))
        else:
            self.builder.made = long
            self._values[node] = _wrapped(self._converted(node), short, long)

    def _converted(self, node: torch.fx.Node) -> Any:
        args: tuple[Any, ...] = torch.fx.map_arg(node.args, self._values.__getitem__)
        kwargs = torch.fx.map_arg(node.kwargs, self._values.__getitem__)
        found: Any
        if node.op == "call_module":
            layer = self.traced.get_submodule(str(node.target))
            what, found = type(layer).__name__, module_converter(layer)
            args = (layer, *args)
        else:
            what = getattr(node.target, "__name__", str(node.target))
            found = METHODS.get(what) if node.op == "call_method" else None
            found = found or self.functions.get(what)
        if found is None:
            raise ConfigError(f"{_place(node)}: ONNX export has no conversion of {what}")
        try:
            return found(self.builder, *args, **kwargs)
        except (NotImplementedError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{_place(node)}: ONNX export has no conversion of {what} ({error})"
            ) from error

    def _output(self, value: GraphTensor) -> Any:
        name = self.builder.op("Identity", value.name)
        self.builder.nodes[-1].output[0] = OUTPUT
        self.builder.nodes[-1].name = OUTPUT
        del name
        return _value_info(GraphTensor(OUTPUT, value.dtype, value.shape), "samples")


def _place(node: torch.fx.Node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    path = list(stack.values())[-1][0] if stack else ""
    return path or "the network"


def _wrapped(made: Any, short: Any, long: Any) -> Any:
    """Names in the graph as values, with the type and shape that the examples have."""
    if isinstance(made, GraphTensor | Complex):
        return made
    if isinstance(long, Tensor):
        axes = zip(short.shape, long.shape, strict=True)
        shape = tuple(a if a == b else None for a, b in axes)
        dtype = real_dtype(long.dtype)
        if long.is_complex():
            return Complex(*(GraphTensor(name, dtype, shape) for name in made))
        return GraphTensor(made, dtype, shape)
    if isinstance(long, tuple | list):
        return tuple(
            b if same_value(a, b) else _wrapped(each, a, b)
            for each, a, b in zip(made, short, long, strict=True)
        )
    if isinstance(long, int):
        return made if isinstance(made, Size) else Size(made)
    raise ConfigError(f"ONNX export cannot compute a {type(long).__name__}")


def _value_info(value: GraphTensor, time: str) -> Any:
    from onnx import helper

    free = iter(["batch", time, "size_2", "size_3"])
    shape = [next(free) if size is None else size for size in value.shape]
    return helper.make_tensor_value_info(value.name, onnx_type(value.dtype), shape)
