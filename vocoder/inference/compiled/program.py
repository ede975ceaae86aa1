"""Programs: nodes in the order in which they run, on pieces of their input."""

import math
from collections import defaultdict
from collections.abc import Sequence

from vocoder.inference.compiled.nodes.base import Node, RowSignal
from vocoder.inference.compiled.nodes.convolution import (
    Convolution,
    FastConvolution,
    place_together,
)


class Program:
    """Nodes from its sources to its results, each after those whose signals it reads.

    `before` and `after` are the frames of the sources on which a frame of the results depends,
    beside its own.
    """

    def __init__(
        self, nodes: Sequence[Node], sources: Sequence[RowSignal], results: Sequence[RowSignal]
    ) -> None:
        place_together(nodes)
        for node in nodes:
            source = node.inputs[0]
            source.zeros = max(source.zeros, node.zeros)
        self.nodes, self.sources, self.results = list(nodes), list(sources), list(results)
        written = (signal for node in nodes for signal in node.outputs)
        self.signals = list(dict.fromkeys([*sources, *written]))
        self.readers: dict[RowSignal, list[Node]] = defaultdict(list)
        for node in nodes:
            for signal in node.inputs:
                self.readers[signal].append(node)
        self._aligned = dict.fromkeys(sources, 1)
        for node in nodes:
            block = node.block if isinstance(node, FastConvolution) else node.outputs[0].stride
            self._aligned |= dict.fromkeys(node.outputs, block)
        self._spans = self._needed_rows()
        read = [self._spans[signal] for signal in self.sources if signal in self._spans]
        self.before = -min(first for first, _ in read)
        self.after = max(last for _, last in read) - 1

    @property
    def floats(self) -> int:
        """Floats of the largest signal for one frame of input."""
        return max(signal.rate * signal.width for signal in self.signals)

    @property
    def operations_per_weight(self) -> float:
        """Operations on a weight for one frame of input, on average."""
        weights = [
            (sum(taps.packed.size for taps in node.weights), node.source.rate)
            for node in self.nodes
            if isinstance(node, Convolution)
        ]
        return 2.0 * sum(size * rate for size, rate in weights) / sum(size for size, _ in weights)

    @property
    def period(self) -> int:
        """Frames after which the steps of nodes that compute whole blocks of rows repeat."""
        blocks = [
            node.block // math.gcd(node.block, node.outputs[0].rate)
            for node in self.nodes
            if isinstance(node, FastConvolution)
        ]
        return math.lcm(*blocks)

    def _needed_rows(self) -> dict[RowSignal, tuple[int, int]]:
        """First row and row after the last one of every signal that a frame of results needs."""
        spans = {signal: (0, signal.rate) for signal in self.results}
        for node in reversed(self.nodes):
            made = [spans[signal] for signal in node.outputs if signal in spans]
            if not made:
                continue
            start, stop = min(s for s, _ in made), max(e for _, e in made)
            spans |= dict.fromkeys(node.outputs, (start, stop))  # they are made together
            for signal in node.inputs:
                first, last = needed(node, signal, start, stop)
                known = spans.get(signal, (first, last))
                spans[signal] = (min(first, known[0]), max(last, known[1]))
        return spans

    def first_row(self, signal: RowSignal, frame: int) -> int:
        """First row that results from a frame on need, or a few before it: where a block begins."""
        row = max(self._spans[signal][0] + frame * signal.rate, 0)
        return row // self._aligned[signal] * self._aligned[signal]

    def last_row(self, signal: RowSignal, frame: int) -> int:
        """Row after the last one that results before a frame need."""
        return self._spans[signal][1] + (frame - 1) * signal.rate


def needed(node: Node, signal: RowSignal, start: int, stop: int) -> tuple[int, int]:
    """First row and row after the last one of an input that rows of a node's output need."""
    return node.needs(start, stop) if signal is node.inputs[0] else (start, stop)
