"""Quality of speech without a reference, by networks whose ONNX files are given: DNSMOS, UTMOS."""

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.onnx_session import open_session
from vocoder.io.audio import resample_soxr
from vocoder.io.untrusted import first_line

_RATE = 16000
_WINDOW = 144160  # samples that DNSMOS takes: 9.01 s
_SHORTEST_SECONDS = 0.25
# MOS from the outputs of DNSMOS P.835: coefficients of x², x and 1.
_POLYNOMIALS = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


class OnnxNetwork:
    """A network from audio at 16 kHz, [1, T], to numbers; opened at its first use in a process.

    Raises ConfigError if there is no such file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; weights are given as NAME=FILE.onnx")
        self.path = path

    def __call__(self, audio: NDArray[np.float32]) -> NDArray[np.float64]:
        """All numbers that it gives.

        Shape: [T] → [N].   ConfigError if it cannot be opened or run.
        """
        name = self._session.get_inputs()[0].name
        try:
            (output, *_) = self._session.run(None, {name: audio[None]})
        except Exception as error:  # of onnxruntime, whatever the model does
            raise ConfigError(f"{self.path}: fails ({first_line(error)})") from error
        return np.asarray(output, dtype=np.float64).reshape(-1)

    def __getstate__(self) -> dict[str, Any]:
        """What other processes are sent; each opens the file itself."""
        return {"path": self.path}

    @cached_property
    def _session(self) -> Any:
        return open_session(self.path, "scores by a network")


class DnsmosScores(NamedTuple):
    """Mean opinion scores by DNSMOS P.835: of the speech, of the background, and overall."""

    speech: float
    background: float
    overall: float


def dnsmos_scores(
    reference: Tensor, estimate: Tensor, sample_rate: int, *, model: OnnxNetwork
) -> DnsmosScores:
    """What DNSMOS says of the estimate alone.

    Shape: [T], [T].   AudioError for silence and less than 0.25 s.
    """
    audio = _at_16k(estimate, sample_rate)
    while len(audio) < _WINDOW:
        audio = np.concatenate([audio, audio])
    windows = max(1, len(audio) // _RATE - _WINDOW // _RATE)  # as the published script counts
    starts = range(0, windows * _RATE, _RATE)
    outputs = [model(audio[start : start + _WINDOW]) for start in starts]
    if outputs[0].shape != (3,):
        raise ConfigError(
            f"{model.path}: gives {outputs[0].size} numbers; DNSMOS P.835 gives three, it is the "
            "file sig_bak_ovr.onnx"
        )
    mean = [
        np.mean([np.polyval(polynomial, output[place]) for output in outputs])
        for place, polynomial in enumerate(_POLYNOMIALS)
    ]
    return DnsmosScores(*map(float, mean))


def dnsmos_overall(
    reference: Tensor,
    estimate: Tensor,
    sample_rate: int,
    *,
    model: OnnxNetwork,
    analysis: DnsmosScores | None = None,
) -> float:
    """DNSMOS P.835, overall quality of the estimate alone, MOS from 1 to 5; higher is better.

    Reddy et al. 2022, the published sig_bak_ovr.onnx with its polynomials, at 16 kHz, the mean over
    windows of 9.01 s every second; shorter files are repeated.

    Shape: [T], [T].   AudioError for silence and less than 0.25 s.
    """
    return (analysis or dnsmos_scores(reference, estimate, sample_rate, model=model)).overall


def dnsmos_speech(
    reference: Tensor,
    estimate: Tensor,
    sample_rate: int,
    *,
    model: OnnxNetwork,
    analysis: DnsmosScores | None = None,
) -> float:
    """DNSMOS P.835, quality of the estimate's speech, MOS from 1 to 5; higher is better.

    As `dnsmos_overall`.

    Shape: [T], [T].   AudioError for silence and less than 0.25 s.
    """
    return (analysis or dnsmos_scores(reference, estimate, sample_rate, model=model)).speech


def dnsmos_background(
    reference: Tensor,
    estimate: Tensor,
    sample_rate: int,
    *,
    model: OnnxNetwork,
    analysis: DnsmosScores | None = None,
) -> float:
    """DNSMOS P.835, quality of the estimate's background, MOS from 1 to 5; higher is better.

    As `dnsmos_overall`.

    Shape: [T], [T].   AudioError for silence and less than 0.25 s.
    """
    return (analysis or dnsmos_scores(reference, estimate, sample_rate, model=model)).background


def utmos(reference: Tensor, estimate: Tensor, sample_rate: int, *, model: OnnxNetwork) -> float:
    """UTMOS, naturalness of the estimate alone, MOS from 1 to 5; higher is better.

    Saeki et al. 2022, by an ONNX file that maps a waveform [1, T] at 16 kHz to one score.

    Shape: [T], [T].   AudioError for silence and less than 0.25 s.
    """
    output = model(_at_16k(estimate, sample_rate))
    if output.shape != (1,):
        raise ConfigError(f"{model.path}: gives {output.size} numbers, UTMOS gives one score")
    return float(output[0])


def _at_16k(estimate: Tensor, sample_rate: int) -> NDArray[np.float32]:
    if not estimate.any():
        raise AudioError("a silent file has no quality that a network could tell")
    if len(estimate) < _SHORTEST_SECONDS * sample_rate:
        raise AudioError(f"under {_SHORTEST_SECONDS} s, too short for a network of speech quality")
    signal: NDArray[np.float32] = (
        resample_soxr(estimate[None], sample_rate, _RATE)[0].to(torch.float32).cpu().numpy()
    )
    return signal
