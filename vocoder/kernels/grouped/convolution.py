"""Grouped convolution of signals on a CPU: one kernel for each of its three products.

The order of the sums does not depend on the number of threads.
"""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.kernels.grouped.products import write_products, write_weight_gradient
from vocoder.kernels.jit.compiler import Kernel, compiled, cpu
from vocoder.kernels.threads import run_tasks

MULTIPLE = 4  # of the channels of a group
_BLOCK = 2048  # samples, of all signals, whose gradients stay in the innermost cache
_TASKS = 4  # for each thread


class Shape(NamedTuple):
    """Stride, padding and groups of a convolution."""

    stride: int
    padding: int
    groups: int


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, shape: Shape) -> Tensor:
    """The convolution.   Shape: x [B, C, T], weight [O, C / groups, K] → [B, O, T']."""
    stride, padding, groups = shape
    batch, channels, time = x.shape
    outputs, inputs, taps = weight.shape
    samples = (time + 2 * padding - taps) // stride + 1
    rows, vectors = _tile(samples, outputs // groups)
    whole = max(samples, vectors * cpu().lanes)
    source = _phases(x, stride, padding, whole + -(-taps // stride))
    y = x.new_empty(batch, outputs, whole)
    row = source.shape[-1]
    sizes = (groups, inputs, outputs // groups, stride, taps, row, whole, whole)
    steps = (outputs // groups * whole, inputs * taps, taps, stride, 1, taps)
    addresses = (source, weight, bias, y)
    _run(compiled(write_products, rows, vectors), addresses, batch * groups, (*sizes, *steps))
    return y if whole == samples else y[..., :samples].contiguous()


def input_gradient(grad: Tensor, weight: Tensor, shape: Shape, time: int) -> Tensor:
    """Gradient of the input, of `time` samples, from that of the output."""
    stride, padding, groups = shape
    batch, channels, samples = grad.shape
    outputs, inputs, taps = channels // groups, weight.shape[1], weight.shape[2]
    most = -(-taps // stride)  # taps of a phase
    needed = -(-(time + padding) // stride)
    rows, vectors = _tile(needed, inputs)
    whole = max(needed, vectors * cpu().lanes)
    # Phase r of the padded input at m is the sum of taps q of gradients at m - q.
    source = F.pad(grad, (most - 1, whole - samples)).contiguous()
    made = grad.new_empty(batch, groups * inputs, stride, whole)
    row = source.shape[-1]
    kernel = compiled(write_products, rows, vectors)
    for phase in range(stride):
        count = -(-(taps - phase) // stride)
        sizes = (groups, outputs, inputs, 1, count, row, whole, stride * whole)
        steps = (inputs * stride * whole, taps, inputs * taps, stride, -1, taps)
        offsets = ((source, most - 1), (weight, phase), None, (made, phase * whole))
        _run(kernel, offsets, batch * groups, (*sizes, *steps))
    signal = made[:, :, 0] if stride == 1 else made.transpose(2, 3).flatten(2)
    return signal[..., padding : padding + time]


def weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, shape: Shape) -> Tensor:
    """Gradient of the weights from that of the output."""
    stride, padding, groups = shape
    batch, channels, samples = grad.shape
    outputs, inputs, taps = channels // groups, weight.shape[1], weight.shape[2]
    whole = _whole(samples, cpu().lanes)
    source = _phases(x, stride, padding, whole + -(-taps // stride) + MULTIPLE)
    padded = F.pad(grad, (0, whole - samples)).contiguous()
    made = torch.zeros_like(weight, memory_format=torch.contiguous_format)
    sizes = (groups, inputs, outputs, stride, taps, source.shape[-1], whole)
    columns = MULTIPLE if cpu().registers == 32 else MULTIPLE // 2
    kernel = compiled(write_weight_gradient, MULTIPLE, columns)
    items = groups * outputs // MULTIPLE
    block = _whole(-(-_BLOCK // batch), cpu().lanes)
    _run(kernel, (source, padded, made), items, (*sizes, batch, whole, block))
    return made


def _phases(x: Tensor, stride: int, padding: int, row: int) -> Tensor:
    """The padded signal, row r of a channel its samples r, r + stride and so on.

    Shape: [B, C, T] → [B, C, stride, row].
    """
    padded = F.pad(x, (padding, row * stride - x.shape[-1] - padding))
    if stride == 1:
        return padded.contiguous()[:, :, None]
    return padded.reshape(*x.shape[:2], row, stride).transpose(2, 3).contiguous()


def _tile(samples: int, outputs: int) -> tuple[int, int]:
    """Rows and vectors of a tile: those that compute the fewest samples behind the end."""
    count = -(-samples // cpu().lanes)
    if cpu().registers < 32:
        return MULTIPLE, 2
    vectors = min((4, 3, 2), key=lambda v: -(-count // v) * v)
    return (2 * MULTIPLE if vectors < 4 and outputs % (2 * MULTIPLE) == 0 else MULTIPLE), vectors


def _whole(samples: int, size: int) -> int:
    return -(-samples // size) * size


def _run(
    kernel: Kernel,
    tensors: "tuple[Tensor | tuple[Tensor, int] | None, ...]",
    items: int,
    sizes: tuple[int, ...],
) -> None:
    """Run a kernel on all items in the threads that PyTorch may use."""
    addresses = [_address(tensor) for tensor in tensors]
    threads = torch.get_num_threads()
    count = max(1, min(items, _TASKS * threads)) if threads > 1 else 1
    bounds = [items * part // count for part in range(count + 1)]
    tasks = [
        partial(kernel, *addresses, *part, *sizes) for part in zip(bounds, bounds[1:], strict=False)
    ]
    run_tasks(tasks, min(threads, count))


def _address(tensor: "Tensor | tuple[Tensor, int] | None") -> int:
    """Address of a tensor, or of an element of it; 0 for none."""
    if tensor is None:
        return 0
    tensor, offset = tensor if isinstance(tensor, tuple) else (tensor, 0)
    return tensor.data_ptr() + offset * tensor.element_size()
