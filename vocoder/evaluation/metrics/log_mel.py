"""Log-mel distance."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import resample_soxr

REFERENCE_SPEC = MelSpec.preset("hifigan_22k_80")


def log_mel_error(
    reference: Tensor,
    estimate: Tensor,
    sample_rate: int,
    *,
    spec: MelSpec = REFERENCE_SPEC,
    analysis: Tensor | None = None,
) -> float:
    """Mean absolute difference of log-mel magnitudes, in nepers (1 Np = 8.7 dB); lower is better.

    Both signals are resampled to the rate of `spec`. Reports use its default, hifigan_22k_80 (22.05
    kHz, 80 bands up to 8 kHz, magnitudes floored at 1e-5), for all models whatever their own mel
    is, so that scores are comparable.

    Shape: [T], [T].
    """
    if analysis is None:
        analysis = log_mels(reference, estimate, sample_rate, spec)
    real, fake = analysis
    return F.l1_loss(fake, real).item()


def log_mels(
    reference: Tensor, estimate: Tensor, sample_rate: int, spec: MelSpec = REFERENCE_SPEC
) -> Tensor:
    """Log-mels of both in nepers of magnitude, whatever the spec stores.

    Shape: [T], [T] → [2, M, F].
    """
    nepers = dataclasses.replace(spec, log="ln", mean=(), scale=())
    signals = resample_soxr(torch.stack([reference, estimate]), sample_rate, spec.sample_rate)
    mel: Tensor = MelSpectrogram(nepers).to(signals.device)(signals[:, None])
    return mel / spec.power
