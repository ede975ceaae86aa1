"""CUDA graphs: what a model has computed before is replayed instead of launched kernel by kernel.

A short mel on a GPU takes longer to launch than to compute. A captured graph is launched as a
whole, but only for tensors of the same shapes, and captured with the values of every Python number.
What is asked for a second time is captured; what is asked for once would not repay that.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_log = logging.getLogger(__name__)
_WARM_UPS = 2  # runs in which libraries choose their kernels and reserve their memory
_GRAPHS = 32  # of one model, each with its own input and output; they share the rest

Run = Callable[[], list[Tensor]]
"""Computes tensors from tensors in fixed places."""


class Capture(Protocol):
    """Records runs for replay."""

    def __call__(self, run: Run) -> tuple[Callable[[], None], list[Tensor]]:
        """Record a run: a function that repeats it, and the tensors that it fills each time."""
        ...

    def in_order(self) -> AbstractContextManager[None]:
        """Within it, work is queued behind that of earlier ones, on any stream."""
        ...


class CudaCapture:
    """Records runs on one GPU as CUDA graphs, which share the memory of what they do not return."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> tuple[Callable[[], None], list[Tensor]]:
        """Run some times on a stream aside, then record. Raises RuntimeError if that is refused."""
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(current)
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UPS):
                    run()
            current.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads may go on allocating meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                made = run()
        return graph.replay, made

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Within it, work is queued behind that of earlier ones, on any stream."""
        with torch.cuda.device(self._device):
            torch.cuda.current_stream().wait_event(self._done)
            yield
            self._done.record()


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Holds tensors that operations read and did not make: a graph knows only their addresses.

    Weights are among them, and entries of caches, which may be dropped there.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tensors: list[Tensor] = []
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor) and self._is_new(tensor):
                self.tensors.append(tensor)
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._is_new(tensor)
        return made

    def _is_new(self, tensor: Tensor) -> bool:
        dense = tensor.layout == torch.strided
        place = tensor.untyped_storage().data_ptr() if dense else id(tensor)
        new = place not in self._known
        self._known.add(place)
        return new


class _Graph:
    """A captured function of tensors, with its own inputs and outputs."""

    def __init__(self, capture: Capture, function: Callable[..., Any], given: list[Tensor]) -> None:
        self._inputs = [tensor.clone() for tensor in given]
        self.structure: Any = None

        def run() -> list[Tensor]:
            outputs: list[Tensor] = []
            with _Held() as held:
                self.structure = flatten(function(*self._inputs), outputs)
            self._held = held.tensors
            return outputs

        self._replay, self._outputs = capture(run)

    def __call__(self, given: list[Tensor]) -> list[Tensor]:
        _copy(self._inputs, given)
        self._replay()
        made = [torch.empty_like(tensor) for tensor in self._outputs]
        _copy(made, self._outputs)
        return made


class Graphs:
    """Functions of tensors as captured graphs, the most recently used ones.

    May be used in several threads, which wait for each other. A function that cannot be captured,
    as it waits for the GPU, is called every time; that is logged once.
    """

    def __init__(self, capture: Capture, *, size: int = _GRAPHS) -> None:
        self._capture, self._size, self._lock = capture, size, threading.Lock()
        self._graphs: OrderedDict[Hashable, _Graph | None] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def __len__(self) -> int:
        """Number of graphs held."""
        return sum(graph is not None for graph in self._graphs.values())

    def recurs(self, key: Hashable) -> bool:
        """Whether the key has been asked for before, lately."""
        with self._lock:
            seen = key in self._seen or key in self._graphs
            self._seen[key] = None
            self._seen.move_to_end(key)
            if len(self._seen) > 8 * self._size:
                self._seen.popitem(last=False)
        return seen

    def run(self, key: Hashable, function: Callable[..., Any], given: list[Tensor]) -> Any:
        """`function(*given)`, captured if it was not; `key` fixes the function and all shapes.

        The result, tensors in tuples and lists, is its own.
        """
        with self._lock, self._capture.in_order():
            if key not in self._graphs:
                self._add(key, function, given)
            self._graphs.move_to_end(key)
            graph = self._graphs[key]
            if graph is None:
                return function(*given)
            return unflatten(graph.structure, iter(graph(given)))

    def _add(self, key: Hashable, function: Callable[..., Any], given: list[Tensor]) -> None:
        try:
            self._graphs[key] = _Graph(self._capture, function, given)
        except RuntimeError as error:
            reason = str(error).split("\n", 1)[0]
            _log.warning("not as a CUDA graph, but kernel by kernel: %s", reason)
            self._graphs[key] = None
        if len(self._graphs) > self._size:
            self._graphs.popitem(last=False)


def flatten(value: Any, tensors: list[Tensor]) -> Hashable:
    """Append the tensors in a nested value to a list; the rest of it, which can be compared.

    Two values of equal rest differ only in the numbers in their tensors.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return Tensor, tuple(value.shape), value.stride(), value.dtype
    if isinstance(value, tuple | list):
        return type(value), tuple(flatten(part, tensors) for part in value)
    return object, value


def unflatten(structure: Any, tensors: Iterator[Tensor]) -> Any:
    """The nested value with this rest and these tensors."""
    kind, content = structure[:2]
    if kind is Tensor:
        return next(tensors)
    return content if kind is object else kind(unflatten(part, tensors) for part in content)


def _copy(places: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy all in a few launches."""
    if places:
        torch._foreach_copy_(list(places), list(values))
