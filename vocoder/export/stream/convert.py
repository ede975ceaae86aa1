"""Conversion of a streaming step to an ONNX graph, in which every size is fixed."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx

from vocoder.export.graph import Complex, GraphBuilder, GraphTensor, onnx_type, real_dtype
from vocoder.export.network import FUNCTIONS, Converter
from vocoder.export.operations.spectral import irfft, overlapped
from vocoder.export.stream.build import COUNT
from vocoder.export.stream.step import StreamingStep

AUDIO = "audio"
NEXT = "next_"
"""In front of the name of a state: the output that is its next value."""


def step_to_onnx(
    step: StreamingStep, examples: Sequence[Tensor], *, opset: int, use_dft: bool
) -> Any:
    """Convert a step to the graph of an ONNX model; `examples` are whole chunks of its inputs.

    Raises ConfigError, naming the operation, if there is no conversion of one.
    """
    from onnx import helper

    states = [torch.zeros(state.shape, dtype=state.dtype) for state in step.states]
    values = dict(zip((*step.inputs, COUNT), (*examples, torch.tensor([step.chunk])), strict=True))
    run = fx.Interpreter(step.module, garbage_collect_values=False)
    with torch.inference_mode():
        run.run(*values.values(), *states)
    builder = GraphBuilder(opset, use_dft=use_dft)
    converter = _StepConverter(step.module, builder)
    for node in step.module.graph.nodes:
        converter.add(node, run.env.get(node))
    outputs = converter.outputs([AUDIO, *(NEXT + state.name for state in step.states)])
    graph = helper.make_graph(builder.nodes, "streaming_step", converter.inputs, outputs)
    graph.initializer.extend(builder.initializers)
    return graph


class _StepConverter(Converter):
    """Converts the nodes of a step: what depends on no input is a constant."""

    def __init__(self, traced: fx.GraphModule, builder: GraphBuilder) -> None:
        super().__init__(traced, builder)
        self.functions = {**FUNCTIONS, **_FUNCTIONS}
        self._variable: set[fx.Node] = set()
        self._results: Sequence[fx.Node] = ()

    def add(self, node: fx.Node, value: Any) -> None:
        """Add the next node, with its value in an example."""
        if node.op == "output":
            self._results = cast(Sequence[fx.Node], node.args[0])
        elif node.op == "placeholder":
            self._variable.add(node)
            self._values[node] = signal = _fixed(node.name, value)
            self.inputs.append(_value_info(signal))
        elif self._variable.isdisjoint(node.all_input_nodes):
            self._values[node] = value
        else:
            self._variable.add(node)
            self.builder.made = value
            self._values[node] = _fixed(self._converted(node), value)

    def outputs(self, names: Sequence[str]) -> list[Any]:
        """Give the results of the step these names."""
        from onnx import helper

        described = []
        for name, node in zip(names, self._results, strict=True):
            value = self._values[node]
            self.builder.nodes.append(helper.make_node("Identity", [value.name], [name], name=name))
            described.append(_value_info(GraphTensor(name, value.dtype, value.shape)))
        return described


def _fixed(made: Any, value: Any) -> Any:
    """Names in the graph as values with the type and shape of the example."""
    if isinstance(made, GraphTensor | Complex):
        return made
    if isinstance(value, tuple | list):
        return tuple(_fixed(*pair) for pair in zip(made, value, strict=True))
    dtype, shape = real_dtype(value.dtype), tuple(value.shape)
    if value.is_complex():
        return Complex(*(GraphTensor(name, dtype, shape) for name in made))
    return GraphTensor(made, dtype, shape)


def _value_info(value: GraphTensor) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(value.name, onnx_type(value.dtype), value.shape)


def _hold_edges(b: GraphBuilder, x: GraphTensor, first: GraphTensor, last: GraphTensor) -> str:
    """Cut out the steps that exist, and repeat the first and the last: two fast copies."""
    size, zero, axis = b.ints(x.shape[-1] or 0), b.ints(0), b.ints(x.ndim - 1)
    inside = b.ints((x.shape[-1] or 0) - 1)
    begin = b.op("Min", b.op("Max", first.name, zero), inside)
    end = b.op("Min", b.op("Max", last.name, b.op("Add", begin, b.ints(1))), size)
    existing = b.op("Slice", x.name, begin, end, axis)
    amounts = b.concat([begin, b.op("Sub", size, end)], 0)
    return b.op("Pad", existing, amounts, None, axis, mode="edge")


def _reflect_edges(b: GraphBuilder, x: GraphTensor, first: GraphTensor, last: GraphTensor) -> str:
    size = x.shape[-1] or 0
    one = b.ints(1)
    reach = b.op("Sub", b.op("Sub", last.name, first.name), one)
    period = b.op("Max", b.op("Mul", reach, b.ints(2)), one)
    steps = b.op("Mod", b.op("Sub", b.const(torch.arange(size)), first.name), period)
    steps = b.op("Min", steps, b.op("Sub", period, steps))
    steps = b.op("Max", b.op("Add", steps, first.name), b.ints(0))
    return b.op("Gather", x.name, b.op("Min", steps, b.ints(size - 1)), axis=x.ndim - 1)


def _inverse_frames(b: GraphBuilder, spectrum: Complex, window: Tensor) -> str:
    dtype = spectrum.real.dtype
    frames = irfft(b, (spectrum.real.name, spectrum.imag.name), len(window), dtype)
    return b.op("Mul", frames, b.const(window.to(dtype)))


def _overlap_add(b: GraphBuilder, frames: GraphTensor, hop_length: int) -> str:
    size = frames.shape[-1] or 0
    summed = b.reshape(overlapped(b, frames.name, size, hop_length), 0, -1)
    return b.slice(summed, 1, 0, b.made.shape[1])


_FUNCTIONS = {
    "hold_edges": _hold_edges,
    "reflect_edges": _reflect_edges,
    "inverse_frames": _inverse_frames,
    "overlap_add": _overlap_add,
}
