"""Loudness, and the difference in it, by the `pyloudnorm` package."""

import math

from torch import Tensor

from vocoder.errors import AudioError, ConfigError

_BLOCK_SECONDS = 0.4  # of ITU-R BS.1770


def loudness(audio: Tensor, sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4), −∞ below -70 LUFS throughout.

    A sound shorter than the blocks of 0.4 s is one block. Of more than five channels, the first
    five count. Raises ConfigError if pyloudnorm is missing.

    Shape: [C, T].
    """
    try:
        from pyloudnorm import Meter
    except ImportError as error:
        raise ConfigError("loudness needs pyloudnorm: pip install 'vocoder[eval]'") from error
    columns = audio.detach().cpu().double()[:5].T.numpy()
    if not columns.any():
        return -math.inf
    # Half a sample less: the quotient, multiplied by the rate, may round to more than there is.
    block = min(_BLOCK_SECONDS, (len(columns) - 0.5) / sample_rate)
    return float(Meter(sample_rate, block_size=block).integrated_loudness(columns))


def loudness_error(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Absolute difference of integrated loudness (ITU-R BS.1770-4) in LU; lower is better.

    1 LU is 1 dB. A single channel of weight 1; gated at -70 LUFS and 10 LU below the mean.

    Shape: [T], [T].   AudioError for less than 0.4 s, and where one is below the gate throughout.
    """
    if len(reference) < _BLOCK_SECONDS * sample_rate:
        raise AudioError(f"under {_BLOCK_SECONDS} s, too short for a loudness")
    levels = {}
    for name, audio in (("reference", reference), ("estimate", estimate)):
        levels[name] = loudness(audio[None], sample_rate)
        if not math.isfinite(levels[name]):
            raise AudioError(f"the {name} is quieter than -70 LUFS throughout, it has no loudness")
    return abs(levels["estimate"] - levels["reference"])
