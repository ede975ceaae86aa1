"""Anti-aliased activation on GPUs: one Triton kernel forward, one backward.

It computes what `vocoder.nn.activation.AntiAliased` does: the rate doubled by a filter of 12 taps,
an activation, the rate halved by the same filter, with held edges. The doubled signal stays in
registers: forward reads x and writes y, and backward computes it again from x. Sums over batch and
time have a fixed order, so that gradients are reproducible bit by bit.

Values and gradients have been checked in Triton's interpreter, and the kernels compile for compute
capability 8.0 and 9.0 without spilled registers. Their speed on a GPU has not been measured.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, assignment"

from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

from vocoder.kernels.triton.filters import (
    DOUBLED,
    OUTPUTS,
    TAPS,
    activation,
    derivatives,
    doubled,
    doubled_at,
    halved,
    read_shape,
    read_taps,
    read_window,
    samples,
    write,
)

Kind = Literal["snake", "snake_beta", "leaky_relu"]

_LANES = 128  # of a program: one for each thread of its 4 warps
EDGE = tl.constexpr(16)  # a power of two, and more than the samples that feel an edge


@triton.jit
def place(steps, lanes: tl.constexpr):
    """The signal of this program, and its first output."""
    blocks = tl.cdiv(steps, OUTPUTS * lanes)
    return tl.program_id(0) // blocks, tl.program_id(0) % blocks * OUTPUTS * lanes


@triton.jit
def forward_kernel(
    x, taps, alpha, beta, y, channels, steps, slope,
    periodic: tl.constexpr, lead: tl.constexpr, lanes: tl.constexpr,
):  # fmt: skip
    """512 outputs of one signal."""
    row, begin = place(steps, lanes)
    x, y = x + row.to(tl.int64) * steps, y + row.to(tl.int64) * steps
    shape = read_shape(alpha, beta, row % channels, slope, periodic)
    f = read_taps(taps)
    at = begin + OUTPUTS * tl.arange(0, lanes)
    window = read_window(x, at - lead, steps, True)
    end = 2 * steps - 1
    first = activation(2.0 * doubled_at(x, taps, 0, steps, lead, True), shape, periodic)
    final = activation(2.0 * doubled_at(x, taps, end, steps, lead, True), shape, periodic)
    active = ()
    for number in tl.static_range(DOUBLED):
        d = 2 * at - lead + number
        value = activation(2.0 * doubled(f, window, number), shape, periodic)
        active = active + (tl.where(d < 0, first, tl.where(d > end, final, value)),)
    outputs = ()
    for number in tl.static_range(OUTPUTS):
        outputs = outputs + (halved(f, active, number),)
    write(y, begin, steps, outputs, lanes)


@triton.jit
def tap_row(taps):
    """The filter as a row, with zeros behind it."""
    tap = tl.arange(0, EDGE)[None, :]
    return tl.load(taps + tap, mask=tap < TAPS, other=0.0).to(tl.float32)


@triton.jit
def held_activations(grad, taps, steps, lead: tl.constexpr):
    """Gradients of the first and last doubled sample from where they are held, beyond the ends."""
    step, tap = tl.arange(0, EDGE)[:, None], tl.arange(0, EDGE)[None, :]
    f = tap_row(taps)
    before = samples(grad, step, steps, False) * tl.where(tap < lead - 2 * step, f, 0.0)
    behind = tl.where(tap >= lead + 2 + 2 * step, f, 0.0)
    after = samples(grad, steps - 1 - step, steps, False) * behind
    return tl.sum(tl.sum(before, 1), 0), tl.sum(tl.sum(after, 1), 0)


@triton.jit
def held_input(
    grad, x, taps, d, gap, held, shape, steps, periodic: tl.constexpr, lead: tl.constexpr
):
    """Gradient of an end of x from where it is held.

    `d` are the doubled samples near that end, `gap` [d, tap] says how far over it, in doubled
    samples, each tap reaches, and `held` is the result of `held_activations`.
    """
    u = 2.0 * doubled_at(x, taps, d, steps, lead, True)
    gradient = doubled_at(grad, taps, d, steps, 10 - lead, False)
    gradient += tl.where(d == 0, held[0], 0.0) + tl.where(d == 2 * steps - 1, held[1], 0.0)
    by_u, _, _ = derivatives(u, shape, periodic)
    gradient = tl.where((d >= 0) & (d < 2 * steps), gradient * by_u, 0.0)
    weights = tl.sum(tl.where((gap >= 2) & (gap % 2 == 0), tap_row(taps), 0.0), 1)
    return 2.0 * tl.sum(gradient * weights, 0)


@triton.jit
def held_parts(grad, x, taps, shape, steps, near, periodic: tl.constexpr, lead: tl.constexpr):
    """Gradients from held samples: of both ends of the doubled signal, and of both ends of x.

    All are zero unless the program is `near` an end.
    """
    before, after, first, final = 0.0, 0.0, 0.0, 0.0
    if near:
        before, after = held_activations(grad, taps, steps, lead)
        d, tap = tl.arange(0, EDGE), tl.arange(0, EDGE)[None, :]
        gap = tap - d[:, None] - (10 - lead)
        first = held_input(grad, x, taps, d, gap, (before, after), shape, steps, periodic, lead)
        gap = 11 - lead - d[:, None] - tap
        d = 2 * steps - 1 - d
        final = held_input(grad, x, taps, d, gap, (before, after), shape, steps, periodic, lead)
    return before, after, first, final


@triton.jit
def backward_kernel(
    grad, x, taps, alpha, beta, grad_x, sums_alpha, sums_beta, channels, steps, slope,
    periodic: tl.constexpr, lead: tl.constexpr, lanes: tl.constexpr,
):  # fmt: skip
    """The gradient of 512 input samples of one signal, and their part of those of α and β."""
    row, begin = place(steps, lanes)
    start = row.to(tl.int64) * steps
    grad, x = grad + start, x + start
    shape = read_shape(alpha, beta, row % channels, slope, periodic)
    near = (begin == 0) | (begin + OUTPUTS * lanes + EDGE > steps)
    before, after, first, final = held_parts(grad, x, taps, shape, steps, near, periodic, lead)
    f = read_taps(taps)
    at = begin + OUTPUTS * tl.arange(0, lanes)
    window = read_window(x, at - 5, steps, True)
    gradients = read_window(grad, at - (10 - lead), steps, False)
    sum_alpha, sum_beta = tl.zeros([lanes], tl.float32), tl.zeros([lanes], tl.float32)
    back = ()
    for number in tl.static_range(DOUBLED):
        d = 2 * at - (10 - lead) + number
        value = doubled(f, gradients, number)
        value += tl.where(d == 0, before, 0.0) + tl.where(d == 2 * steps - 1, after, 0.0)
        value = tl.where((d >= 0) & (d < 2 * steps), value, 0.0)
        u = 2.0 * doubled(f, window, number)
        by_u, by_alpha, by_beta = derivatives(u, shape, periodic)
        back = back + (value * by_u,)
        if number >= 10 - lead and number < 10 - lead + 2 * OUTPUTS:  # those of no other lane
            sum_alpha += value * by_alpha
            sum_beta += value * by_beta
    outputs = ()
    for number in tl.static_range(OUTPUTS):
        value = 2.0 * halved(f, back, number) + tl.where(at + number == 0, first, 0.0)
        outputs = outputs + (value + tl.where(at + number == steps - 1, final, 0.0),)
    write(grad_x + start, begin, steps, outputs, lanes)
    if periodic:
        tl.store(sums_alpha + tl.program_id(0), tl.sum(sum_alpha, 0))
        tl.store(sums_beta + tl.program_id(0), tl.sum(sum_beta, 0))


def forward(
    x: Tensor,
    taps: Tensor,
    alpha: Tensor | None,
    beta: Tensor | None,
    *,
    kind: Kind,
    slope: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """Anti-aliased activation of signals on a GPU, in float32 arithmetic.

    Shape: x [B, C, T], taps [12], alpha and beta [C] → [B, C, T], of the type of x.

    Args:
        x: Signals in float32, bfloat16 or float16.
        taps: Low-pass filter, as of `AntiAliased`.
        alpha: Frequencies of "snake" and "snake_beta".
        beta: Inverse magnitudes of "snake_beta"; those of "snake" are `alpha`.
        kind: Activation.
        slope: Of the leaky ReLU below 0.
        causal: Whether no output depends on a later sample.
    """
    x = x.contiguous()
    y = torch.empty_like(x)
    a, b = _parameters(x, alpha, beta, kind)
    if x.numel():
        signature = (x, taps, a, b, y, x.shape[1], x.shape[2], slope)
        forward_kernel[_grid(x)](*signature, **_constants(kind, causal))
    return y


def backward(
    grad: Tensor,
    x: Tensor,
    taps: Tensor,
    alpha: Tensor | None,
    beta: Tensor | None,
    *,
    kind: Kind,
    slope: float = 0.0,
    causal: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of `forward` with respect to x, alpha and beta, from that of its result.

    None for a parameter that the activation does not have.

    Shape: grad [B, C, T] → [B, C, T], [C], [C].   Args: as of `forward`.
    """
    grad, x = grad.contiguous(), x.contiguous()
    grad_x = torch.empty_like(x)
    a, b = _parameters(x, alpha, beta, kind)
    sums = x.new_empty(2, *x.shape[:2], _blocks(x), dtype=torch.float32)  # of each program
    if x.numel():
        signature = (grad, x, taps, a, b, grad_x, *sums, x.shape[1], x.shape[2], slope)
        backward_kernel[_grid(x)](*signature, **_constants(kind, causal))
    if kind == "leaky_relu":
        return grad_x, None, None
    by_alpha, by_beta = sums.sum((1, 3))
    if kind == "snake":
        return grad_x, (by_alpha + by_beta).to(a.dtype), None
    return grad_x, by_alpha.to(a.dtype), by_beta.to(b.dtype)


def _parameters(
    x: Tensor, alpha: Tensor | None, beta: Tensor | None, kind: Kind
) -> tuple[Tensor, Tensor]:
    """α and β as the kernels read them; `x` where they read none."""
    if kind == "leaky_relu":
        return x, x
    second = alpha if kind == "snake" else beta
    assert alpha is not None and second is not None
    return alpha.contiguous(), second.contiguous()


def _constants(kind: Kind, causal: bool) -> dict[str, int | bool]:
    lead = 10 if causal else 5
    return {"periodic": kind != "leaky_relu", "lead": lead, "lanes": _LANES, "num_warps": 4}


def _blocks(x: Tensor) -> int:
    """Programs for one signal."""
    return -(-x.shape[2] // (4 * _LANES))


def _grid(x: Tensor) -> tuple[int]:
    return (x.shape[0] * x.shape[1] * _blocks(x),)
