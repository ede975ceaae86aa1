"""`MelConsistency` with what lies between the transforms as compiled kernels."""

import torch
from torch import Tensor

from vocoder.dsp.stft import padding_amounts
from vocoder.generators.pitched.consistency import MelConsistency
from vocoder.kernels.chunk_invariant import chunk_invariant_linear
from vocoder.kernels.spectrogram import magnitudes, ratios, reflected_frames, scale, synthesis


def fused_consistency(
    network: MelConsistency, spectrum: Tensor, mel: Tensor, *, before: int, after: int
) -> Tensor:
    """`MelConsistency` of frames cut out of a longer signal, to the bit; on a CPU with kernels.

    The result lacks the first `before` and last `after` frames: `network.reach`, or fewer where the
    signal itself begins or ends. They are dropped bit by bit, as soon as nothing depends on them.
    Shape: spectrum [B, K, F] complex, mel [B, M, F] → [B, (F - before - after) * hop_length].
    """
    cuts = {"before": before, "after": after}
    items = zip(spectrum.mT.contiguous(), mel.mT.contiguous(), strict=True)
    return torch.stack([_inside(network, bins, target, **cuts) for bins, target in items])


def _inside(
    network: MelConsistency, bins: Tensor, target: Tensor, *, before: int, after: int
) -> Tensor:
    """One item. Shape: bins [F, K], target [F, M] → [(F - before - after) * hop_length]."""
    window, hop, n_fft = network.window, network.hop_length, len(network.window)
    left, right = (network.overlap if cut == network.reach else 0 for cut in (before, after))
    momentum = [*network.momentum.tolist()[1:], 0.0]
    exponents = network.exponent.tolist()
    room = padding_amounts(n_fft, hop, "same")[0]
    # The signal to be analysed, between room for its reflection; dropped frames move its ends.
    padded = torch.empty(2 * room + len(bins) * hop)
    audio, frames = torch.empty(len(bins) * hop), torch.empty(len(bins), n_fft)
    synthesis(audio, padded[room:-room], torch.fft.irfft(bins, n=n_fft), window)
    for step in range(network.iterations):
        reflected_frames(frames, padded, window, hop)
        bins = torch.fft.rfft(frames)
        current = chunk_invariant_linear(magnitudes(bins, network.top), network.bands)
        factor = ratios(target, current).log_().mul_(exponents[step]).exp_()
        scale(bins, chunk_invariant_linear(factor, network.spreading, network.uncovered))
        made = torch.fft.irfft(bins, n=n_fft)
        synthesis(audio, padded[room:-room], made, window, before=audio, momentum=momentum[step])
        if left or right:
            begin, end = left, len(target) - right
            target, frames = target[begin:end], frames[begin:end]
            audio = audio[begin * hop : end * hop]
            padded = padded[begin * hop : end * hop + 2 * room]
    begin = (before - left * network.iterations) * hop
    return audio[begin : len(audio) - (after - right * network.iterations) * hop]
