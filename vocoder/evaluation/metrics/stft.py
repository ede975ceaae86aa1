"""Multi-resolution STFT distance."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.stft import hann_window, stft
from vocoder.errors import AudioError

# (n_fft, hop_length, win_length), fixed here: a loss may be tuned, a reported metric may not.
_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
_FLOOR = 1e-4


def stft_error(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Spectral convergence plus mean log-magnitude difference (nepers); no unit, lower is better.

    The mean over the resolutions (n_fft, hop, window) = (1024, 120, 600), (2048, 240, 1200), (512,
    50, 240) in samples at the file's own rate, Hann window, magnitudes floored at 1e-4: compare
    only between files of one rate. Yamamoto et al. 2020 (Parallel WaveGAN), eq. 4 to 6, with the
    constants under which BigVGAN reports M-STFT.

    Shape: [T], [T].   AudioError for a silent reference, where convergence has no meaning.
    """
    if not reference.any():
        raise AudioError("the reference is silent, spectral convergence is undefined")
    signals = torch.stack([reference, estimate])
    errors = [_single(signals, *resolution) for resolution in _RESOLUTIONS]
    return torch.stack(errors).mean().item()


def _single(signals: Tensor, n_fft: int, hop_length: int, win_length: int) -> Tensor:
    window = hann_window(win_length, n_fft).to(signals.device)
    bins = stft(signals, window, hop_length=hop_length, padding="center")
    magnitudes = bins.abs().clamp_min(_FLOOR)
    reference, estimate = magnitudes[0], magnitudes[1]  # each [K, F]
    error = (reference - estimate).square().sum().sqrt()
    convergence = error / reference.square().sum().sqrt()
    return convergence + F.l1_loss(estimate.log(), reference.log())
