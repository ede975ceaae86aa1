"""Whether fused kernels may stand for the plain PyTorch code that is their reference."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

VARIABLE = "VOCODER_KERNELS"
"""Environment variable: `off` runs everything as plain PyTorch code."""
_is_exporting = getattr(torch.compiler, "is_exporting", lambda: False)  # since torch 2.7
_plain = 1 if os.environ.get(VARIABLE, "").lower() in ("off", "0") else 0


@contextmanager
def reference_only() -> Iterator[None]:
    """Run plain PyTorch code in place of fused kernels, in all threads of the process."""
    global _plain
    _plain += 1
    try:
        yield
    finally:
        _plain -= 1


def kernels_allowed() -> bool:
    """Whether kernels may run here: not in `reference_only`, and not while a graph is exported.

    An exported graph consists of PyTorch's own operators. `torch.compile` keeps the kernels.
    """
    exported = _is_exporting() or torch._C._get_tracing_state() is not None
    return not (_plain or exported)
