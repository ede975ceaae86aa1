"""The gains by which several sounds are heard equally loud."""

import math
from collections.abc import Sequence

from torch import Tensor

from vocoder.evaluation.metrics.loudness import loudness


def matching_gains(sounds: Sequence[Tensor], sample_rates: Sequence[int]) -> list[float | None]:
    """Gains in dB that give all sounds the loudness of the first, at peaks within full scale.

    Where one would exceed full scale, all are lowered alike. None for a sound that cannot be
    matched, because it or the first is silent: it plays as it is. Shape of each sound: [C, T].

    >>> import torch
    >>> noise = 0.1 * torch.randn(1, 16000)
    >>> [round(gain, 3) for gain in matching_gains([noise, noise / 2], [16000, 16000])]
    [0.0, 6.021]
    """
    levels = [loudness(*each) for each in zip(sounds, sample_rates, strict=True)]
    gains = [levels[0] - level for level in levels]
    matched = [math.isfinite(gain) for gain in gains]
    peaks = [20.0 * math.log10(float(s.detach().abs().max()) or 1e-9) for s in sounds]
    after = [g + p for g, p, known in zip(gains, peaks, matched, strict=True) if known]
    excess = max([0.0, *after])
    return [gain - excess if known else None for gain, known in zip(gains, matched, strict=True)]
