"""Loudness of sounds, and the gains by which several are heard equally loud."""

import math
from collections.abc import Sequence

from torch import Tensor

from vocoder.errors import ConfigError

_BLOCK_SECONDS = 0.4  # of ITU-R BS.1770; the whole of a shorter sound


def loudness(audio: Tensor, sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4, by pyloudnorm); −∞ for silence.

    Of more than five channels, the first five count. Raises ConfigError if pyloudnorm is missing.
    Shape: [C, T].
    """
    try:
        from pyloudnorm import Meter
    except ImportError as error:
        raise ConfigError("loudness needs pyloudnorm; pip install 'vocoder[eval]'") from error
    columns = audio.detach().cpu().double()[:5].T.numpy()
    if not columns.any():
        return -math.inf
    # Half a sample less: the quotient, multiplied by the rate, may round to more than there is.
    block = min(_BLOCK_SECONDS, (len(columns) - 0.5) / sample_rate)
    return float(Meter(sample_rate, block_size=block).integrated_loudness(columns))


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
