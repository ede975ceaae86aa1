"""Perceptual evaluation of speech quality, by the `pesq` package."""

import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.io.audio import resample_soxr

_WIDE_RATE, _NARROW_RATE = 16000, 8000
# The reference code has room for 50 utterances and crashes the process at the next one. An
# utterance lasts at least 0.2 s and so does the pause after it: 20 s cannot contain more.
_LONGEST_SECONDS = 20.0


def pesq_wb(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2) at 16 kHz, as MOS-LQO from 1.0 to 4.64; higher is better.

    Covers the band up to 8 kHz, tolerant of phase. Needs the `pesq` package (ConfigError without).

    Shape: [T], [T].   AudioError for what PESQ cannot score: silence, no utterance found in the
    reference, less than 0.25 s, more than 20 s.
    """
    return _pesq(reference, estimate, sample_rate, _WIDE_RATE, "wb")


def pesq_nb(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Narrow-band PESQ (ITU-T P.862.1) at 8 kHz, as MOS-LQO from 1.0 to 4.55; higher is better.

    Covers the telephone band, 300 to 3400 Hz, tolerant of phase. Needs the `pesq` package
    (ConfigError without).

    Shape: [T], [T].   AudioError for what PESQ cannot score: silence, no utterance found in the
    reference, less than 0.25 s, more than 20 s.
    """
    return _pesq(reference, estimate, sample_rate, _NARROW_RATE, "nb")


def _pesq(reference: Tensor, estimate: Tensor, sample_rate: int, rate: int, mode: str) -> float:
    try:
        import pesq
    except ImportError as error:
        raise ConfigError(
            f'PESQ needs the pesq package; pip install "vocoder[train]" or leave pesq_{mode} out'
        ) from error
    if reference.shape[-1] > _LONGEST_SECONDS * sample_rate:
        raise AudioError(f"longer than {_LONGEST_SECONDS:.0f} s, PESQ may crash; cut it in pieces")
    if not reference.any() or not estimate.any():
        raise AudioError("a silent file has no PESQ")
    signals = resample_soxr(torch.stack([reference, estimate]), sample_rate, rate).cpu().numpy()
    try:
        return float(pesq.pesq(rate, signals[0], signals[1], mode))
    except pesq.PesqError as error:
        message = error.args[0] if error.args else type(error).__name__
        text = message.decode() if isinstance(message, bytes) else str(message)
        raise AudioError(f"PESQ: {text}") from error
