"""Anti-aliased activation of signals on a CPU: one kernel forward, one backward.

A kernel handles items: segments of signals, each in blocks that stay in the innermost cache with
all that is computed from them. In a block, even and odd samples of the doubled rate are kept apart,
so that every filter reads contiguous vectors. The value of a sample does not depend on the place of
its block, nor on the number of threads, and the sums of a gradient have one order.
"""

from functools import partial

import torch
from torch import Tensor

from vocoder.kernels.jit.code import Code
from vocoder.kernels.jit.compiler import Kernel, compiled
from vocoder.kernels.jit.functions import weighted
from vocoder.kernels.jit.values import Pointer, Value
from vocoder.kernels.polyphase import PhaseFilter, Polyphase
from vocoder.kernels.signals.blocks import LEAKY_RELU, SEGMENT, SNAKE, Pair, SignalBlocks
from vocoder.kernels.threads import run_tasks

EPS = 1e-9  # as in the reference: keeps the division finite
_GRAIN = 1 << 16  # samples of a task: fewer are not worth another thread
_TASKS = 4  # for each thread, so that a slow one is not waited for long


def forward(
    x: Tensor, alpha: Tensor | None, beta: Tensor | None, *, slope: float, causal: bool
) -> Tensor:
    """Anti-aliased Snake, or leaky ReLU without `alpha` and `beta`.   Shape: [B, C, T] → same.

    The arguments are those of `vocoder.kernels.anti_aliased.anti_aliased`.
    """
    source = x.float().contiguous()
    y = torch.empty_like(source)
    a, scale = _parameters(alpha, beta)
    kernel = compiled(write_forward, LEAKY_RELU if alpha is None else SNAKE, int(causal))
    _run(kernel, (source, a, scale), slope, (y,))
    return y.to(x.dtype)


def backward(
    grad: Tensor,
    x: Tensor,
    alpha: Tensor | None,
    beta: Tensor | None,
    *,
    slope: float,
    causal: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of `forward` with respect to x, alpha and beta, from that of its result."""
    source, grad = x.float().contiguous(), grad.float().contiguous()
    grad_x = torch.empty_like(source)
    sums = source.new_empty(2, *x.shape[:2], _segments(x))  # of each item
    a, scale = _parameters(alpha, beta)
    kernel = compiled(write_backward, LEAKY_RELU if alpha is None else SNAKE, int(causal))
    _run(kernel, (source, a, scale), slope, (grad, grad_x, *sums))
    grad_x = grad_x.to(x.dtype)
    if alpha is None or beta is None:
        return grad_x, None, None
    by_alpha, by_scale = sums.sum((1, 3))
    return grad_x, (by_alpha * scale).to(alpha.dtype), (-by_scale * scale.square()).to(beta.dtype)


def _parameters(alpha: Tensor | None, beta: Tensor | None) -> tuple[Tensor, Tensor]:
    """α and 1 / β in float32."""
    if alpha is None or beta is None:
        return torch.empty(0), torch.empty(0)
    return alpha.float().contiguous(), 1.0 / (beta.float() + EPS)


def _segments(x: Tensor) -> int:
    return -(-x.shape[2] // SEGMENT)


def _run(
    kernel: Kernel, inputs: tuple[Tensor, ...], slope: float, more: tuple[Tensor, ...]
) -> None:
    """Run a kernel on all items of a signal, in the threads that PyTorch may use."""
    x = inputs[0]
    items = x.shape[0] * x.shape[1] * _segments(x)
    threads = torch.get_num_threads()
    count = max(1, min(items, _TASKS * threads, x.numel() // _GRAIN)) if threads > 1 else 1
    addresses = [value.data_ptr() for value in inputs]
    others = [value.data_ptr() for value in more]
    bounds = [items * part // count for part in range(count + 1)]
    tasks = [
        partial(kernel, *addresses, x.shape[2], x.shape[1], *part, float(slope), *others)
        for part in zip(bounds, bounds[1:], strict=False)
    ]
    run_tasks(tasks, min(threads, count))


def write_forward(code: Code, kind: int, causal: int) -> None:
    """Write the activation. Arguments: those of `SignalBlocks`, then the address of y."""
    blocks, filters = SignalBlocks(code, kind), Polyphase.of(bool(causal))
    y, doubled, out = code.pointer(8), (blocks.scratch(), blocks.scratch()), blocks.scratch()
    held = blocks.scratch()
    with blocks.each_item(), blocks.each_block():
        x = blocks.signal(code.pointer(0), held, hold=True)
        with blocks.vectors(filters.before, filters.after) as i:
            for to, phase in zip(doubled, filters.doubling, strict=True):
                code.store(to, i, blocks.activation(_filtered(code, x, i, phase)))
        blocks.hold(doubled, filters)
        with blocks.vectors() as i:
            code.store(out, i, _halved(code, doubled, i, filters))
        blocks.write(y, out)


def write_backward(code: Code, kind: int, causal: int) -> None:
    """Write the gradients. Arguments: those of `SignalBlocks`, then four addresses.

    They are those of the gradients of y and of x, and of two sums for each item, over its samples u
    at twice the rate: of gradient times u sin 2αu, and of gradient times sin² αu (SNAKE only).
    """
    blocks, filters = SignalBlocks(code, kind), Polyphase.of(bool(causal))
    back = filters.adjoint()
    doubled, out = (blocks.scratch(), blocks.scratch()), blocks.scratch()
    held, padded = blocks.scratch(), blocks.scratch()
    with blocks.each_item() as item:
        sums = [code.variable(code.constant(0.0)) for _ in range(2)]
        with blocks.each_block():
            x = blocks.signal(code.pointer(0), held, hold=True)
            grad = blocks.signal(code.pointer(8), padded, hold=False)
            # Samples behind the end are folded onto the last one, even if it is in the margin.
            reach = back.halo, back.halo + back.before
            with blocks.vectors(*reach) as i:
                for to, phase in zip(doubled, back.doubling, strict=True):
                    code.store(to, i, _filtered(code, grad, i, phase))
            blocks.fold(doubled, doubled, filters)
            with blocks.vectors(*reach) as i:
                for place, phase in zip(doubled, filters.doubling, strict=True):
                    u, gradient = _filtered(code, x, i, phase), code.load(place, i)
                    code.store(place, i, blocks.gradient(u, gradient, i, sums))
            with blocks.vectors(back.after, back.before) as i:
                code.store(out, i, _halved(code, doubled, i, back))
            blocks.fold((out,), (out, out), filters)
            blocks.write(code.pointer(9), out)
        if kind == SNAKE:
            for number, total in enumerate(sums):
                code.store_first(code.pointer(10 + number), item, code.total(total.get()))


def _filtered(code: Code, x: Pointer, place: Value, phase: PhaseFilter) -> Value:
    """A vector of outputs of one filter."""
    at = place + phase.begin
    return weighted(code, [code.load(x, at + i) for i in range(len(phase.weights))], phase.weights)


def _halved(code: Code, doubled: Pair, place: Value, filters: Polyphase) -> Value:
    """A vector of outputs of the filters that halve the rate."""
    pairs = zip(doubled, filters.halving, strict=True)
    even, odd = (_filtered(code, part, place, phase) for part, phase in pairs)
    return even + odd
