"""All metrics by name, and the sets of them that have names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from vocoder.errors import ConfigError
from vocoder.evaluation.metrics.high_band import high_band_error, sibilant_error
from vocoder.evaluation.metrics.log_mel import log_mel_error, log_mels
from vocoder.evaluation.metrics.loudness import loudness_error
from vocoder.evaluation.metrics.mcd import mcd, mcd_dtw
from vocoder.evaluation.metrics.metric import Metric
from vocoder.evaluation.metrics.multi_scale_mel import multi_scale_mel_error
from vocoder.evaluation.metrics.pitch import (
    f0_median,
    f0_rmse,
    periodicity_rmse,
    track_both,
    voicing_f1,
)
from vocoder.evaluation.metrics.pyin import (
    f0_rmse_pyin,
    periodicity_pyin,
    track_both_by_pyin,
    voicing_f1_pyin,
)
from vocoder.evaluation.metrics.quality.networks import (
    OnnxNetwork,
    dnsmos_background,
    dnsmos_overall,
    dnsmos_scores,
    dnsmos_speech,
    utmos,
)
from vocoder.evaluation.metrics.quality.pesq import pesq_nb, pesq_wb
from vocoder.evaluation.metrics.quality.squim import (
    squim_pesq,
    squim_scores,
    squim_si_sdr,
    squim_stoi,
)
from vocoder.evaluation.metrics.quality.stoi import estoi, stoi
from vocoder.evaluation.metrics.quality.visqol import visqol
from vocoder.evaluation.metrics.si_sdr import si_sdr
from vocoder.evaluation.metrics.spectral import lsd, lsd_high, snr_low, spectral_convergence
from vocoder.evaluation.metrics.stft import stft_error

METRICS: dict[str, Metric] = {
    "log_mel": Metric(
        label="log-mel L1",
        unit="Np",
        better="lower",
        decimals=3,
        score=log_mel_error,
        analysis=log_mels,
        takes_silence=True,
    ),
    "stft": Metric(label="MR-STFT", unit="", better="lower", decimals=3, score=stft_error),
    "multi_scale_mel": Metric(
        label="multi-scale mel",
        unit="",
        better="lower",
        decimals=3,
        score=multi_scale_mel_error,
        takes_silence=True,
    ),
    "mcd": Metric(label="MCD", unit="dB", better="lower", decimals=2, score=mcd, analysis=log_mels),
    "mcd_dtw": Metric(
        label="MCD-DTW", unit="dB", better="lower", decimals=2, score=mcd_dtw, analysis=log_mels
    ),
    "f0_rmse": Metric(
        label="F0 RMSE",
        unit="cents",
        better="lower",
        decimals=1,
        score=f0_rmse,
        analysis=track_both,
    ),
    "f0_median": Metric(
        label="F0 median",
        unit="cents",
        better="lower",
        decimals=1,
        score=f0_median,
        analysis=track_both,
    ),
    "voicing_f1": Metric(
        label="V/UV F1",
        unit="",
        better="higher",
        decimals=3,
        score=voicing_f1,
        ideal=1.0,
        analysis=track_both,
    ),
    "periodicity": Metric(
        label="periodicity",
        unit="",
        better="lower",
        decimals=3,
        score=periodicity_rmse,
        analysis=track_both,
    ),
    "f0_rmse_pyin": Metric(
        label="F0 RMSE (pYIN)",
        unit="cents",
        better="lower",
        decimals=1,
        score=f0_rmse_pyin,
        analysis=track_both_by_pyin,
    ),
    "voicing_f1_pyin": Metric(
        label="V/UV F1 (pYIN)",
        unit="",
        better="higher",
        decimals=3,
        score=voicing_f1_pyin,
        ideal=1.0,
        analysis=track_both_by_pyin,
    ),
    "periodicity_pyin": Metric(
        label="periodicity (pYIN)",
        unit="",
        better="lower",
        decimals=3,
        score=periodicity_pyin,
        analysis=track_both_by_pyin,
    ),
    "pesq_wb": Metric(
        label="PESQ-wb", unit="", better="higher", decimals=2, score=pesq_wb, ideal=4.64
    ),
    "pesq_nb": Metric(
        label="PESQ-nb", unit="", better="higher", decimals=2, score=pesq_nb, ideal=4.55
    ),
    "stoi": Metric(label="STOI", unit="", better="higher", decimals=3, score=stoi, ideal=1.0),
    "estoi": Metric(label="ESTOI", unit="", better="higher", decimals=3, score=estoi, ideal=1.0),
    "si_sdr": Metric(
        label="SI-SDR", unit="dB", better="higher", decimals=1, score=si_sdr, ideal=100.0
    ),
    "loudness": Metric(
        label="loudness", unit="LU", better="lower", decimals=2, score=loudness_error
    ),
    "high_band": Metric(
        label="high band", unit="dB", better="lower", decimals=1, score=high_band_error
    ),
    "sibilants": Metric(
        label="sibilants", unit="dB", better="lower", decimals=1, score=sibilant_error
    ),
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
        label="SNR low",
        unit="dB",
        better="higher",
        decimals=1,
        score=snr_low,
        ideal=100.0,
        needs_cutoff=True,
    ),
    "spectral_convergence": Metric(
        label="convergence", unit="", better="lower", decimals=3, score=spectral_convergence
    ),
    "visqol": Metric(
        label="ViSQOL",
        unit="",
        better="higher",
        decimals=2,
        score=visqol,
        ideal=4.73,
        package="visqol-python",
    ),
    **{
        f"squim_{name}": Metric(
            label=f"SQUIM {label}",
            unit=unit,
            better="higher",
            decimals=decimals,
            score=score,
            ideal=None,
            analysis=squim_scores,
            package="torchaudio",
        )
        for name, label, unit, decimals, score in (
            ("stoi", "STOI", "", 3, squim_stoi),
            ("pesq", "PESQ", "", 2, squim_pesq),
            ("si_sdr", "SI-SDR", "dB", 1, squim_si_sdr),
        )
    },
    **{
        name: Metric(
            label=label,
            unit="",
            better="higher",
            decimals=2,
            score=score,
            ideal=None,
            analysis=dnsmos_scores,
            model=OnnxNetwork,
            weights="dnsmos",
        )
        for name, label, score in (
            ("dnsmos", "DNSMOS", dnsmos_overall),
            ("dnsmos_speech", "DNSMOS SIG", dnsmos_speech),
            ("dnsmos_background", "DNSMOS BAK", dnsmos_background),
        )
    },
    "utmos": Metric(
        label="UTMOS",
        unit="",
        better="higher",
        decimals=2,
        score=utmos,
        ideal=None,
        model=OnnxNetwork,
        weights="utmos",
    ),
}
VOCODING = (
    *("log_mel", "stft", "mcd", "f0_rmse", "f0_median", "voicing_f1", "periodicity"),
    "pesq_wb",
)
EXTENSION = (
    *("lsd", "lsd_high", "snr_low", "spectral_convergence", "high_band", "log_mel"),
    "pesq_wb",
)
SPEECH = (
    *("pesq_wb", "pesq_nb", "stoi", "estoi", "mcd_dtw"),
    *("f0_rmse_pyin", "voicing_f1_pyin", "periodicity_pyin", "loudness", "sibilants"),
)
SETS = {"vocoding": VOCODING, "extension": EXTENSION, "speech": SPEECH}


def chosen_metrics(
    names: Iterable[str], cutoff: float | None, weights: Mapping[str, Path]
) -> tuple[str, ...]:
    """Names of metrics, from those of metrics and sets, each once.

    "all" is what vocoder[eval] and what is given suffice for. No names mean "extension" if there is
    a cutoff, otherwise "vocoding", and the metrics of all `weights`. Raises ConfigError for an
    unknown name, also of weights.
    """
    known = {metric.weights for metric in METRICS.values()} - {""}
    strange = sorted(weights.keys() - known)
    if strange:
        raise ConfigError(f"unknown weights {strange}; they are for {sorted(known)}")
    sets = SETS | {"all": tuple(n for n, m in METRICS.items() if m.computable(cutoff, weights))}
    names = list(names)
    if not names:
        default = VOCODING if cutoff is None else EXTENSION
        names = [*default, *(name for name in METRICS if METRICS[name].weights in weights)]
    unknown = sorted(set(names) - METRICS.keys() - sets.keys())
    if unknown:
        raise ConfigError(f"unknown metrics {unknown}; choose from {[*METRICS, *sets]}")
    expanded = (name for each in names for name in sets.get(each, (each,)))
    return tuple(dict.fromkeys(expanded))
