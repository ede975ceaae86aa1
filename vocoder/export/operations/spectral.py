"""Short-time Fourier transforms as ONNX nodes, cheaply and for every runtime.

Few runtimes have ONNX's DFT operator, and a transform as one matrix costs N² products a frame. Here
it is two stages of small matrices (Cooley and Tukey 1965). With N = P Q, n = Q p + q and
k = i + P j,

    X[k] = Σ_q exp(-2πi q (i / N + j / Q)) Σ_p x[n] exp(-2πi p i / P).

The inner sum of real samples is needed for i = 0 … P / 2 only, which gives half of the bins; the
others are the conjugates of bins N - k. The twiddle factors are part of the outer matrix, one for
each i. That is N (P + 2 Q) products a frame: 96 N for N = 1024, where one matrix has 1026 N.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vocoder.dsp.stft import synthesis_cuts
from vocoder.export.graph import END, Complex, GraphBuilder, GraphTensor

Result = Any
_DENSE = 64  # transforms up to this size are one matrix


class _Stages(NamedTuple):
    """Matrices of a forward transform and its inverse, and where its bins stand."""

    inner: Tensor  # [(P / 2 + 1) 2, P]; of the inverse, its transpose
    outer: Tensor  # [P / 2 + 1, 1, 2 Q, 2 Q]
    bins: Tensor  # [2, K]: position of the parts of bin k in the result
    inverse_outer: Tensor  # [P / 2 + 1, 1, 2 Q, 2 Q]
    used: Tensor  # [(P / 2 + 1) 2 Q]: where the inputs of the inverse stand in its spectrum


def factors(n_fft: int) -> tuple[int, int] | None:
    """P and Q of the cheapest two stages; None where one matrix is as good."""
    pairs = [(p, n_fft // p) for p in range(2, n_fft, 2) if n_fft % p == 0]
    best = min(pairs, key=lambda pair: pair[0] + 2 * pair[1], default=(n_fft, 1))
    return best if n_fft > _DENSE and best[0] + 2 * best[1] < n_fft else None


def _circle(numerator: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of numerator / n turns, exactly zero where they should be.

    Else the first and the last bin of a real signal would not be real, and their phase arbitrary.
    """
    turns = (numerator % n).double()
    cosine, sine = ((2.0 * math.pi / n * turns).cos(), (2.0 * math.pi / n * turns).sin())
    cosine[(4 * numerator) % (4 * n) == n] = 0.0
    cosine[(4 * numerator) % (4 * n) == 3 * n] = 0.0
    sine[(2 * numerator) % n == 0] = 0.0
    return cosine, sine


def _rotation(cosine: Tensor, sine: Tensor) -> Tensor:
    """Matrices that multiply rows (re, im) by cosine + 1j sine. [.., A, C] → [.., 2 A, 2 C]."""
    return torch.cat([torch.cat([cosine, sine], -1), torch.cat([-sine, cosine], -1)], -2)


def _stages(n_fft: int, p: int, q: int) -> _Stages:
    half, count = p // 2 + 1, n_fft // 2 + 1
    i, j = torch.arange(half), torch.arange(q)
    cosine, sine = _circle(torch.outer(i, torch.arange(p)), p)
    inner = torch.stack([cosine, -sine], dim=1).flatten(0, 1)  # [half 2, P]
    k = i[:, None] + p * j  # [half, Q]
    cosine, sine = _circle(j[None, :, None] * k[:, None], n_fft)  # [half, q, j]
    mirrored = k > n_fft // 2
    outer = _rotation(cosine, -sine)
    outer[..., q:] *= torch.where(mirrored, -1.0, 1.0)[:, None]
    position = torch.where(mirrored, n_fft - k, k)
    bins = torch.empty(count, dtype=torch.long)
    bins[position.flatten()] = (2 * q * i[:, None] + j).flatten()
    inverse = _rotation(cosine.transpose(1, 2), sine.transpose(1, 2))
    # The imaginary parts of the first and the last bin are ignored, as by torch.fft.irfft.
    sign = torch.where(mirrored, -1.0, 1.0) * (position % (n_fft // 2) != 0)
    inverse[:, q:] *= sign[..., None]
    # Bins i and P - i add the same real part.
    weight = torch.where(i % (p // 2) == 0, 1.0, 2.0) / n_fft
    inverse *= weight[:, None, None]
    used = torch.stack([position, position + count], dim=1).flatten()
    return _Stages(inner, outer[:, None], torch.stack([bins, bins + q]), inverse[:, None], used)


def rfft(b: GraphBuilder, frames: str, n_fft: int, dtype: torch.dtype) -> tuple[str, str]:
    """Spectrum of real frames.   Shape: [B, F, N] → real and imaginary part [B, K, F]."""
    if b.use_dft:
        made = _dft(b, b.op("Unsqueeze", frames, b.ints(-1)), onesided=1)  # [B, F, K, 2]
        both = b.transpose(made, 3, 0, 2, 1)
        return _halves(b, both)
    split = factors(n_fft)
    if split is None:
        cosine, sine = _circle(
            torch.outer(torch.arange(n_fft), torch.arange(n_fft // 2 + 1)), n_fft
        )
        matrices = torch.stack([cosine, -sine])[:, None]  # [2, 1, N, K]
        product = b.op("MatMul", frames, b.const(matrices, dtype))
        return _halves(b, b.transpose(product, 0, 1, 3, 2))
    (p, q), stages = split, _stages(n_fft, *split)
    inner = b.op("MatMul", b.const(stages.inner, dtype), b.reshape(frames, 0, 0, p, q))
    inner = b.reshape(inner, 0, 0, p // 2 + 1, 2 * q)
    inner = b.transpose(inner, 2, 0, 1, 3)  # [half, B, F, 2 Q]
    outer = b.op("MatMul", inner, b.const(stages.outer, dtype))
    outer = b.reshape(b.transpose(outer, 1, 0, 3, 2), 0, (p // 2 + 1) * 2 * q, -1)
    real, imag = (b.op("Gather", outer, b.const(rows), axis=1) for rows in stages.bins)
    return real, imag


def irfft(b: GraphBuilder, spectrum: tuple[str, str | None], n_fft: int, dtype: torch.dtype) -> str:
    """Real frames of spectra, whose imaginary part may be None for zero. [B, K, F] → [B, F, N]."""
    real = spectrum[0]
    imag = spectrum[1] or b.op("Sub", real, real)
    if b.use_dft:
        return _inverse_dft(b, real, imag)
    both = b.concat([real, imag], 1)  # [B, 2 K, F]
    split = factors(n_fft)
    if split is None:
        count = n_fft // 2 + 1
        k = torch.arange(count)
        cosine, sine = _circle(torch.outer(k, torch.arange(n_fft)), n_fft)
        weight = torch.where(k % (n_fft // 2) == 0, 1.0, 2.0)[:, None] / n_fft
        matrix = torch.cat([weight * cosine, -weight * sine])  # [2 K, N]
        return b.op("MatMul", b.transpose(both, 0, 2, 1), b.const(matrix, dtype))
    (p, q), stages = split, _stages(n_fft, *split)
    rows = b.op("Gather", both, b.const(stages.used), axis=1)
    rows = b.transpose(b.reshape(rows, 0, p // 2 + 1, 2 * q, -1), 1, 0, 3, 2)  # [half, B, F, 2 Q]
    outer = b.op("MatMul", rows, b.const(stages.inverse_outer, dtype))
    outer = b.transpose(outer, 1, 2, 0, 3)  # [B, F, half, 2 Q]
    outer = b.reshape(outer, 0, 0, 2 * (p // 2 + 1), q)
    inner = b.op("MatMul", b.const(stages.inner.T, dtype), outer)  # [B, F, P, Q]
    return b.reshape(inner, 0, 0, n_fft)


def _halves(b: GraphBuilder, both: str) -> tuple[str, str]:
    """The parts of a tensor whose first axis has two."""
    real, imag = (b.op("Gather", both, b.const(part, torch.int64), axis=0) for part in (0, 1))
    return real, imag


def _dft(b: GraphBuilder, signal: str, **attributes: int) -> str:
    """ONNX's DFT over the last axis but one, which versions before 20 take as an attribute."""
    if b.opset < 20:
        return b.op("DFT", signal, axis=2, **attributes)
    return b.op("DFT", signal, None, b.const(2, torch.int64), **attributes)


def _inverse_dft(b: GraphBuilder, real: str, imag: str) -> str:
    """Frames by the DFT operator, which wants the whole spectrum. Shape: [B, K, F] → [B, F, N]."""
    whole = []
    for part, flip in ((real, False), (imag, True)):
        # Without the first and the last bin, backwards: from the last but one to the second.
        rest = b.slice(b.slice(part, 1, 1, -1), 1, -1, -END, -1)
        whole.append(b.concat([part, b.op("Neg", rest) if flip else rest], 1))
    pairs = [b.op("Unsqueeze", b.transpose(part, 0, 2, 1), b.ints(-1)) for part in whole]
    made = _dft(b, b.concat(pairs, -1), inverse=1)
    return b.op("Gather", made, b.const(0, torch.int64), axis=3)


def frames_of(b: GraphBuilder, audio: GraphTensor, size: int, hop_length: int) -> str:
    """Overlapping frames.   Shape: [B, T] → [B, F, size], F = (T - size) // hop_length + 1."""
    parts = -(-size // hop_length)
    samples = b.ints(b.size(audio, 1))
    hop = b.ints(hop_length)
    count = b.op("Div", b.op("Sub", samples, b.ints(size)), hop)  # F - 1
    end = b.op("Mul", b.op("Add", count, b.ints(parts)), hop)
    padded = b.pad(audio.name, 2, 1, 0, parts * hop_length, "constant")
    whole = b.op("Slice", padded, b.ints(0), end, b.ints(1))
    hops = b.reshape(whole, 0, -1, hop_length)
    pieces = [
        b.slice(hops, 1, late, late + 1 - parts if late + 1 < parts else END)
        for late in range(parts)
    ]
    frames = b.concat(pieces, 2)
    return frames if parts * hop_length == size else b.slice(frames, 2, 0, size)


def overlapped(b: GraphBuilder, frames: str, size: int, hop_length: int) -> str:
    """Overlap-add.   Shape: [B, F, size] → [B, F + parts - 1, hop_length]."""
    parts = -(-size // hop_length)
    if parts * hop_length != size:
        frames = b.pad(frames, 3, 2, 0, parts * hop_length - size, "constant")
    signals = []
    for late in range(parts):
        part = b.slice(frames, 2, late * hop_length, (late + 1) * hop_length)
        signals.append(b.pad(part, 3, 1, late, parts - 1 - late, "constant"))
    return b.sum(signals[::-1])


def _window(b: GraphBuilder, window: Tensor, dtype: torch.dtype) -> str:
    return b.const(window.to(dtype))


def stft(
    b: GraphBuilder,
    input: GraphTensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    **_: Any,
) -> Result:
    """`torch.stft` without padding, which our `stft` adds before."""
    if center or not isinstance(window, Tensor) or len(window) != n_fft or input.ndim != 2:
        raise NotImplementedError("of this kind")
    frames = frames_of(b, input, n_fft, hop_length or n_fft // 4)
    windowed = b.op("Mul", frames, _window(b, window, input.dtype))
    return rfft(b, windowed, n_fft, input.dtype)


def istft(
    b: GraphBuilder,
    spectrum: Complex,
    window: Tensor,
    *,
    hop_length: int,
    padding: Any = "same",
) -> Result:
    """Inverse of `vocoder.dsp.stft.stft`, as `vocoder.dsp.stft.istft`."""
    dtype, n_fft = spectrum.real.dtype, len(window)
    frames = irfft(b, (spectrum.real.name, spectrum.imag.name), n_fft, dtype)
    frames = b.op("Mul", frames, _window(b, window, dtype))
    blocks = overlapped(b, frames, n_fft, hop_length)
    squares = window.square().to(dtype)
    if padding == "causal":  # that of frames without a beginning
        whole = torch.nn.functional.pad(squares, (0, -n_fft % hop_length))
        level = b.const(whole.reshape(-1, hop_length).sum(0))
    else:
        count = b.size(spectrum.real, 2)
        each = b.op("Expand", b.const(squares[None, None]), b.ints(1, count, 1))
        level = overlapped(b, each, n_fft, hop_length)
    least = b.const(1e-8, dtype)
    audio = b.reshape(b.op("Div", blocks, b.op("Max", level, least)), 0, -1)
    left, right = synthesis_cuts(n_fft, hop_length, padding)
    right += -n_fft % hop_length
    return b.slice(audio, 1, left, -right if right else END)


def minimum_phase(b: GraphBuilder, log_magnitude: GraphTensor) -> Result:
    """As `vocoder.dsp.excitation.minimum_phase`."""
    dtype, bins = log_magnitude.dtype, log_magnitude.shape[1]
    assert bins is not None
    n_fft = 2 * (bins - 1)
    cepstrum = irfft(b, (log_magnitude.name, None), n_fft, dtype)  # [B, F, N]
    fold = torch.zeros(n_fft, dtype=dtype)
    fold[0] = fold[n_fft // 2] = 1.0
    fold[1 : n_fft // 2] = 2.0
    return rfft(b, b.op("Mul", cepstrum, b.const(fold)), n_fft, dtype)[1]


SPECTRAL = {"stft": stft, "istft": istft, "minimum_phase": minimum_phase}
"""Converters by the name of the function."""
