"""Fusion: convolutions compute the sums, factors and activations that follow them."""

import dataclasses

from vocoder.inference.compiled.nodes.base import Node, RowSignal
from vocoder.inference.compiled.nodes.channelwise import Activation, Sum
from vocoder.inference.compiled.nodes.convolution import Convolution, FastConvolution
from vocoder.kernels.rows import activation, convolution

_FEWEST_CHANNELS = 32  # of a fast convolution: with fewer its sums cost more than they save
_MOST_DILATION = 7  # of a fast convolution, whose blocks must fit behind the rows in memory


def fused(nodes: list[Node], results: list[RowSignal]) -> list[Node]:
    """Let convolutions do the sums, factors and activations that follow them."""
    made: list[Node] = []
    readers = _readers(nodes, results)
    renamed: dict[RowSignal, RowSignal] = {}
    writers: dict[RowSignal, Convolution] = {}
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


def _readers(nodes: list[Node], results: list[RowSignal]) -> dict[RowSignal, int]:
    counts: dict[RowSignal, int] = dict.fromkeys(results, 1)
    for node in nodes:
        for signal in node.inputs:
            counts[signal] = counts.get(signal, 0) + 1
    return counts


def _rename(node: Node, renamed: dict[RowSignal, RowSignal]) -> None:
    if isinstance(node, Convolution):  # what it adds is found later, by its new name
        node.source = renamed.get(node.source, node.source)
    else:
        node.inputs = tuple(renamed.get(signal, signal) for signal in node.inputs)


def _absorbed(
    node: Sum,
    made: list[Node],
    writers: dict[RowSignal, Convolution],
    readers: dict[RowSignal, int],
    renamed: dict[RowSignal, RowSignal],
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


def _ends_with(node: Activation, writers: dict[RowSignal, Convolution]) -> bool:
    """Whether the convolution before a GELU now computes it, too."""
    writer = writers.get(node.inputs[0])
    if node.kind != activation.GELU or writer is None or writer.epilogue.activated is not None:
        return False
    (output,) = node.outputs
    writer.epilogue.activated, writer.epilogue.act = output, convolution.GELU
    output.stride = writer.stride
    return True


def _drop_unread(nodes: list[Node], results: list[RowSignal]) -> None:
    readers = _readers(nodes, results)
    for node in nodes:
        if isinstance(node, Convolution) and node.epilogue.raw not in readers:
            node.epilogue.raw = None
