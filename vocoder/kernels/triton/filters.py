"""Parts of Triton kernels: doubling and halving of the rate in registers, periodic activations.

A lane makes four neighbouring outputs from 14 input samples and 18 doubled ones, which are tuples
of tensors with one element for each lane. Both filters are one formula. Let L be `lead`: 5, or 10
where the filters are causal. Doubled sample d takes the input at step q with tap d - 2 q + 10 - L,
and output m takes doubled sample d with tap d - 2 m + L. So the adjoint of each filter is the other
one with the lead 10 - L.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, assignment"

import triton
import triton.language as tl

TAPS = tl.constexpr(12)
PHASE = tl.constexpr(6)  # taps that meet one sample, at twice the rate
OUTPUTS = tl.constexpr(4)  # of a lane
STEPS = tl.constexpr(14)  # input samples of a lane
DOUBLED = tl.constexpr(18)  # doubled samples of a lane
EPS = tl.constexpr(1e-9)  # as in the reference: keeps the division finite

# angle = k π + r, with π in three parts: k times the first or the second of them is exact.
INVERSE_PI = tl.constexpr(0.3183098861837907)
PI_0 = tl.constexpr(3.140625)
PI_1 = tl.constexpr(0.0009675025939941406)
PI_2 = tl.constexpr(1.5099579909783765e-07)
ROUND = tl.constexpr(12582912.0)  # 1.5 * 2^23: adding and subtracting it rounds to an integer


@triton.jit
def sine_and_cosine(angle):
    """Sine and cosine, both with one sign that may be wrong: for their squares and product.

    Minimax polynomials; the error is at most 2e-7 for angles up to 1e4.
    """
    turns = (angle * INVERSE_PI + ROUND) - ROUND
    r = ((angle - turns * PI_0) - turns * PI_1) - turns * PI_2
    s = r * r
    sine = ((2.63475716e-6 * s - 1.98227471e-4) * s + 8.33324227e-3) * s - 1.66666660e-1
    cosine = (-2.62978118e-7 * s + 2.47746061e-5) * s - 1.38886523e-3
    cosine = (cosine * s + 4.16666594e-2) * s - 0.5
    return r + r * s * sine, 1.0 + s * cosine


@triton.jit
def read_shape(alpha, beta, channel, slope, periodic: tl.constexpr):
    """What the activation of a channel needs: α, the magnitude 1 / (β + ε), and the slope."""
    a, level = 1.0, 1.0
    if periodic:
        a = tl.load(alpha + channel).to(tl.float32)
        level = 1.0 / (tl.load(beta + channel).to(tl.float32) + EPS)
    return a, level, slope


@triton.jit
def activation(u, shape, periodic: tl.constexpr):
    """The activation of doubled samples."""
    if periodic:
        sine, _ = sine_and_cosine(shape[0] * u)
        y = u + sine * sine * shape[1]
    else:
        y = tl.where(u > 0.0, u, shape[2] * u)
    return y


@triton.jit
def derivatives(u, shape, periodic: tl.constexpr):
    """Derivatives of the activation with respect to u, α and β."""
    if periodic:
        sine, cosine = sine_and_cosine(shape[0] * u)
        twice = 2.0 * sine * cosine * shape[1]
        by_u, by_alpha = 1.0 + shape[0] * twice, u * twice
        by_beta = -(sine * sine) * (shape[1] * shape[1])
    else:
        by_u, by_alpha, by_beta = tl.where(u > 0.0, 1.0, shape[2]), u * 0.0, u * 0.0
    return by_u, by_alpha, by_beta


@triton.jit
def samples(x, at, steps, held: tl.constexpr):
    """Samples at any places in float32; beyond the ends they are held, or zero."""
    if held:
        value = tl.load(x + tl.minimum(tl.maximum(at, 0), steps - 1))
    else:
        value = tl.load(x + at, mask=(at >= 0) & (at < steps), other=0.0)
    return value.to(tl.float32)


@triton.jit
def read_window(x, begin, steps, held: tl.constexpr):
    """The input samples of each lane, from its place `begin` on."""
    window = ()
    for step in tl.static_range(STEPS):
        window = window + (samples(x, begin + step, steps, held),)
    return window


@triton.jit
def read_taps(taps):
    """The filter as a tuple of numbers."""
    f = ()
    for tap in tl.static_range(TAPS):
        f = f + (tl.load(taps + tap).to(tl.float32),)
    return f


@triton.jit
def doubled(f, window, number: tl.constexpr):
    """One doubled sample of each lane, at half of its level."""
    total = f[number % 2] * window[number // 2 + PHASE - 1]
    for j in tl.static_range(1, PHASE):
        total += f[number % 2 + 2 * j] * window[number // 2 + PHASE - 1 - j]
    return total


@triton.jit
def doubled_at(x, taps, d, steps, lead: tl.constexpr, held: tl.constexpr):
    """Doubled samples at any places `d`, at half of their level."""
    odd = (d + lead) & 1
    last = (d + 10 - lead - odd) >> 1
    total = tl.load(taps + odd).to(tl.float32) * samples(x, last, steps, held)
    for j in tl.static_range(1, PHASE):
        tap = tl.load(taps + odd + 2 * j).to(tl.float32)
        total += tap * samples(x, last - j, steps, held)
    return total


@triton.jit
def halved(f, window, number: tl.constexpr):
    """One output of each lane, from its doubled samples."""
    total = f[0] * window[2 * number]
    for tap in tl.static_range(1, TAPS):
        total += f[tap] * window[2 * number + tap]
    return total


@triton.jit
def write(y, begin, steps, outputs, lanes: tl.constexpr):
    """Write the four outputs of every lane, beside each other, from `begin` on."""
    block = tl.join(tl.join(outputs[0], outputs[2]), tl.join(outputs[1], outputs[3]))
    values = tl.reshape(block, [OUTPUTS * lanes])
    at = begin + tl.arange(0, OUTPUTS * lanes)
    tl.store(y + at, values.to(y.dtype.element_ty), mask=at < steps)
