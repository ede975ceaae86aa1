"""All metrics by name, and the default sets for vocoders and for bandwidth extension."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.evaluation.metrics.log_mel import log_mel_error
from vocoder.evaluation.metrics.periodicity import periodicity_rmse
from vocoder.evaluation.metrics.pesq import pesq_wb
from vocoder.evaluation.metrics.pitch import f0_median, f0_rmse, voicing_f1
from vocoder.evaluation.metrics.spectral import lsd, lsd_high, snr_low, spectral_convergence
from vocoder.evaluation.metrics.stft import stft_error
from vocoder.evaluation.metrics.visqol import visqol

Score = Callable[[Tensor, Tensor, int], float]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: a function that scores an estimate against its reference, and how to show it."""

    label: str
    """Name in the headings of tables."""
    unit: str
    """Unit of the score; empty if it has none."""
    better: Literal["lower", "higher"]
    """Which scores are better."""
    decimals: int
    """Number of decimals in tables."""
    score: Callable[..., float]
    """(reference [T], estimate [T], sample_rate) → score; AudioError for what it cannot score."""
    needs_cutoff: bool = False
    """Whether `score` takes `cutoff=`: the highest frequency in Hz of what was extended."""
    takes_silence: bool = False
    """Whether a score against a silent reference means something."""

    def scorer(self, cutoff: float | None) -> Score:
        """The function (reference, estimate, sample_rate) → score, with the cutoff bound to it.

        Raises ConfigError if the metric needs a cutoff and that is None.
        """
        if not self.needs_cutoff:
            return self.score
        if cutoff is None:
            raise ConfigError(
                f"{self.label} is measured at the cutoff of the narrow band; give cutoff"
            )
        return functools.partial(self.score, cutoff=cutoff)

    def facts(self, cutoff: float | None) -> dict[str, str]:
        """Unit, direction, definition and cutoff; scores are comparable if these are equal."""
        facts = {"unit": self.unit, "better": self.better, "definition": self.definition}
        return facts | ({"cutoff": f"{cutoff:g} Hz"} if self.needs_cutoff else {})

    @property
    def definition(self) -> str:
        """Full definition of the metric: the docstring of `score`."""
        return inspect.getdoc(self.score) or ""


METRICS: dict[str, Metric] = {
    "log_mel": Metric(
        label="log-mel L1",
        unit="Np",
        better="lower",
        decimals=3,
        score=log_mel_error,
        takes_silence=True,
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
    "lsd": Metric(label="LSD", unit="", better="lower", decimals=3, score=lsd, takes_silence=True),
    "lsd_high": Metric(
        label="LSD high",
        unit="",
        better="lower",
        decimals=3,
        score=lsd_high,
        needs_cutoff=True,
        takes_silence=True,
    ),
    "snr_low": Metric(
        label="SNR low", unit="dB", better="higher", decimals=1, score=snr_low, needs_cutoff=True
    ),
    "spectral_convergence": Metric(
        label="convergence", unit="", better="lower", decimals=3, score=spectral_convergence
    ),
    "visqol": Metric(label="ViSQOL", unit="", better="higher", decimals=2, score=visqol),
}
VOCODING = ("log_mel", "stft", "f0_rmse", "f0_median", "voicing_f1", "periodicity", "pesq_wb")
EXTENSION = ("lsd", "lsd_high", "snr_low", "spectral_convergence", "log_mel", "pesq_wb")
