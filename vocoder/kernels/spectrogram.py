"""Steps between the transforms of a spectrogram and those of a signal, each in one pass.

They compute what `vocoder.dsp.stft` and `MelConsistency` do in many passes, to the bit: no sum is
reordered, and no product is rounded together with a sum. Kernels for the CPU, of float32 tensors
that are contiguous; `fits` says whether there are kernels here and for these sizes.
"""

from typing import Any

import torch
from torch import Tensor

from vocoder.kernels.jit.compiler import Kernel, compiled, cpu, is_available


def fits(n_fft: int, hop_length: int) -> bool:
    """Whether the kernels exist on this machine and for these sizes."""
    if n_fft % hop_length or not is_available():
        return False
    lanes = cpu().lanes
    return hop_length % lanes == 0 and (n_fft - hop_length) // 2 % lanes == 0


def reflected_frames(frames: Tensor, padded: Tensor, window: Tensor, hop_length: int) -> None:
    """Write the frames of a signal times the window into `frames`.

    The signal, [F * hop], lies in `padded` with (N - hop) / 2 values on either side, into which its
    reflection is written.   Shape: frames [F, N], padded [F * hop + N - hop], window [N].
    """
    kernel = compiled(_write_frames, hop_length, len(window))
    _run(kernel, frames, padded, window, len(frames))


def magnitudes(bins: Tensor, top: int) -> Tensor:
    """Magnitudes of the first `top` bins, as `magnitude` has them.   Shape: [F, K] → [F, top]."""
    made = torch.empty(len(bins), top)
    _run(compiled(_write_magnitudes), made, bins, *bins.shape, top)
    return made.sqrt_()  # torch's root is not the nearest float, as the processor's would be


def ratios(target: Tensor, current: Tensor) -> Tensor:
    """`(target / current.clamp_min(1e-6)).clamp(1e-3, 1e3)`. Overwrites `current`, its result."""
    _run(compiled(_write_ratios), current, target, current.numel())
    return current


def scale(bins: Tensor, gain: Tensor) -> None:
    """Multiply complex bins by a real gain, in place.   Shape: [F, K] each."""
    _run(compiled(_write_scaled), bins, gain, bins.numel())


def synthesis(
    audio: Tensor,
    ahead: Tensor,
    frames: Tensor,
    window: Tensor,
    *,
    before: Tensor | None = None,
    momentum: float = 0.0,
) -> None:
    """Write the signal of frames, not windowed yet, as `istft` has it with the padding "same".

    The signal plus its difference to the one before, times the momentum, is written into `ahead`.

    Shape: audio, ahead and before [F * hop], frames [F, N], window [N].
    """
    count, n_fft = frames.shape
    kernel = compiled(_write_synthesis, len(audio) // count, n_fft)
    earlier = frames if before is None else before  # without momentum, any finite numbers
    _run(kernel, audio, ahead, earlier, frames, window, count, momentum)


def _run(kernel: Kernel, *arguments: Tensor | float) -> None:
    kernel(*(x.data_ptr() if isinstance(x, Tensor) else x for x in arguments))


def _write_frames(code: Any, hop: int, size: int) -> None:
    """Arguments: frames, signal, window; number of frames."""
    made, signal, window, count = *(code.pointer(i) for i in range(3)), code.integer(3)
    room = (size - hop) // 2
    end = count * hop + room
    with code.range(1, room + 1) as i:
        code.store_first(signal, room - i, code.broadcast(signal, room + i))
        code.store_first(signal, end - 1 + i, code.broadcast(signal, end - 1 - i))
    with code.range(0, count) as frame, code.range(0, size, code.lanes) as i:
        value = code.load(signal, frame * hop + i) * code.load(window, i)
        code.store(made, frame * size + i, value)


def _write_magnitudes(code: Any) -> None:
    """Arguments: squared magnitudes, bins; number of frames, K, number of magnitudes of each."""
    made, bins = code.pointer(0), code.pointer(1)
    count, width, top = (code.integer(i) for i in range(2, 5))
    last = top - code.lanes  # the last vector overlaps the one before
    even, odd = (range(start, 2 * code.lanes, 2) for start in (0, 1))
    with code.range(0, count) as frame, code.range(0, top, code.lanes) as i:
        at = code.minimum(i, last)
        place = (frame * width + at) * 2
        a, b = code.load(bins, place), code.load(bins, place + code.lanes)
        real, imag = _chosen(code, a, b, even), _chosen(code, a, b, odd)
        code.store(made, frame * top + at, code.maximum(real * real + imag * imag, 1e-24))


def _write_ratios(code: Any) -> None:
    """Arguments: ratios, of what was there; targets; their number."""
    made, target, count = code.pointer(0), code.pointer(1), code.integer(2)
    whole = count // code.lanes * code.lanes

    def ratio(i: Any, load: Any) -> Any:
        value = load(target, i) / code.maximum(load(made, i), 1e-6)
        return code.minimum(code.maximum(value, 1e-3), 1e3)

    with code.range(0, whole, code.lanes) as i:
        code.store(made, i, ratio(i, code.load))
    with code.range(whole, count) as i:
        code.store_first(made, i, ratio(i, code.broadcast))


def _write_scaled(code: Any) -> None:
    """Arguments: bins, gains; number of bins."""
    bins, gains, count = code.pointer(0), code.pointer(1), code.integer(2)
    half = code.lanes // 2
    low, high = ([start + n // 2 for n in range(code.lanes)] for start in (0, half))
    whole = count // code.lanes * code.lanes
    with code.range(0, whole, code.lanes) as i:
        gain = code.load(gains, i)
        for place, order in ((i * 2, low), (i * 2 + code.lanes, high)):
            code.store(bins, place, code.load(bins, place) * _chosen(code, gain, gain, order))
    with code.range(whole, count) as i:
        gain = code.broadcast(gains, i)
        for part in (0, 1):
            place = i * 2 + part
            code.store_first(bins, place, code.broadcast(bins, place) * gain)


def _write_synthesis(code: Any, hop: int, size: int) -> None:
    """Arguments: signal, ahead, before, frames, window; number of frames, momentum."""
    made, ahead, before, frames, window = (code.pointer(i) for i in range(5))
    count, momentum = code.integer(5), code.scalar(6)
    cut, parts = (size - hop) // 2, size // hop
    with code.range(0, count * hop, code.lanes) as sample:
        place = sample + cut
        last = place // hop
        total, level = (code.variable(code.constant(0.0)) for _ in range(2))
        first = code.maximum(last - (parts - 1), 0)
        with code.range(first, code.minimum(last + 1, count)) as frame:  # the oldest first
            at = place - frame * hop
            weight = code.load(window, at)
            total.set(total.get() + code.load(frames, frame * size + at) * weight)
            level.set(level.get() + weight * weight)
        value = total.get() / code.maximum(level.get(), 1e-8)
        difference = value - code.load(before, sample)
        code.store(made, sample, value)
        code.store(ahead, sample, value + momentum * difference)


def _chosen(code: Any, a: Any, b: Any, order: Any) -> Any:
    """Lanes of two vectors, by their numbers."""
    from llvmlite import ir

    from vocoder.kernels.jit.values import Value

    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
    return Value(code, code.builder.shuffle_vector(a.ir, b.ir, mask))
