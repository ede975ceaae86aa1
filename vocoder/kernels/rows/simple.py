"""Simple kernels on rows: sums, factors, leaky ReLU, moves, and sequences of kernels."""

from vocoder.kernels.jit.code import Code

WIDTH = 24  # entries of a call in a sequence: the kernel's address and its arguments


def write_sum(code: Code) -> None:
    """Write `y = leaky((a + b) * factor)`; b may be 0.

    Arguments: addresses of y, a, b; number of floats; factor, slope of the leaky ReLU.
    """
    y, a, b = (code.pointer(i) for i in range(3))
    factor, slope = code.scalar(4), code.scalar(5)
    with code.range(0, code.integer(3), code.lanes) as i:
        total = code.variable(code.load(a, i))
        with code.present(b):
            total.set(total.get() + code.load(b, i))
        value = total.get() * factor
        code.store(y, i, code.maximum(value, value * slope))


def write_move(code: Code) -> None:
    """Write a copy to a lower or a separate address. Arguments: to, from; number of floats."""
    to, source = code.pointer(0), code.pointer(1)
    with code.range(0, code.integer(2), code.lanes) as i:
        code.store(to, i, code.load(source, i))


def write_zeros(code: Code) -> None:
    """Write zeros. Arguments: to; number of floats."""
    to = code.pointer(0)
    with code.range(0, code.integer(1), code.lanes) as i:
        code.store(to, i, code.constant(0.0))


def write_sequence(code: Code) -> None:
    """Run kernels one after the other. Arguments: address of their calls; number of calls.

    Each call has `WIDTH` entries: the kernel's address, then its arguments.
    """
    calls = code.pointer(0)
    with code.range(0, code.integer(1)) as i:
        code.run(calls + i * (2 * WIDTH))
