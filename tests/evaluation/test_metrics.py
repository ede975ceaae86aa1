"""Every metric: ideal for equal signals, and worse with more noise, shift and detuning."""

import importlib.util
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.metrics.catalogue import METRICS, SETS, chosen_metrics
from vocoder.evaluation.metrics.log_mel import log_mel_error
from vocoder.evaluation.metrics.metric import Scorer
from vocoder.evaluation.metrics.pitch import f0_median, f0_rmse, voicing_f1
from vocoder.evaluation.metrics.quality.pesq import pesq_wb
from vocoder.evaluation.metrics.quality.visqol import visqol
from vocoder.evaluation.metrics.spectral import lsd, lsd_high, snr_low, spectral_convergence
from vocoder.evaluation.metrics.stft import stft_error
from vocoder.features.mel import MelSpec
from vocoder.io.audio import read_audio, resample_soxr

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
CUTOFF = 2000.0
ALIGNED = {"pesq_wb": 4.3, "pesq_nb": 4.3, "visqol": 4.3}  # these compensate the delay first
VOICES = ("lj/LJ001-0013", "kathleen/arctic_b0511", "nathalie/nl_rhasspy_863")
without_visqol = pytest.mark.skipif(
    importlib.util.find_spec("visqol") is None, reason="visqol-python is not installed"
)
NAMES = pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=without_visqol)
        if n == "visqol"
        else pytest.param(n, marks=pytest.mark.slow)
        if n.endswith("_pyin")
        else n
        for n in METRICS
        if METRICS[n].ideal is not None
    ],
)
LEVELS = {"high_band", "loudness"}  # whole files: a shift changes neither, nor little noise
DISTORTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "noise": lambda x, amount: x + amount * x.std() * _noise(x),
    "shift": lambda x, amount: torch.roll(x, round(amount * 0.03 * 24000)),
}


def _noise(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0))


def speech(name: str = "nathalie/nl_rhasspy_863") -> tuple[Tensor, int]:
    audio, rate = read_audio(CLIPS / f"{name}.flac")
    return audio[0], rate


def tone(hz: float, *, rate: int = 24000, level: float = 0.1) -> Tensor:
    cycles = hz * torch.arange(rate, dtype=torch.float64) / rate
    harmonics = torch.arange(1, 9)[:, None]
    return level * (torch.cos(2 * math.pi * harmonics * cycles) / harmonics).sum(0).float()


def scorer(name: str) -> Scorer:
    return METRICS[name].scorer(CUTOFF)


def goodness(name: str, reference: Tensor, estimate: Tensor, rate: int) -> float:
    sign = 1.0 if METRICS[name].better == "higher" else -1.0
    return sign * scorer(name)(reference, estimate, rate)


def cut(audio: Tensor, rate: int, *, above: float = 0.0, below: float = math.inf) -> Tensor:
    """The content between two frequencies."""
    spectrum = torch.fft.rfft(audio.double())
    hz = torch.fft.rfftfreq(len(audio), 1 / rate)
    return torch.fft.irfft(spectrum * ((hz >= above) & (hz < below)), len(audio)).float()


@NAMES
@pytest.mark.parametrize("clip", VOICES)
def test_equal_signals_score_ideally(name: str, clip: str) -> None:
    audio, rate = speech(clip)
    score = scorer(name)(audio, audio.clone(), rate)
    assert score == pytest.approx(METRICS[name].ideal, abs=0.005)


@NAMES
def test_more_noise_is_worse(name: str) -> None:
    audio, rate = speech()
    steps = (0.0, 0.03, 0.3, 1.0)
    scores = [goodness(name, audio, DISTORTIONS["noise"](audio, s), rate) for s in steps]
    # One octave error outweighs everything (`f0_median` is for the order); ViSQOL has a lowest.
    if name in ("f0_rmse", "f0_rmse_pyin", "visqol"):
        assert max(scores[1:]) < scores[0]
    elif name == "voicing_f1_pyin":  # a little noise changes no flag
        assert scores[0] >= scores[1] > scores[2] > scores[3]
    else:
        assert all(better > worse for better, worse in pairwise(scores)), scores


@NAMES
def test_a_longer_shift_is_worse(name: str) -> None:
    """Where signals are aligned in time, a shift costs almost nothing."""
    audio, rate = speech()
    scores = [goodness(name, audio, DISTORTIONS["shift"](audio, s), rate) for s in (0, 0.3, 1.0)]
    if name in ALIGNED:
        assert min(scores) > ALIGNED[name]
    elif name in ("snr_low", "si_sdr"):  # a millisecond is as wrong as a second
        assert max(scores[1:]) < 3.0
    elif name in LEVELS:
        assert min(scores) > -0.5
    elif name == "mcd_dtw":
        assert min(scores) > -2.5
    else:
        assert scores[0] > scores[1] > scores[2]


@pytest.mark.parametrize("name", METRICS)
def test_definition_states_what_unit_and_direction(name: str) -> None:
    first_line = METRICS[name].definition.splitlines()[0]
    assert f"{METRICS[name].better} is better" in first_line
    assert METRICS[name].unit.replace("Np", "nepers") in first_line


@pytest.mark.parametrize("cents", [-200.0, -10.0, 10.0, 50.0])
@pytest.mark.parametrize("metric", [f0_rmse, f0_median])
def test_f0_error_of_a_detuned_tone(metric: Callable[..., float], cents: float) -> None:
    error = metric(tone(220.0), tone(220.0 * 2 ** (cents / 1200)), 24000)
    assert error == pytest.approx(abs(cents), abs=1.0)


@pytest.mark.parametrize("decibel", [-6.0, 3.0])
def test_log_mel_error_of_a_gain_is_that_gain(decibel: float) -> None:
    """Loud enough that the floor of the mel does not hide the gain."""
    audio = 0.3 * torch.randn(22050, generator=torch.Generator().manual_seed(0))
    error = log_mel_error(audio, audio * 10 ** (decibel / 20), 22050)
    assert error == pytest.approx(abs(decibel) / 20 * math.log(10.0), rel=1e-3)


def test_log_mel_error_is_in_nepers_whatever_the_spec_stores() -> None:
    audio, rate = speech()
    noisy = DISTORTIONS["noise"](audio, 0.1)
    plain = MelSpec.preset("hifigan_22k_80")
    values = plain.to_dict() | {"log": "db", "mean": [3.0] * 80, "scale": [7.0] * 80}
    decibels = MelSpec.from_dict(values)
    assert log_mel_error(audio, noisy, rate, spec=decibels) == log_mel_error(audio, noisy, rate)


def test_log_mel_error_does_not_depend_on_the_rate_of_the_files() -> None:
    audio, _ = speech("kathleen/arctic_b0511")  # 48 kHz
    noisy = DISTORTIONS["noise"](audio, 0.1)
    at_48k = log_mel_error(audio, noisy, 48000)
    at_24k = log_mel_error(
        resample_soxr(audio, 48000, 24000), resample_soxr(noisy, 48000, 24000), 24000
    )
    assert at_24k == pytest.approx(at_48k, rel=0.01)


def test_stft_error_of_a_gain_is_known() -> None:
    """Half the amplitude: convergence 1/2, log magnitude ln 2."""
    audio = torch.randn(24000, generator=torch.Generator().manual_seed(0))
    assert stft_error(audio, 0.5 * audio, 24000) == pytest.approx(0.5 + math.log(2.0), rel=1e-3)


def test_lsd_is_that_of_its_definition() -> None:
    """Frame by frame, by NumPy."""
    audio, rate = speech("kathleen/arctic_b0511")
    noisy = DISTORTIONS["noise"](audio, 0.1)
    powers = []
    for signal in (audio, noisy):
        padded = np.pad(signal.double().numpy(), 1024, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, 2048)[::512]
        power = np.abs(np.fft.rfft(frames * np.hanning(2049)[:-1])) ** 2
        powers.append(np.log10(np.maximum(power, 1e-8)))
    squares = (powers[0] - powers[1]) ** 2
    assert lsd(audio, noisy, rate) == pytest.approx(np.sqrt(squares.mean(1)).mean(), rel=1e-4)
    above = squares[:, np.fft.rfftfreq(2048, 1 / rate) > CUTOFF]
    expected = np.sqrt(above.mean(1)).mean()
    assert lsd_high(audio, noisy, rate, cutoff=CUTOFF) == pytest.approx(expected, rel=1e-4)


def test_a_gain_shows_in_every_spectral_measure() -> None:
    audio = 0.3 * _noise(torch.zeros(48000))
    half = 0.5 * audio
    for distance in (lsd(audio, half, 48000), lsd_high(audio, half, 48000, cutoff=4000.0)):
        assert distance == pytest.approx(2.0 * math.log10(2.0), rel=1e-4)
    assert spectral_convergence(audio, half, 48000) == pytest.approx(0.5, rel=1e-4)
    decibels = 20.0 * math.log10(2.0)
    assert snr_low(audio, half, 48000, cutoff=4000.0) == pytest.approx(decibels, abs=1e-3)


def test_each_side_of_the_cutoff_is_measured_alone() -> None:
    """An error above does not change the SNR below, and the other way round."""
    audio, rate = speech("kathleen/arctic_b0511")
    low = 0.01 * cut(_noise(audio), rate, below=CUTOFF - 100.0)
    high = 0.01 * cut(_noise(audio), rate, above=CUTOFF + 100.0)
    assert snr_low(audio, audio + high, rate, cutoff=CUTOFF) == pytest.approx(100.0, abs=0.1)
    assert lsd_high(audio, audio + high, rate, cutoff=CUTOFF) > 1.0
    assert lsd_high(audio, audio + low, rate, cutoff=CUTOFF) < 0.01
    expected = 20.0 * math.log10((cut(audio, rate, below=CUTOFF).norm() / low.norm()).item())
    assert snr_low(audio, audio + low, rate, cutoff=CUTOFF) == pytest.approx(expected, abs=0.1)


def test_a_band_limited_copy_has_a_large_distance_and_a_high_snr_below_the_cutoff() -> None:
    audio, rate = speech("kathleen/arctic_b0511")
    narrow = cut(audio, rate, below=CUTOFF)
    assert snr_low(audio, narrow, rate, cutoff=CUTOFF) == pytest.approx(100.0, abs=3.0)
    assert lsd_high(audio, narrow, rate, cutoff=CUTOFF) > lsd(audio, narrow, rate) > 2.0


@pytest.mark.parametrize("name", ["lsd_high", "snr_low"])
def test_a_cutoff_must_be_given_and_lie_in_the_band(name: str) -> None:
    audio, rate = speech()
    with pytest.raises(ConfigError, match="give cutoff"):
        METRICS[name].scorer(None)
    with pytest.raises(AudioError, match=f"at {rate} Hz lies above the cutoff 12000 Hz"):
        METRICS[name].scorer(12000.0)(audio, audio, rate)


def test_sets_need_no_further_package() -> None:
    """Except for the cutoff that makes the set for bandwidth extension the default."""
    for name, metrics in SETS.items():
        cutoff = CUTOFF if name == "extension" else None
        assert all(METRICS[metric].computable(cutoff, {}) for metric in metrics)
        assert len(metrics) <= 8 or name == "speech"
        assert chosen_metrics([name], cutoff, {}) == metrics
    assert chosen_metrics([], None, {}) == SETS["vocoding"]
    assert chosen_metrics([], CUTOFF, {}) == SETS["extension"]


def test_all_is_what_can_be_computed() -> None:
    plain = set(chosen_metrics(["all"], None, {}))
    assert plain == {n for n, m in METRICS.items() if not m.needs}
    more = set(chosen_metrics(["all"], CUTOFF, {"utmos": Path("x.onnx")}))
    assert more - plain == {"lsd_high", "snr_low", "utmos"}


def test_metrics_are_chosen_once_in_their_order() -> None:
    chosen = chosen_metrics(["lsd", "vocoding", "log_mel"], None, {})
    assert chosen == ("lsd", *SETS["vocoding"])
    with pytest.raises(ConfigError, match=r"unknown metrics \['nonsense'\]"):
        chosen_metrics(["nonsense"], None, {})
    with pytest.raises(ConfigError, match=r"unknown weights \['x'\]; .*'dnsmos', 'utmos'"):
        chosen_metrics([], None, {"x": Path("x.onnx")})


def test_visqol_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "visqol", None)
    with pytest.raises(ConfigError, match="pip install visqol-python"):
        visqol(*speech()[:1] * 2, 24000)


@without_visqol
def test_visqol_rises_with_the_bandwidth_and_refuses_silence() -> None:
    audio, rate = speech("kathleen/arctic_b0511")
    scores = [visqol(audio, cut(audio, rate, below=cutoff), rate) for cutoff in (4000, 8000, 16000)]
    assert all(narrow < wide for narrow, wide in pairwise(scores)), scores
    for pair in ((audio, torch.zeros_like(audio)), (audio[:4000], audio[:4000])):
        with pytest.raises(AudioError, match="ViSQOL"):
            visqol(*pair, rate)


def test_voicing_f1_counts_what_is_missed() -> None:
    """An estimate that is voiced in half of the frames: precision 1, recall 1/2."""
    voiced = tone(150.0)
    half = voiced * (torch.arange(24000) < 12000)
    assert voicing_f1(voiced, half, 24000) == pytest.approx(2 / 3, abs=0.03)
    assert voicing_f1(voiced, _noise(voiced), 24000) == 0.0


def test_pesq_does_not_depend_on_the_level() -> None:
    audio, rate = speech()
    noisy = DISTORTIONS["noise"](audio, 0.1)
    assert pesq_wb(audio, 0.2 * noisy, rate) == pytest.approx(pesq_wb(audio, noisy, rate), abs=0.02)


@pytest.mark.parametrize(
    ("reference", "estimate", "message"),
    [
        pytest.param(torch.zeros(16000), tone(200.0)[:16000], "silent", id="silent reference"),
        pytest.param(tone(200.0)[:16000], torch.zeros(16000), "silent", id="silent estimate"),
        pytest.param(tone(200.0)[:2000], tone(200.0)[:2000], "1/4 of a second", id="short"),
        pytest.param(torch.ones(16000 * 20 + 1), torch.ones(16000 * 20 + 1), "20 s", id="long"),
    ],
)
def test_pesq_refuses_what_it_cannot_score(
    reference: Tensor, estimate: Tensor, message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        pesq_wb(reference, estimate, 16000)


def test_pesq_does_not_crash_with_as_many_utterances_as_its_limit_allows() -> None:
    """The densest bursts that P.862 distinguishes; beyond 50 of them the package crashes."""
    burst = torch.nn.functional.pad(0.3 * _noise(torch.zeros(3300)), (0, 3300))
    audio = burst.repeat(60)[: 20 * 16000]
    assert pesq_wb(audio, audio.clone(), 16000) > 4.5


def test_pesq_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(ConfigError, match=r'pip install "vocoder\[train\]"'):
        pesq_wb(*speech()[:1] * 2, 24000)


@pytest.mark.parametrize(
    "name",
    [
        *("stft", "f0_rmse", "f0_median", "voicing_f1", "periodicity"),
        *("spectral_convergence", "snr_low", "mcd", "mcd_dtw", "pesq_nb", "stoi", "estoi"),
        *("si_sdr", "loudness", "high_band", "sibilants"),
    ],
)
def test_a_silent_pair_cannot_be_scored(name: str) -> None:
    silence = torch.zeros(24000)
    with pytest.raises(AudioError):
        scorer(name)(silence, silence.clone(), 24000)
