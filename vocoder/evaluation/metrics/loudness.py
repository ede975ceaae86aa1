"""Difference in loudness, by the `pyloudnorm` package."""

import math

from torch import Tensor

from vocoder.errors import AudioError, ConfigError

_BLOCK_SECONDS = 0.4


def loudness_error(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Absolute difference of integrated loudness (ITU-R BS.1770-4) in LU; lower is better.

    1 LU is 1 dB. A single channel of weight 1; gated at -70 LUFS and 10 LU below the mean.

    Shape: [T], [T].   AudioError for less than 0.4 s, and where one is below the gate throughout.
    """
    try:
        import pyloudnorm
    except ImportError as error:
        raise ConfigError(
            "loudness needs the pyloudnorm package; pip install 'vocoder[eval]' or leave it out"
        ) from error
    if len(reference) < _BLOCK_SECONDS * sample_rate:
        raise AudioError(f"under {_BLOCK_SECONDS} s, too short for a loudness")
    meter = pyloudnorm.Meter(sample_rate, block_size=_BLOCK_SECONDS)
    levels = {}
    for name, audio in (("reference", reference), ("estimate", estimate)):
        levels[name] = float(meter.integrated_loudness(audio.cpu().double().numpy()))
        if not math.isfinite(levels[name]):
            raise AudioError(f"the {name} is quieter than -70 LUFS throughout, it has no loudness")
    return abs(levels["estimate"] - levels["reference"])
