"""Which layers of a generator may multiply in bfloat16."""

from collections.abc import Iterator

import torch
import torch.fx
from torch import nn

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.kernels.chunk_invariant import is_chunk_invariant
from vocoder.streaming.tracing import symbolic_trace

Layer = nn.Conv1d | nn.ConvTranspose1d | nn.Linear
_SUMS = (torch.cumsum, "cumsum")  # of frequencies: a phase


def layers(generator: nn.Module) -> dict[str, Layer]:
    """Convolutions and linear layers by name, without those that filter each channel alone."""
    return {
        name: layer
        for name, layer in generator.named_modules()
        if isinstance(layer, nn.Linear)
        or (
            isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
            and not 1 < layer.groups == layer.in_channels
        )
    }


def roundable(generator: Generator) -> list[str]:
    """Names of the layers that may multiply in bfloat16; the others need float32.

    These are the last layers, after which comes the audio, or a spectrum with its phase; layers on
    which a cumulative phase depends; and those whose sums must be equal for any number of steps.
    Raises ConfigError for a generator that cannot be traced.
    """
    found = layers(generator)
    try:
        graph = symbolic_trace(generator).graph
    except Exception as error:  # a class of the user's may do anything
        reason = str(error).split("\n", 1)[0]
        raise ConfigError(
            f"bfloat16: the layers that need float32 are not known, as tracing failed ({reason})"
        ) from error
    needed = {name for name in _sensitive(graph, found) if name}
    return [
        name
        for name, layer in found.items()
        if name not in needed and not is_chunk_invariant(layer)
    ]


def _sensitive(graph: torch.fx.Graph, found: dict[str, Layer]) -> Iterator[str]:
    """Layers with a way to the output past no other layer, or with one to a cumulative sum."""
    exposed: dict[torch.fx.Node, bool] = {}
    steers: dict[torch.fx.Node, bool] = {}
    for node in reversed(graph.nodes):
        own = _layer(node, found)
        exposed[node] = node.op == "output" or any(
            exposed[user] and _layer(user, found) in ("", own) for user in node.users
        )
        steers[node] = node.target in _SUMS or any(steers[user] for user in node.users)
        if exposed[node] or steers[node]:
            yield own


def _layer(node: torch.fx.Node, found: dict[str, Layer]) -> str:
    """Name of the layer that an operation is part of; empty if of none."""
    stack = list(node.meta.get("nn_module_stack") or ())
    return stack[-1] if stack and stack[-1] in found else ""
