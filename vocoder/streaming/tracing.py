"""Symbolic tracing of our networks, in which functions with a streaming rule are one node each."""

import importlib
import threading
from collections.abc import Callable
from typing import Any

import torch.fx
from torch import nn

from vocoder.dsp.excitation import minimum_phase
from vocoder.dsp.stft import istft, pad_reflect, stft
from vocoder.kernels.chunk_invariant import chunk_invariant_conv1d, chunk_invariant_linear

_TRACED_MODULES = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
_LEAF_FUNCTIONS = (  # their sizes must not be traced
    istft,
    pad_reflect,
    minimum_phase,
    chunk_invariant_linear,
    chunk_invariant_conv1d,
)


class Tracer(torch.fx.Tracer):
    """Symbolic tracer of our networks, in which functions with a streaming rule are one node each.

    `torch.fx.GraphModule(network, Tracer().trace(network))` computes what the network does, for any
    number of frames.
    """

    def __init__(self, leaves: tuple[type[nn.Module], ...] = ()) -> None:
        super().__init__(autowrap_functions=_LEAF_FUNCTIONS)
        self._thread = threading.get_ident()
        self._leaves = leaves
        # Where they are called by other functions; those of a traced module are searched anyway.
        for function in (stft, chunk_invariant_linear):
            self._autowrap_search.append(importlib.import_module(function.__module__))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node: convolutions are not, as their padding has a rule."""
        if isinstance(m, _TRACED_MODULES):
            return False
        if isinstance(m, self._leaves):
            return True
        return super().is_leaf_module(m, module_qualified_name)

    # While it traces, every call and every attribute of any module in the process comes here; what
    # other threads compute meanwhile is not part of the graph.
    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A node for the call of a module; other threads just call it."""
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A node for a parameter of a module; other threads get the parameter."""
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


_TRACING = threading.Lock()  # its changes to torch are undone in the order in which they were made


def symbolic_trace(
    module: nn.Module,
    concrete_args: dict[str, Any] | None = None,
    *,
    leaves: tuple[type[nn.Module], ...] = (),
) -> torch.fx.GraphModule:
    """Trace a module by our `Tracer`, in which functions of `vocoder.dsp` are single nodes."""
    with _TRACING:
        return torch.fx.GraphModule(
            module, Tracer(leaves).trace(module, concrete_args=concrete_args)
        )
