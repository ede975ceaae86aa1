"""The measures that a report holds, by name."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vocoder.evaluation.log_mel import log_mel_error
from vocoder.evaluation.periodicity import periodicity_rmse
from vocoder.evaluation.pesq import pesq_wb
from vocoder.evaluation.pitch import f0_median, f0_rmse, voicing_f1
from vocoder.evaluation.stft import stft_error


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure of an estimate against its reference, and how to show it.

    `score` takes (reference [T], estimate [T], sample_rate) and raises AudioError for a pair that
    it cannot measure.
    """

    label: str
    unit: str
    better: Literal["lower", "higher"]
    decimals: int
    score: Callable[[Tensor, Tensor, int], float]

    @property
    def definition(self) -> str:
        """What is measured, in full: the docstring of `score`."""
        return inspect.getdoc(self.score) or ""


METRICS: dict[str, Metric] = {
    "log_mel": Metric(
        label="log-mel L1", unit="Np", better="lower", decimals=3, score=log_mel_error
    ),
    "stft": Metric(label="MR-STFT", unit="", better="lower", decimals=3, score=stft_error),
    "f0_rmse": Metric(label="F0 RMSE", unit="cents", better="lower", decimals=1, score=f0_rmse),
    "f0_median": Metric(
        label="F0 median", unit="cents", better="lower", decimals=1, score=f0_median
    ),
    "voicing_f1": Metric(label="V/UV F1", unit="", better="higher", decimals=3, score=voicing_f1),
    "periodicity": Metric(
        label="periodicity", unit="", better="lower", decimals=3, score=periodicity_rmse
    ),
    "pesq_wb": Metric(label="PESQ-wb", unit="", better="higher", decimals=2, score=pesq_wb),
}
