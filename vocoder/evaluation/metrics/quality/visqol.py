"""Virtual speech quality objective listener, by the `visqol-python` package."""

import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.io.audio import resample_soxr

_RATE = 48000


def visqol(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """ViSQOL v3 in its audio mode at 48 kHz, as MOS-LQO from 1.0 to 4.73; higher is better.

    Covers the whole band, tolerant of level and phase (Chinen et al. 2020). Needs the package
    visqol-python (ConfigError without it), a port of Google's program.

    Shape: [T], [T].   AudioError for silence, and for what is too short for it.
    """
    try:
        from visqol import VisqolApi
    except ImportError as error:
        raise ConfigError(
            "ViSQOL needs another package; pip install visqol-python or leave visqol out"
        ) from error
    if not reference.any() or not estimate.any():
        raise AudioError("a silent file has no ViSQOL")
    signals = resample_soxr(torch.stack([reference, estimate]), sample_rate, _RATE).cpu().double()
    real, fake = signals.numpy()
    api = VisqolApi()
    api.create(mode="audio")
    try:
        return float(api.measure_from_arrays(real, fake, sample_rate=_RATE).moslqo)
    except (ValueError, IndexError) as error:
        raise AudioError(f"ViSQOL: {error}") from error
