"""Which operations have kernels."""

import operator
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vocoder.inference.compiled.lowering.base import Lowering, Maker
from vocoder.inference.compiled.lowering.channelwise import (
    added,
    anti_aliased,
    gelu,
    leaky,
    normed,
    periodic,
    same_rows,
    scaled,
)
from vocoder.inference.compiled.lowering.convolutions import (
    convolved,
    cut,
    linear,
    padded,
    transposed,
)
from vocoder.nn.activation import AntiAliased, Snake, SnakeBeta
from vocoder.streaming.graph import Graph

MODULES = (AntiAliased, Snake, SnakeBeta)
"""Modules that are one operation of a graph."""
_MAKERS: dict[Any, Maker] = {
    F.conv1d: convolved,
    torch.conv1d: convolved,
    F.pad: padded,
    operator.getitem: cut,
    F.conv_transpose1d: transposed,
    torch.conv_transpose1d: transposed,
    F.leaky_relu: leaky,
    nn.LeakyReLU: leaky,
    nn.Linear: linear,
    nn.LayerNorm: normed,
    nn.GELU: gelu,
    "transpose": same_rows,
    Snake: periodic,
    SnakeBeta: periodic,
    AntiAliased: anti_aliased,
    operator.add: added,
    operator.truediv: scaled,
    operator.mul: scaled,
}
_BEGINNINGS = (convolved, linear, transposed, padded)
_TAKE_PENDING = (convolved, cut)


def new_lowering(graph: Graph) -> Lowering:
    """Make a `Lowering` for the operations of a graph."""
    readers = Counter(signal.index for op in graph.operations for signal in op.inputs)
    return Lowering(readers, _MAKERS, beginnings=_BEGINNINGS, take_pending=_TAKE_PENDING)
