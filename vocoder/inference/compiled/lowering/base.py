"""From the operations of a generator's graph to nodes: what all of them share."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vocoder.inference.compiled.nodes.base import Floats, Node, RowSignal
from vocoder.streaming import graph
from vocoder.streaming.graph import Operation

Maker = Callable[["Lowering", Operation], bool]
"""Adds the nodes of an operation, or returns False if there is no kernel for it."""


class Pending(NamedTuple):
    """A signal with something at its ends that the next operation takes into account."""

    signal: RowSignal
    before: int = 0
    """Zeros before it, for a convolution."""
    after: int = 0
    """Zeros after it, for a convolution."""
    surplus: int = 0
    """Steps that are cut off at its end."""


class Lowering:
    """Nodes for operations, as far as there are kernels for them.

    `signals` are the signals of the program, by the index of the graph's signals, and `readers` is
    how many operations read each of these. A matrix [T, C] and its transpose are the same rows.
    """

    def __init__(
        self,
        readers: Counter[int],
        makers: Mapping[Any, Maker],
        *,
        beginnings: Collection[Maker],
        take_pending: Collection[Maker],
    ) -> None:
        self.nodes: list[Node] = []
        self.signals: dict[int, RowSignal] = {}
        self.pending: dict[int, Pending] = {}
        self.readers = readers
        self._makers, self._beginnings, self._take_pending = makers, beginnings, take_pending

    def add(self, operation: Operation) -> bool:
        """Add the nodes of an operation; returns whether there are kernels for it."""
        make = self._makers.get(_kind(operation.target))
        if make is None or not _is_single(operation):
            return False
        waits = any(signal.index in self.pending for signal in operation.inputs)
        return (not waits or make in self._take_pending) and make(self, operation)

    def knows(self, signal: graph.Signal) -> bool:
        """Whether a signal is one of the program."""
        return signal.index in self.signals or signal.index in self.pending

    def begins(self, operation: Operation) -> bool:
        """Whether a program may begin with an operation: it is worth the way into rows."""
        return self._makers.get(_kind(operation.target)) in self._beginnings

    def source(self, signal: graph.Signal, rate: int) -> RowSignal:
        """A signal that the program is given."""
        made = self.signals[signal.index] = RowSignal(signal.long.shape[3 - signal.axis], rate)
        return made

    def put(self, operation: Operation, signal: RowSignal, node: Node) -> bool:
        """Add a node that makes the signal of an operation."""
        self.signals[operation.output.index] = signal
        self.nodes.append(node)
        return True


def _is_single(operation: Operation) -> bool:
    """Whether all numbers of an operation are in single precision, and its axes B, C and T."""
    values = graph.tensors((operation.args, operation.kwargs, operation.output.long))
    values += [signal.long for signal in operation.inputs]
    if isinstance(operation.target, nn.Module):
        values += operation.target.parameters()
    return operation.output.long.ndim == 3 and all(x.dtype == torch.float32 for x in values)


def _kind(target: Any) -> Any:
    return type(target) if isinstance(target, nn.Module) else target


def to_array(tensor: Tensor) -> Floats:
    """The values of a tensor, in order of memory."""
    return np.ascontiguousarray(tensor.detach().numpy())


def only(value: Any) -> int | None:
    """The value of a number, or of a list of one."""
    if isinstance(value, int):
        return value
    return value[0] if isinstance(value, tuple | list) and len(value) == 1 else None
