"""The operations of a network in a streaming step, after the rules of its streams.

Each function adds one operation to a step. The delay of its output is the smallest at which a chunk
is complete once the chunks of its inputs are there.
"""

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import fx

from vocoder.dsp.stft import inverse_frames, istft, overlap_add, synthesis_envelope
from vocoder.export.stream.build import Flow, StepBuilder
from vocoder.streaming.graph import Operation
from vocoder.streaming.rules.base import Cumsum, Local, Pad, Stretch, Windowed
from vocoder.streaming.rules.overlap import OverlapAdd

_POOL = ((1, "kernel_size"), (2, "stride"))
_CONV = ((3, "stride"), (5, "dilation"), (6, "groups"))


class EdgePadding(NamedTuple):
    """Steps added at both ends of a signal: "constant" (zeros), "replicate", or "reflect"."""

    left: int
    right: int
    mode: str

    @property
    def missing(self) -> bool:
        """Whether any step is added."""
        return bool(self.left or self.right)

    @property
    def history(self) -> int:
        """Steps before a chunk from which the right padding in it may be made."""
        return {"constant": 0, "replicate": self.right, "reflect": 2 * self.right}[self.mode]

    def ready(self, delay: int, stride: int) -> int:
        """Least delay of the output at which the left padding can be made from steps behind it."""
        if self.mode != "reflect" or not self.left:
            return 0
        return -((stride - 1 - self.left - delay) // stride)


def padding_of(operation: Operation, rule: Pad) -> EdgePadding:
    """What an operation that pads both ends adds."""
    reflect = operation.target is not F.pad
    mode = "reflect" if reflect else operation.argument(2, "mode", "constant")
    if operation.argument(3, "value"):
        raise operation.refuse("a streaming step pads with zeros only")
    return EdgePadding(rule.left, rule.right, mode)


def add_local(b: StepBuilder, operation: Operation, rule: Local, inputs: Sequence[Flow]) -> Flow:
    """An operation on each step alone: all inputs wait for the latest."""
    delay = max(flow.delay for flow in inputs)
    node = b.operation(operation, *(b.late(flow, delay) for flow in inputs))
    return _output(b, operation, node, delay * rule.rate)


def add_pad(b: StepBuilder, operation: Operation, padding: EdgePadding, flow: Flow) -> Flow:
    """Padding whose result is an input of any operation."""
    left, right, mode = padding
    delay = flow.delay + {"constant": -left, "replicate": 0, "reflect": left}[mode]
    delay = max(delay, 0)
    reach = delay + left - flow.delay
    signal = _read(b, flow, reach + padding.history, padding)
    size = b.steps(flow.rate)
    node = b.cut(signal, flow.axis, padding.history, padding.history + size)
    return _output(b, operation, node, delay)


def add_windowed(
    b: StepBuilder, operation: Operation, rule: Windowed, flow: Flow, padding: EdgePadding | None
) -> Flow:
    """An operation on windows of a signal, which was padded before or is padded by it."""
    span, stride = rule.span, rule.stride
    padding = padding or EdgePadding(rule.padding, rule.padding, "constant")
    delay = -((stride + padding.left - flow.delay - span) // stride)
    delay = max(delay, padding.ready(flow.delay, stride), 0)
    # The first window begins so many steps before the chunk of the input.
    reach = delay * stride + padding.left - flow.delay
    history = max(reach, 0) + padding.history
    signal = _read(b, flow, history, padding)
    begin = history - reach
    count = b.steps(flow.rate / stride)
    end = begin + (count - 1) * stride + span
    node = _without_padding(b, operation, b.cut(signal, flow.axis, begin, end), flow.axis)
    return _output(b, operation, node, delay)


def add_overlap_add(
    b: StepBuilder, operation: Operation, rule: OverlapAdd, flow: Flow, padding: EdgePadding | None
) -> Flow:
    """Overlap-add; without padding, the sum behind the chunk is a state."""
    if padding:
        return _add_padded_overlap_add(b, operation, rule, flow, padding)
    axis, end = operation.output.axis, b.steps(flow.rate) * rule.stride
    overlap = rule.carried - rule.hold
    total = _frames(b, operation, flow) if operation.target is istft else b.masked(flow)
    total = _spread(b, operation, total)
    if rule.gap:
        total = b.call(F.pad, total, [0, rule.gap])
    if overlap:
        shape = [1, *operation.output.long.shape[1:-1], overlap]
        place = len(b.states)
        tail = b.state(shape, operation.output.long.dtype)
        total = b.call(operator.add, total, b.call(F.pad, tail, [0, end]))
        b.carry(place, b.cut(total, axis, end, end + overlap))
        total = b.cut(total, axis, 0, end)
    if rule.bias is not None:
        total = b.call(operator.add, total, rule.bias)
    if operation.target is istft:
        total = b.call(operator.truediv, total, _envelope(b, operation, rule, flow))
    return _output(b, operation, total, flow.delay * rule.stride + rule.left)


def can_join(rule: OverlapAdd, padding: EdgePadding, delay: int) -> bool:
    """Whether overlap-add of a padded signal reads no step beyond the padding."""
    overlap = rule.carried - rule.hold
    return (
        padding.mode == "replicate"
        and min(rule.left, rule.right) >= overlap
        and (delay - padding.left) * rule.stride + rule.left >= 0
    )


def _add_padded_overlap_add(
    b: StepBuilder, operation: Operation, rule: OverlapAdd, flow: Flow, padding: EdgePadding
) -> Flow:
    """Overlap-add of a window of the padded signal."""
    stride, size = rule.stride, b.steps(flow.rate)
    reach = -(-(rule.carried - rule.hold) // stride)
    history = reach + padding.history
    signal = _read(b, flow, history, padding)
    signal = b.cut(signal, flow.axis, padding.history, history + size)
    total = _spread(b, operation, signal)
    node = b.cut(total, flow.axis, reach * stride, (reach + size) * stride)
    if rule.bias is not None:
        node = b.call(operator.add, node, rule.bias)
    return _output(b, operation, node, (flow.delay - padding.left) * stride + rule.left)


def _spread(b: StepBuilder, operation: Operation, node: fx.Node) -> fx.Node:
    """The sum over all steps of a signal, without cuts and bias."""
    if operation.target is istft:
        return b.call(overlap_add, node, operation.argument(2, "hop_length"))
    stride, groups, dilation = (
        operation.argument(place, name, 1)
        for place, name in ((3, "stride"), (6, "groups"), (7, "dilation"))
    )
    weight = operation.argument(1, "weight")
    return b.call(torch.conv_transpose1d, node, weight, None, stride, 0, 0, groups, dilation)


def _frames(b: StepBuilder, operation: Operation, flow: Flow) -> fx.Node:
    """Windowed frames of a spectrum, zero before its start and behind its end."""
    frames = b.call(inverse_frames, flow.node, operation.argument(1, "window"))
    valid = b.call("reshape", b.valid(flow, b.steps(flow.rate)), [-1, 1])
    return b.zeroed(frames, valid, flow.example.real.dtype)


def _envelope(b: StepBuilder, operation: Operation, rule: OverlapAdd, flow: Flow) -> Any:
    """The sum of the squared windows of the frames that exist. Shape: [steps of the chunk]."""
    window, hop = operation.argument(1, "window"), rule.stride
    count = b.steps(flow.rate)
    if operation.argument(3, "padding", "same") == "causal":
        return synthesis_envelope(window, count, hop_length=hop, padding="causal")[: count * hop]
    before = -(-(rule.carried - rule.hold) // hop)
    valid = b.call("reshape", b.valid(flow, before + count), [1, -1, 1])
    squares = b.call(operator.mul, valid, window.square().float())
    total = b.cut(b.call(overlap_add, squares, hop), 1, before * hop, (before + count) * hop)
    return b.call("clamp_min", total, 1e-8)


def add_stretch(b: StepBuilder, operation: Operation, rule: Stretch, flow: Flow) -> Flow:
    """Linear interpolation, in which both ends are held."""
    signal = _read(b, flow, 1, EdgePadding(1, 1, "replicate"))
    made = b.operation(operation, signal)
    begin = rule.factor - rule.late
    node = b.cut(made, flow.axis, begin, begin + b.steps(flow.rate) * rule.factor)
    return _output(b, operation, node, flow.delay * rule.factor + rule.late)


def add_cumsum(b: StepBuilder, operation: Operation, rule: Cumsum, flow: Flow) -> Flow:
    """A cumulative sum, with the last one as state."""
    shape = [1, *operation.output.long.shape[1:]]
    shape[rule.axis] = 1
    place, size = len(b.states), b.steps(flow.rate)
    before = b.state(shape, operation.output.long.dtype)
    total = b.call(operator.add, b.operation(operation, b.masked(flow)), before)
    b.carry(place, b.cut(total, rule.axis, size - 1, size))
    return _output(b, operation, total, flow.delay)


def add_crop(b: StepBuilder, operation: Operation, left: int, flow: Flow) -> Flow:
    """Steps cut off: those that remain have other numbers, and none is moved."""
    return _output(b, operation, flow.node, flow.delay + left)


def _read(b: StepBuilder, flow: Flow, history: int, padding: EdgePadding) -> fx.Node:
    """A signal with history, and with padding in the place of steps that do not exist."""
    if not padding.missing:
        return b.history(flow.node, flow, history)
    if padding.mode == "constant":
        return b.history(b.masked(flow), flow, history)
    return b.filled(b.history(flow.node, flow, history), flow, history, padding.mode)


def _without_padding(b: StepBuilder, operation: Operation, node: fx.Node, axis: int) -> fx.Node:
    """An operation on windows, of a signal that has been padded along time."""
    if operation.target is torch.stft:
        return b.operation(operation, node)
    if operation.target is torch.avg_pool1d:
        return b.call(torch.avg_pool1d, node, *(operation.argument(i, n) for i, n in _POOL))
    padding, dims = operation.argument(4, "padding", 0), operation.inputs[0].long.ndim - 2
    padding = 0 if padding == "valid" else padding
    beside = (
        [padding] * dims if isinstance(padding, int) else list(padding) * (dims // len(padding))
    )
    beside[axis - 2] = 0
    weights = (operation.argument(1, "weight"), operation.argument(2, "bias"))
    stride, dilation, groups = (operation.argument(i, n, 1) for i, n in _CONV)
    return b.call(operation.target, node, *weights, stride, beside, dilation, groups)


def _output(b: StepBuilder, operation: Operation, node: fx.Node, delay: int) -> Flow:
    return b.flow(operation.output, node, delay)
