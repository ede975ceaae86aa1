"""Perceptual evaluation of speech quality, by the `pesq` package."""

import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.io.audio import resample_soxr

_RATE = 16000
# The reference code has room for 50 utterances and crashes the process at the next one. An
# utterance lasts at least 0.2 s and so does the pause after it: 20 s cannot contain more.
_LONGEST_SECONDS = 20.0


def pesq_wb(reference: Tensor, estimate: Tensor, sample_rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2) at 16 kHz, as MOS-LQO from 1.0 to 4.64; higher is better.

    Covers the band up to 8 kHz, tolerant of phase. Needs the `pesq` package (ConfigError without).

    Shape: [T], [T].   AudioError for what PESQ cannot score: silence, no utterance found in the
    reference, less than 0.25 s, more than 20 s.
    """
    try:
        import pesq
    except ImportError as error:
        raise ConfigError(
            'PESQ needs the pesq package; pip install "vocoder[train]" or leave pesq_wb out'
        ) from error
    if reference.shape[-1] > _LONGEST_SECONDS * sample_rate:
        raise AudioError(f"longer than {_LONGEST_SECONDS:.0f} s, PESQ may crash; cut it in pieces")
    if not reference.any() or not estimate.any():
        raise AudioError("a silent file has no PESQ")
    signals = resample_soxr(torch.stack([reference, estimate]), sample_rate, _RATE).cpu().numpy()
    try:
        return float(pesq.pesq(_RATE, signals[0], signals[1], "wb"))
    except pesq.PesqError as error:
        message = error.args[0] if error.args else type(error).__name__
        text = message.decode() if isinstance(message, bytes) else str(message)
        raise AudioError(f"PESQ: {text}") from error
