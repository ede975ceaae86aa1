"""Resolutions of the short-time spectra of multi-resolution losses and discriminators."""

from collections.abc import Sequence
from typing import NamedTuple

from vocoder.errors import ConfigError


class Resolution(NamedTuple):
    """Size, hop and window length of a short-time spectrum, in samples."""

    n_fft: int
    hop_length: int
    win_length: int


# Yamamoto et al. 2020 (Parallel WaveGAN), sec. 3; adopted by UnivNet, BigVGAN and others.
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))


def resolutions_from(values: Sequence[Sequence[int]]) -> list[Resolution]:
    """Check triples (n_fft, hop_length, win_length) of a config and convert them to `Resolution`s.

    Raises ConfigError for an empty list or unless 0 < hop_length <= win_length <= n_fft.
    """
    if not values:
        raise ConfigError("resolutions is empty; give (n_fft, hop_length, win_length) triples")
    for value in values:
        if len(value) != 3 or not 0 < value[1] <= value[2] <= value[0]:
            raise ConfigError(
                f"resolution {list(value)} is not (n_fft, hop_length, win_length) "
                "with hop_length <= win_length <= n_fft"
            )
    return [Resolution(*value) for value in values]
