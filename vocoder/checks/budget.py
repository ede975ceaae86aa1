"""Networks of configurations from anywhere, no larger than the weights that come with them.

Every parameter, buffer and module is counted when a network registers it, before memory is written
or the next one is made: a configuration of a hundred bytes cannot ask for gigabytes or minutes.
"""

import functools
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration

from vocoder.build import DEEPEST, build
from vocoder.checks.arguments import entry
from vocoder.errors import ConfigError
from vocoder.io.defaults import Float32OnCpu

# A layer registers its weight anew when it gets weight norm, and tables are no weights.
_TIMES, _MORE_VALUES = 2, 1 << 22
_PARTS, _MORE_PARTS = 10, 500  # parameters, buffers and modules, for each tensor and in all
_LARGEST_INT = 1 << 20
_MOST_LEAVES = 1 << 15  # such as two statistics for every band of the largest mel
_MUCH = 1 << 32  # values of one layer, which take no memory before they are written
_IN_MEL = re.compile(r"\.mel\.(?!n_mels$)")  # sizes of a MelSpec, which has limits itself
_HOP = 1 << 16
_REACH = 1 << 15  # samples or frames from the first to the last tap of a convolution


class _Budget:
    """What may still be registered."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.held = sum(weight.numel() for weight in weights.values())
        self.values = _TIMES * self.held + _MORE_VALUES
        self.parts = _PARTS * len(weights) + _MORE_PARTS

    def spend(self, values: int) -> None:
        """Subtract a part; raises ConfigError if there are too many."""
        self.values -= values
        self.parts -= 1
        if min(self.values, self.parts) < 0:
            raise ConfigError(f"the network is larger than its {self.held:,} saved weights")


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


def build_network(node: Any, weights: Mapping[str, Tensor], origin: str, *, kind: Any) -> Any:
    """Construct the network, a `kind`, that a configuration describes and `weights` are for.

    Raises ConfigError, beginning with `origin`, for what `build` refuses, for a network much larger
    than the weights, and for sizes that would make it run for minutes.
    """
    leaves = list(islice(_leaves(node, origin, 0), _MOST_LEAVES + 1))
    if len(leaves) > _MOST_LEAVES:
        raise ConfigError(f"{origin}: more than {_MOST_LEAVES} values; not built")
    for place, value in leaves:
        if isinstance(value, int) and abs(value) > _LARGEST_INT:
            raise ConfigError(f"{place} is {str(value)[:24]}; at most {_LARGEST_INT} is possible")
    if _asks_for_much(leaves):
        with torch.device("meta"), _limited(weights):  # which allocates nothing
            build(node, origin, kind=kind)
    with Float32OnCpu(), _limited(weights):
        network = build(node, origin, kind=kind)
    _require_short(network, origin)
    return network


def _asks_for_much(leaves: list[tuple[str, Any]]) -> bool:
    """Whether a layer of a network of ours might be too large even to be reserved."""
    sizes = [
        abs(value)
        for place, value in leaves
        if isinstance(value, int) and not (_IN_MEL.search(place) or place.endswith(".sample_rate"))
    ]
    targets = [str(value) for place, value in leaves if place.endswith("._target_")]
    ours = all(target.startswith("vocoder.") for target in targets)
    largest = sorted(sizes)[-2:]
    # A layer may have the largest number of channels at both its ends.
    return ours and math.prod([*largest, *largest[-1:]]) > _MUCH


def _require_short(network: Any, origin: str) -> None:
    """Raise ConfigError for a hop or a convolution that spans more than signals have samples."""
    hop_length = getattr(network, "hop_length", 1)
    if not 1 <= hop_length <= _HOP:
        raise ConfigError(f"{origin}: hop_length is {hop_length}; from 1 to {_HOP} is possible")
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d):
            continue
        steps = zip(layer.dilation, layer.kernel_size, strict=True)
        if max(dilation * (size - 1) for dilation, size in steps) > _REACH:
            raise ConfigError(f"{origin}: {name} reaches over more than {_REACH} values")


@contextmanager
def _limited(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let what this thread registers be no larger than `weights`."""
    _count_registrations()
    token = _budget.set(_Budget(weights))
    try:
        yield
    finally:
        _budget.reset(token)


@functools.cache
def _count_registrations() -> None:
    # For ever: torch's table of hooks is global, and must not change while a thread goes over it.
    registration.register_module_parameter_registration_hook(_register)
    registration.register_module_buffer_registration_hook(_register)
    registration.register_module_module_registration_hook(_register)


def _register(parent: nn.Module, name: str, part: Tensor | nn.Module | None) -> None:
    budget = _budget.get()
    if budget is None:
        return
    values = part.numel() if isinstance(part, Tensor) else 0
    if isinstance(part, nn.Parameter) and not values:
        raise ConfigError(f"a {type(parent).__name__} would have no weights")
    budget.spend(values)


def _leaves(node: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The values of a configuration with their places, as far as `build` looks."""
    if depth > DEEPEST or not isinstance(node, Mapping | list | tuple):
        yield place, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, entry(place, key), depth + 1)
    else:
        for index, value in enumerate(node):
            yield from _leaves(value, f"{place}[{index}]", depth + 1)
