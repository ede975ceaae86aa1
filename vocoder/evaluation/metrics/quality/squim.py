"""Quality of speech without a reference, by the networks SQUIM of `torchaudio`."""

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.io.audio import resample_soxr
from vocoder.io.untrusted import first_line


class SquimScores(NamedTuple):
    """What SQUIM estimates of a signal: STOI, wide-band PESQ, and SI-SDR in dB."""

    stoi: float
    pesq: float
    si_sdr: float


def squim_scores(reference: Tensor, estimate: Tensor, sample_rate: int) -> SquimScores:
    """What SQUIM estimates of the estimate alone.

    Shape: [T], [T].   AudioError for silence, ConfigError without torchaudio or its weights.
    """
    if not estimate.any():
        raise AudioError("a silent file has no SQUIM")
    model, rate = _model()
    with torch.inference_mode():
        scores = model(resample_soxr(estimate[None].cpu(), sample_rate, rate))
    return SquimScores(*(float(score) for score in scores))


def squim_stoi(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: SquimScores | None = None
) -> float:
    """STOI as SQUIM estimates it from the estimate alone, 0 to 1; higher is better.

    Kumar et al. 2023 (TorchAudio-Squim), the objective model at 16 kHz; needs torchaudio, which
    downloads its weights once.

    Shape: [T], [T].   AudioError for silence, ConfigError without torchaudio or its weights.
    """
    return (analysis or squim_scores(reference, estimate, sample_rate)).stoi


def squim_pesq(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: SquimScores | None = None
) -> float:
    """Wide-band PESQ as SQUIM estimates it from the estimate alone, 1 to 4.6; higher is better.

    As `squim_stoi`.

    Shape: [T], [T].   AudioError for silence, ConfigError without torchaudio or its weights.
    """
    return (analysis or squim_scores(reference, estimate, sample_rate)).pesq


def squim_si_sdr(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, analysis: SquimScores | None = None
) -> float:
    """SI-SDR as SQUIM estimates it from the estimate alone, in dB; higher is better.

    As `squim_stoi`.

    Shape: [T], [T].   AudioError for silence, ConfigError without torchaudio or its weights.
    """
    return (analysis or squim_scores(reference, estimate, sample_rate)).si_sdr


@functools.cache
def _model() -> tuple[Any, int]:
    """The network and its sample rate, loaded once per process."""
    try:
        from torchaudio.pipelines import SQUIM_OBJECTIVE
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"SQUIM needs torchaudio, which cannot be loaded ({first_line(error)}); install the "
            "build that matches torch, or leave out the squim metrics"
        ) from error
    try:
        model = SQUIM_OBJECTIVE.get_model()
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"torchaudio cannot load the weights of SQUIM ({first_line(error)}); it downloads them "
            "once: leave out the squim metrics without network"
        ) from error
    return model, int(SQUIM_OBJECTIVE.sample_rate)
