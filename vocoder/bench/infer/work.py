"""How much a network computes, and how fast the machine could compute it."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

_SIZE = 1536  # of square matrices: in float32 three of them exceed the usual second-level cache


def operations(call: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products that `call` runs in PyTorch.

    A multiplication and an addition are two. Fourier transforms and pointwise operations, which
    are not counted, are a small part of most networks.
    """
    packed = {"_linear_pointwise": _of_linear, "_convolution_pointwise": _of_convolution}
    found = {
        getattr(torch.ops.mkldnn, name): formula
        for name, formula in packed.items()
        if hasattr(torch.ops.mkldnn, name)
    }
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=found) as counter:
        call()
    return int(counter.get_total_flops())


def _of_linear(x: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * math.prod(out_shape) * x[-1]


def _of_convolution(
    _x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def matrix_bound(
    device: torch.device,
    *,
    repeats: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Floating-point operations per second of the best of several float32 matrix products.

    With the present number of threads. Direct convolutions in float32 cannot be faster than it.
    """
    one, other = torch.randn(2, _SIZE, _SIZE, device=device).unbind()

    def product() -> Tensor:
        return (one @ other)[:1, :1].cpu()  # waits until the device has computed it

    times = []
    for _ in range(repeats + 1):
        start = clock()
        product()
        times.append(clock() - start)
    return 2 * _SIZE**3 / min(times[1:])
