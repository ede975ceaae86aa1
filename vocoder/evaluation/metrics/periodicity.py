"""Difference in periodicity."""

import torch
from torch import Tensor

from vocoder.dsp.pitch import autocorrelation, lags_per_sample
from vocoder.errors import AudioError

_F_MIN, _F_MAX = 60.0, 600.0
_AUDIBLE = 1e-3  # -60 dB: the periodicity of quieter frames is that of their noise


def periodicity_rmse(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Root mean square difference of periodicity, 0 to 1; lower is better.

    Periodicity is the highest normalised autocorrelation (Boersma 1993) of a frame between 60 and
    600 Hz, every 10 ms, over frames less than 60 dB below the reference's loudest. The idea is
    Morrison et al.'s (2022, CARGAN); theirs is a neural tracker's, so scores are not comparable.

    Shape: [T], [T].   AudioError for a silent reference.
    """
    correlation, level = autocorrelation(
        torch.stack([reference, estimate]),
        sample_rate=sample_rate,
        hop_length=round(0.01 * sample_rate),
        f_min=_F_MIN,
    )
    if not level[0].any():
        raise AudioError("the reference is silent, its periodicity is undefined")
    lag_rate = sample_rate * lags_per_sample(sample_rate)
    lags = slice(round(lag_rate / _F_MAX), round(lag_rate / _F_MIN) + 1)
    truth, claim = correlation[..., lags].amax(-1).clamp(0.0, 1.0)
    audible = level[0] > _AUDIBLE * level[0].max()
    return float((claim - truth)[audible].square().mean().sqrt())
