"""A module's computation as operations on signals: traced, then run on two examples.

Which axis of a value is time is not written anywhere, it is seen: it is the one that grows with
the example. What does not grow is a constant.
"""

import copy
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import torch
import torch.fx
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from vocoder.dsp.chunk_invariant import is_chunk_invariant
from vocoder.dsp.excitation import minimum_phase
from vocoder.dsp.stft import istft, pad_reflect, stft
from vocoder.errors import ConfigError

_SEEN_THROUGH = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
_LEAF_FUNCTIONS = (istft, pad_reflect, minimum_phase)  # their sizes are not to be traced


class Slot(NamedTuple):
    """Stands for a signal among the arguments of an operation."""

    position: int


@dataclass(frozen=True, eq=False)
class Signal:
    """A value with an axis of time: what it was in both examples."""

    index: int
    axis: int
    short: Any
    long: Any

    @property
    def growth(self) -> int:
        """Steps that the longer example has more."""
        return steps(self.long, self.axis) - steps(self.short, self.axis)


@dataclass(frozen=True, eq=False)
class Operation:
    """One node of the graph that works on signals.

    `target` is the function, the name of the tensor's method, or the module; constants are in place
    among the arguments, and a `Slot` stands for each of `inputs`. `packs` says that another kernel
    may be taken, which rounds otherwise.
    """

    where: str
    target: Callable[..., Any] | str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Signal, ...]
    output: Signal
    packs: bool

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The operation on other values in place of its inputs; holds on to constants alone."""
        return self._on_values(self.target, self.args, self.kwargs)

    def in_double_precision(self) -> Callable[..., Any]:
        """`function` with all weights and constants in double precision, to be verified with."""
        target = self.target
        if isinstance(target, nn.Module):
            target = copy.deepcopy(target).double()
        args, kwargs = tree_map_only(Tensor, to_double, (self.args, self.kwargs))
        return self._on_values(target, args, kwargs)

    @staticmethod
    def _on_values(
        target: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[..., Any]:
        run = getattr(Tensor, target) if isinstance(target, str) else target
        places = [(place, value) for place, value in enumerate(args) if _is_slot(value)]
        if len(places) == len(_slots((args, kwargs))):  # none in a list, as of torch.cat

            def call(*signals: Any) -> Any:
                filled = list(args)
                for place, slot in places:
                    filled[place] = signals[slot.position]
                return run(*filled, **kwargs)

            return call
        leaves, spec = tree_flatten((args, kwargs), is_leaf=_is_slot)

        def call_nested(*signals: Any) -> Any:
            filled = [signals[leaf.position] if _is_slot(leaf) else leaf for leaf in leaves]
            args, kwargs = tree_unflatten(filled, spec)
            return run(*args, **kwargs)

        return call_nested

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """What was passed at this position or by this name."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    def refuse(self, reason: str) -> ConfigError:
        """The error that says that this operation cannot stream."""
        return ConfigError(f"{self.where} cannot stream: {reason}")


class Graph(NamedTuple):
    """Operations in the order in which they run; signals are known by their index."""

    inputs: tuple[Signal, ...]
    operations: list[Operation]
    output: Signal


def steps(value: Any, axis: int) -> int:
    """Length along time of a tensor, or of all tensors in a tuple."""
    return tensors(value)[0].shape[axis]


def to_double(x: Tensor) -> Tensor:
    """Floats in float64, complex numbers in complex128, others as they are."""
    if x.is_complex():
        return x.to(torch.complex128)
    return x.double() if x.is_floating_point() else x


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a value."""
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]


def read_graph(module: nn.Module, short: Mapping[str, Tensor], long: Mapping[str, Tensor]) -> Graph:
    """Trace `module` and run it on two examples of its inputs, of unlike batch and length.

    Raises ConfigError for a value that depends on the number of steps without being a signal, and
    for whatever has no axis of time any more, or two.
    """
    absent = {name: None for name in parameters(module) if name not in short}
    traced = symbolic_trace(module, absent)
    first, second = (_values(traced, module, example) for example in (short, long))
    reader = _Reader(traced, type(module), chunk_invariant=is_chunk_invariant(module))
    for node in traced.graph.nodes:
        reader.read(node, first.get(node), second.get(node))
    assert reader.output is not None
    return Graph(tuple(reader.inputs), reader.operations, reader.output)


class Tracer(torch.fx.Tracer):
    """Symbolic tracer of our networks: functions that have a rule of their own are one node each.

    `torch.fx.GraphModule(network, Tracer().trace(network))` computes what the network does, for any
    number of frames.
    """

    def __init__(self) -> None:
        super().__init__(autowrap_functions=_LEAF_FUNCTIONS)
        # Where they are called by other functions; those of a traced module are searched anyway.
        self._autowrap_search.append(importlib.import_module(stft.__module__))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node: convolutions are not, as their padding has a rule."""
        if isinstance(m, _SEEN_THROUGH):
            return False
        return super().is_leaf_module(m, module_qualified_name)


def symbolic_trace(
    module: nn.Module, concrete_args: dict[str, Any] | None = None
) -> torch.fx.GraphModule:
    """`torch.fx.symbolic_trace` by our `Tracer`, which knows the functions of `vocoder.dsp`."""
    return torch.fx.GraphModule(module, Tracer().trace(module, concrete_args=concrete_args))


def parameters(module: nn.Module) -> list[str]:
    """Names of what `module` takes, in its order, which is that of a graph's inputs."""
    return list(inspect.signature(module.forward).parameters)


def _values(
    traced: torch.fx.GraphModule, module: nn.Module, example: Mapping[str, Tensor]
) -> dict[torch.fx.Node, Any]:
    run = torch.fx.Interpreter(traced, garbage_collect_values=False)
    with torch.inference_mode():
        run.run(*(example.get(name) for name in parameters(module)))
    return run.env


class _Reader:
    """Sorts the nodes of a graph into constants and operations on signals."""

    def __init__(
        self, traced: torch.fx.GraphModule, kind: type[nn.Module], *, chunk_invariant: bool
    ) -> None:
        self.traced, self.kind, self.chunk_invariant = traced, kind, chunk_invariant
        self.inputs: list[Signal] = []
        self.operations: list[Operation] = []
        self.output: Signal | None = None
        self._known: dict[torch.fx.Node, Any] = {}  # a constant, a Signal, or an Unknown
        self._signals = 0

    def read(self, node: torch.fx.Node, short: Any, long: Any) -> None:
        """Take in the next node, with its values in both examples."""
        if node.op == "output":
            self.output = self._known[cast(torch.fx.Node, node.args[0])]
        elif _same(short, long):
            self._known[node] = short
        elif node.op == "placeholder":
            self._known[node] = signal = self._signal(node.name, short, long)
            self.inputs.append(signal)
        else:
            self._known[node] = self._operation(node, short, long)

    def _signal(self, where: str, short: Any, long: Any) -> Signal:
        axes = {
            axis
            for a, b in zip(tensors(short), tensors(long), strict=True)
            for axis in range(1, a.ndim)
            if a.shape[axis] != b.shape[axis]
        }
        if len(axes) != 1:
            shape = list(tensors(long)[0].shape)
            found = f"{len(axes)} axes of time" if axes else "no axis of time any more"
            raise ConfigError(f"{where} cannot stream: its output {shape} has {found}")
        self._signals += 1
        return Signal(self._signals - 1, axes.pop(), short, long)

    def _operation(self, node: torch.fx.Node, short: Any, long: Any) -> Any:
        used: dict[torch.fx.Node, Slot] = {}
        where = _where(node, self.kind)

        def resolved(argument: torch.fx.Node) -> Any:
            value = self._known[argument]
            if isinstance(value, _Unknown):
                raise ConfigError(f"{where} cannot stream: it uses {value.what}")
            if not isinstance(value, Signal):
                return value
            return used.setdefault(argument, Slot(len(used)))

        if not tensors(short):
            return _Unknown(f"{node.format_node()}, which depends on the number of steps")
        args = torch.fx.map_arg(node.args, resolved)
        kwargs = torch.fx.map_arg(node.kwargs, resolved)
        target = node.target
        if node.op == "call_module":
            target = self.traced.get_submodule(str(node.target))
        signal = self._signal(where, short, long)
        inputs = tuple(self._known[argument] for argument in used)
        made = Operation(
            where, target, args, kwargs, inputs, signal, packs=not self.chunk_invariant
        )
        self.operations.append(made)
        return signal


class _Unknown(NamedTuple):
    """A number that is not the same in both examples."""

    what: str


def _where(node: torch.fx.Node, root: type[nn.Module]) -> str:
    """Which module does this, for the message of an error."""
    stack = node.meta.get("nn_module_stack") or {"": ("", root)}
    path, kind = list(stack.values())[-1]
    name = getattr(node.target, "__name__", node.target)
    doing = "" if node.op == "call_module" else f": {name}"
    return f"{path or 'the network'} ({kind.__name__}{doing})"


def _is_slot(value: Any) -> bool:
    return isinstance(value, Slot)


def _slots(value: Any) -> list[Slot]:
    return [leaf for leaf in tree_flatten(value, is_leaf=_is_slot)[0] if _is_slot(leaf)]


def _same(a: Any, b: Any) -> bool:
    """Whether a value does not depend on the example."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a is b or (a.shape == b.shape and torch.equal(a, b))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) if not tensors((a, b)) else False
