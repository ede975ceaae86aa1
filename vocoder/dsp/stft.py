"""Short-time Fourier transform and its inverse with stated frame laws.

`padding` fixes where frame 0 lies and how many frames T samples give:

    "same"    frame f is centered on sample f * hop + hop / 2;  F = T // hop      (HiFi-GAN)
    "center"  frame f is centered on sample f * hop;            F = T // hop + 1  (librosa)

Synthesis has a third one: with "causal", frame f begins on sample f * hop.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = Literal["same", "center"]
SynthesisPadding = Literal["same", "center", "causal"]


def hann_window(win_length: int, n_fft: int) -> Tensor:
    """Periodic Hann window of `win_length`, centered in zeros.   Shape: [n_fft]."""
    window = torch.hann_window(win_length, dtype=torch.float64)
    left = (n_fft - win_length) // 2
    return F.pad(window, (left, n_fft - win_length - left)).float()


def padding_amounts(n_fft: int, hop_length: int, padding: Padding) -> tuple[int, int]:
    """Samples to add on the left and right so that the frame law of `padding` holds."""
    total = n_fft - hop_length if padding == "same" else n_fft
    return total // 2, total - total // 2


def pad_reflect(audio: Tensor, left: int, right: int) -> Tensor:
    """Pad both ends by reflection, repeated where the signal is shorter than the padding.

    Shape: [..., T] → [..., left + T + right], any T >= 1.
    """
    samples = audio.shape[-1]
    # The reflected signal has this period; a single sample is its own image.
    period = max(2 * (samples - 1), 1)
    # No branch on the length, so that torch.export takes any: torch's own padding refuses some.
    before = torch.arange(left, 0, -1, device=audio.device) % period
    after = torch.arange(samples, samples + right, device=audio.device) % period
    start = audio[..., torch.minimum(before, period - before)]
    end = audio[..., torch.minimum(after, period - after)]
    return torch.cat([start, audio, end], dim=-1)


def stft(
    audio: Tensor,
    window: Tensor,
    *,
    hop_length: int,
    padding: Padding = "same",
    mode: Literal["reflect", "constant"] = "reflect",
) -> Tensor:
    """Complex spectrogram of signals, with F frames by the law of `padding` above.

    Shape: [B, T] → [B, n_fft // 2 + 1, F].

    Args:
        audio: Mono signals.
        window: Window of n_fft samples.
        hop_length: Samples between frames.
        padding: Position of the frames.
        mode: What lies beyond the ends: the reflected signal or zeros.

    >>> stft(torch.zeros(1, 1024), hann_window(512, 512), hop_length=128).shape
    torch.Size([1, 257, 8])
    """
    n_fft = window.shape[-1]
    left, right = padding_amounts(n_fft, hop_length, padding)
    audio = pad_reflect(audio, left, right) if mode == "reflect" else F.pad(audio, (left, right))
    return torch.stft(
        audio, n_fft, hop_length, window=window, center=False, return_complex=True, onesided=True
    )


def magnitude(bins: Tensor, floor: float = 0.0) -> Tensor:
    """Magnitude of complex bins of any shape, √(re² + im² + floor), with a finite gradient at 0."""
    power = bins.real.square() + bins.imag.square()
    # Below, the second derivative of the root overflows float32: a magnitude of 1e-12, -240 dB,
    # which lies under every log floor in use, so that silence comes out as that floor.
    return torch.sqrt(power + floor) if floor else torch.sqrt(power.clamp_min(1e-24))


def overlap_add(frames: Tensor, hop_length: int, tail: Tensor | None = None) -> Tensor:
    """Sum frames placed `hop_length` apart.

    `tail` [B, T] is the sum of earlier frames from the start of these on, at most N - hop samples.
    The oldest frame is added first, so that rounding does not depend on the grouping of frames.

    Shape: [B, F, N] → [B, (F - 1) * hop + N].
    """
    batch, count, size = frames.shape
    parts = -(-size // hop_length)
    # A frame is `parts` hops long. Part r of all frames is one signal, r hops late: a few shifted
    # sums, several times faster than fold(), which adds the samples one by one.
    if size % hop_length:
        frames = F.pad(frames, (0, parts * hop_length - size))
    hops = frames.reshape(batch, count, parts, hop_length)
    length = (count + parts - 1) * hop_length
    if tail is None:
        total = frames.new_zeros(batch, length)
    else:
        total = F.pad(tail, (0, length - tail.shape[-1]))
    blocks = total.view(batch, -1, hop_length)
    for late in reversed(range(parts)):
        blocks[:, late : late + count].add_(hops[:, :, late])
    return total[:, : (count - 1) * hop_length + size]


def inverse_frames(spectrum: Tensor, window: Tensor) -> Tensor:
    """Windowed signal of each frame.   Shape: [B, n_fft // 2 + 1, F] → [B, F, n_fft]."""
    frames: Tensor = torch.fft.irfft(spectrum.transpose(1, 2), n=window.shape[-1]) * window
    return frames


def synthesis_cuts(n_fft: int, hop_length: int, padding: SynthesisPadding) -> tuple[int, int]:
    """Samples that `istft` cuts off the start and end of the overlap-added frames."""
    if padding == "causal":
        return 0, n_fft - hop_length
    return padding_amounts(n_fft, hop_length, padding)


def synthesis_envelope(
    window: Tensor, count: int, *, hop_length: int, padding: SynthesisPadding
) -> Tensor:
    """Sum of the squared windows of overlapping frames, by which `istft` divides.

    With "causal" it is the sum for frames without a beginning: that of the present frames falls to
    the zero of the window at the start, and dividing by it would make a click.

    Shape: [(count - 1) * hop + n_fft].
    """
    squares, n_fft = window.square(), window.shape[-1]
    if padding == "causal":
        period = F.pad(squares, (0, -n_fft % hop_length)).reshape(-1, hop_length)
        hops = period.sum(0).expand(count - 1 + len(period), hop_length)
        return hops.flatten()[: (count - 1) * hop_length + n_fft].clamp_min(1e-8)
    if torch.compiler.is_exporting():  # the shorter way below would tie the graph to a length
        return overlap_add(squares.expand(1, count, n_fft), hop_length)[0].clamp_min(1e-8)
    # Between the ends all hops are equal: a few frames are added, and a hop is repeated.
    parts = -(-n_fft // hop_length)
    added = torch.sym_min(count, parts)  # type: ignore[no-untyped-call]
    few = overlap_add(squares.expand(1, added, n_fft), hop_length)
    hops = F.pad(few, (0, parts * hop_length - n_fft)).reshape(-1, hop_length)
    at = torch.arange(count + parts - 1, device=window.device)
    rows = at.clamp(max=added - 1) + (at - (count - 1)).clamp(min=0)
    return hops[rows].flatten()[: (count - 1) * hop_length + n_fft].clamp_min(1e-8)


def istft(
    spectrum: Tensor, window: Tensor, *, hop_length: int, padding: SynthesisPadding = "same"
) -> Tensor:
    """Least-squares inverse of `stft` (Griffin and Lim 1984, eq. 6).

    With "causal" no sample depends on a later frame; frames before the first count as silent.

    Shape: [B, n_fft // 2 + 1, F] → [B, F * hop], [B, (F - 1) * hop] for "center".
    """
    left, right = synthesis_cuts(window.shape[-1], hop_length, padding)
    audio = overlap_add(inverse_frames(spectrum, window), hop_length)
    count = spectrum.shape[-1]
    envelope = synthesis_envelope(window, count, hop_length=hop_length, padding=padding)
    end = audio.shape[-1] - right
    return audio[:, left:end] / envelope[left:end]
