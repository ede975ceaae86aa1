"""Multi-scale mel distance, the reconstruction loss of BigVGAN v2."""

import functools

import torch
from torch import Tensor

from vocoder.losses.spectral import MultiScaleMel

# Fixed here: a loss may be tuned, a reported metric may not.
_WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
_BANDS = (5, 10, 20, 40, 80, 160, 320)


def multi_scale_mel_error(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Sum over windows of mean absolute log10 differences of mel magnitudes; lower is better.

    Windows of 32, 64, … 2048 samples with hops of a quarter, and 5, 10, … 320 bands up to Nyquist
    (Slaney); magnitudes floored at 1e-5. At the file's own rate: compare only between files of one
    rate. Kumar et al. 2023 (DAC), with the settings of BigVGAN v2.

    Shape: [T], [T].
    """
    distance = _distance(sample_rate).to(reference.device)
    with torch.inference_mode():
        return float(distance(estimate[None, None], reference[None, None]))


@functools.cache
def _distance(sample_rate: int) -> MultiScaleMel:
    return MultiScaleMel(sample_rate=sample_rate, win_lengths=_WINDOWS, n_mels=_BANDS)
