"""A module's graph of operations on signals: traced, then run on two examples.

The time axis of a value is not declared: it is the one that is longer in the longer example. A
value that is equal in both examples is a constant.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import torch
import torch.fx
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from vocoder.errors import ConfigError
from vocoder.kernels.chunk_invariant import is_chunk_invariant
from vocoder.streaming.tracing import symbolic_trace


class Slot(NamedTuple):
    """Placeholder of a signal among the arguments of an operation."""

    position: int
    """Index of the signal in the operation's inputs."""


@dataclass(frozen=True, eq=False)
class Signal:
    """A value with a time axis, as computed in both examples."""

    index: int
    axis: int
    short: Any
    long: Any

    @property
    def growth(self) -> int:
        """Difference in steps between the longer and the shorter example."""
        return steps(self.long, self.axis) - steps(self.short, self.axis)


@dataclass(frozen=True, eq=False)
class Operation:
    """One node of the graph whose result is a signal."""

    where: str
    """Module and operation, for error messages."""
    target: Callable[..., Any] | str
    """The function, the name of the tensor's method, or the module."""
    args: tuple[Any, ...]
    """Positional arguments: constants, and a `Slot` for each of `inputs`."""
    kwargs: dict[str, Any]
    """Keyword arguments, likewise."""
    inputs: tuple[Signal, ...]
    """Signals that are read."""
    output: Signal
    """The signal that is computed."""
    packs: bool
    """Whether a kernel with packed weights may be used, which rounds otherwise."""

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The operation as a function of its inputs; it holds references to constants only."""
        return self._on_values(self.target, self.args, self.kwargs)

    def in_double_precision(self) -> Callable[..., Any]:
        """`function` with all weights and constants in double precision, for verification."""
        target = self.target
        if isinstance(target, nn.Module):
            target = copy.deepcopy(target)._apply(to_double)  # type: ignore[no-untyped-call]
        args, kwargs = tree_map_only(Tensor, to_double, (self.args, self.kwargs))
        return self._on_values(target, args, kwargs)

    @staticmethod
    def _on_values(
        target: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[..., Any]:
        run = getattr(Tensor, target) if isinstance(target, str) else target
        slots = [(index, value) for index, value in enumerate(args) if _is_slot(value)]
        if len(slots) == len(_slots((args, kwargs))):  # none in a list, as of torch.cat

            def call(*signals: Any) -> Any:
                filled = list(args)
                for index, slot in slots:
                    filled[index] = signals[slot.position]
                return run(*filled, **kwargs)

            return call
        leaves, spec = tree_flatten((args, kwargs), is_leaf=_is_slot)

        def call_nested(*signals: Any) -> Any:
            filled = [signals[leaf.position] if _is_slot(leaf) else leaf for leaf in leaves]
            args, kwargs = tree_unflatten(filled, spec)
            return run(*args, **kwargs)

        return call_nested

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """The argument that was passed at this position or by this name, else `default`."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    def refuse(self, reason: str) -> ConfigError:
        """A ConfigError for an operation that cannot stream, with the reason."""
        return ConfigError(f"{self.where} cannot stream: {reason}")


class Graph(NamedTuple):
    """Operations in the order in which they run; signals are identified by their index."""

    inputs: tuple[Signal, ...]
    operations: list[Operation]
    output: Signal


def steps(value: Any, axis: int) -> int:
    """Length along `axis` of a tensor, or of the tensors in a tuple, which are of equal length."""
    return tensors(value)[0].shape[axis]


def to_double(x: Tensor) -> Tensor:
    """Floats in float64, complex numbers in complex128, others as they are.

    On the device of `x`, but for mps, which has neither type: then on the CPU.
    """
    if x.device.type == "mps":
        x = x.cpu()
    if x.is_complex():
        return x.to(torch.complex128)
    return x.double() if x.is_floating_point() else x


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a nested value."""
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]


def read_graph(
    module: nn.Module,
    short: Mapping[str, Tensor],
    long: Mapping[str, Tensor],
    *,
    leaves: tuple[type[nn.Module], ...] = (),
) -> Graph:
    """Trace `module` and run it on two examples of its inputs, of different batch size and length.

    Modules of the types `leaves` are one operation each. Raises ConfigError for a value that
    depends on the number of steps without being a signal, and for an operation whose output has no
    time axis left, or two.
    """
    absent = {name: None for name in parameters(module) if name not in short}
    traced = symbolic_trace(module, absent, leaves=leaves)
    first, second = (_values(traced, module, example) for example in (short, long))
    reader = _Reader(traced, type(module), chunk_invariant=is_chunk_invariant(module))
    for node in traced.graph.nodes:
        reader.read(node, first.get(node), second.get(node))
    assert reader.output is not None
    return Graph(tuple(reader.inputs), reader.operations, reader.output)


def parameters(module: nn.Module) -> list[str]:
    """Names of the arguments of `module`, in order, which is that of a graph's inputs."""
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
        self._values: dict[torch.fx.Node, Any] = {}  # a constant, a Signal, or an Unknown
        self._signals = 0

    def read(self, node: torch.fx.Node, short: Any, long: Any) -> None:
        """Add the next node, with its values in both examples."""
        if node.op == "output":
            self.output = self._values[cast(torch.fx.Node, node.args[0])]
        elif same_value(short, long):
            self._values[node] = short
        elif node.op == "placeholder":
            self._values[node] = signal = self._signal(node.name, short, long)
            self.inputs.append(signal)
        else:
            self._values[node] = self._operation(node, short, long)

    def _signal(self, where: str, short: Any, long: Any) -> Signal:
        axes = {
            axis
            for a, b in zip(tensors(short), tensors(long), strict=True)
            for axis in range(1, a.ndim)
            if a.shape[axis] != b.shape[axis]
        }
        if len(axes) != 1:
            shape = list(tensors(long)[0].shape)
            found = f"{len(axes)} time axes" if axes else "no time axis left"
            raise ConfigError(f"{where} cannot stream: its output {shape} has {found}")
        self._signals += 1
        return Signal(self._signals - 1, axes.pop(), short, long)

    def _operation(self, node: torch.fx.Node, short: Any, long: Any) -> Any:
        used: dict[torch.fx.Node, Slot] = {}
        where = _where(node, self.kind)

        def resolved(argument: torch.fx.Node) -> Any:
            value = self._values[argument]
            if isinstance(value, _Unknown):
                raise ConfigError(f"{where} cannot stream: it uses {value.description}")
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
        inputs = tuple(self._values[argument] for argument in used)
        made = Operation(
            where, target, args, kwargs, inputs, signal, packs=not self.chunk_invariant
        )
        self.operations.append(made)
        return signal


class _Unknown(NamedTuple):
    """A number that differs between the examples."""

    description: str


def _where(node: torch.fx.Node, root: type[nn.Module]) -> str:
    """Module and operation of a node, for error messages."""
    stack = node.meta.get("nn_module_stack") or {"": ("", root)}
    path, kind = list(stack.values())[-1]
    name = getattr(node.target, "__name__", node.target)
    operation = "" if node.op == "call_module" else f": {name}"
    return f"{path or 'the network'} ({kind.__name__}{operation})"


def _is_slot(value: Any) -> bool:
    return isinstance(value, Slot)


def _slots(value: Any) -> list[Slot]:
    return [leaf for leaf in tree_flatten(value, is_leaf=_is_slot)[0] if _is_slot(leaf)]


def same_value(a: Any, b: Any) -> bool:
    """Whether a value is equal in both examples."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a is b or (a.shape == b.shape and torch.equal(a, b))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same_value(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) if not tensors((a, b)) else False
