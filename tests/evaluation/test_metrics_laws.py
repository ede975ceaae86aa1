"""Metrics against closed forms, and what none of them may score."""

import itertools
import math
import pickle
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.evaluation.metrics.high_band import high_band_error, sibilant_error
from vocoder.evaluation.metrics.loudness import loudness_error
from vocoder.evaluation.metrics.mcd import mcd, mcd_dtw, mel_cepstra
from vocoder.evaluation.metrics.metric import Metric, measure
from vocoder.evaluation.metrics.multi_scale_mel import multi_scale_mel_error
from vocoder.evaluation.metrics.pitch import track_both
from vocoder.evaluation.metrics.pyin import f0_rmse_pyin, periodicity_pyin, voicing_f1_pyin
from vocoder.evaluation.metrics.quality.stoi import estoi, stoi
from vocoder.evaluation.metrics.si_sdr import si_sdr
from vocoder.evaluation.metrics.spectral import lsd
from vocoder.io.audio import read_audio

CLIP = Path(__file__).parents[2] / "egs" / "clips" / "kathleen" / "arctic_b0511.flac"
COMPUTABLE = [name for name, metric in METRICS.items() if metric.computable(4000.0, {})]
BUT_PYIN = [name for name in COMPUTABLE if not name.endswith("_pyin")]


def speech() -> tuple[Tensor, int]:
    audio, rate = read_audio(CLIP)
    return audio[0], rate


def noise(samples: int, seed: int = 0, level: float = 0.1) -> Tensor:
    return level * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def tone(hz: float, rate: int, *, seconds: float = 1.0, harmonics: int = 8) -> Tensor:
    cycles = hz * torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    numbers = torch.arange(1, min(harmonics, int(0.49 * rate / hz)) + 1)[:, None]
    return 0.1 * (torch.cos(2 * math.pi * numbers * cycles) / numbers).sum(0).float()


def lowpassed(audio: Tensor, rate: int, hz: float) -> Tensor:
    spectrum = torch.fft.rfft(audio.double())
    kept = torch.fft.rfftfreq(len(audio), 1 / rate) < hz
    return torch.fft.irfft(spectrum * kept, len(audio)).float()


def decibels(gain: float) -> float:
    return 20.0 * math.log10(gain)


@pytest.mark.parametrize("ratio", [-10.0, 0.0, 30.0])
def test_si_sdr_of_added_noise_is_the_ratio(ratio: float) -> None:
    """Whatever the gain, where the noise is orthogonal to the signal."""
    signal, error = noise(24000).double(), noise(24000, 1).double()
    signal, error = signal - signal.mean(), error - error.mean()
    error = error - (error @ signal) / (signal @ signal) * signal
    error = error * signal.norm() / error.norm() * 10 ** (-ratio / 20)
    for gain in (0.01, 1.0, -3.0):
        found = si_sdr(signal.float(), (gain * (signal + error)).float(), 24000)
        assert found == pytest.approx(ratio, abs=1e-3)


@pytest.mark.parametrize("gain", [0.25, 0.9, 2.0])
def test_a_gain_moves_what_hears_levels_by_its_decibels(gain: float) -> None:
    audio, rate = speech()
    change = abs(decibels(gain))
    assert loudness_error(audio, gain * audio, rate) == pytest.approx(change, abs=0.1)
    assert high_band_error(audio, gain * audio, rate) == pytest.approx(change, abs=1e-3)
    assert sibilant_error(audio, gain * audio, rate) == pytest.approx(change, abs=1e-3)
    loud = noise(2 * rate, level=0.3)
    assert loudness_error(loud, gain * loud, rate) == pytest.approx(change, abs=1e-6)
    assert lsd(loud, gain * loud, rate) == pytest.approx(change / 10.0, rel=1e-4)
    scales = multi_scale_mel_error(loud, gain * loud, rate)
    # Of the seven scales, less for bands of few samples that contain no bin.
    assert 0.95 * 7.0 < scales / (change / 20.0) < 7.0


@pytest.mark.parametrize("gain", [0.25, 2.0])
def test_a_gain_leaves_what_hears_shapes(gain: float) -> None:
    audio, rate = speech()
    noisy = audio + noise(len(audio), level=0.01)
    for metric in (si_sdr, stoi, estoi):
        assert metric(audio, gain * noisy, rate) == pytest.approx(
            metric(audio, noisy, rate), abs=1e-4
        )
    loud = noise(rate, level=0.3)  # far above the floor of the mel
    assert mcd(loud, gain * loud, rate) == pytest.approx(0.0, abs=1e-3)


def test_cepstra_are_the_coefficients_of_cosines() -> None:
    """And the distortion of a spectrum changed by one of them is its root mean square in dB."""
    bands, height, order = 80, 0.7, 5
    places = torch.arange(bands) + 0.5
    mel = -3.0 + height * torch.cos(math.pi * order * places / bands)[:, None]
    expected = torch.zeros(24, 1)
    expected[order - 1] = height
    torch.testing.assert_close(mel_cepstra(mel, 24), expected, rtol=0.0, atol=1e-5)
    audio = noise(22050)
    mels = torch.stack([torch.zeros(bands, 9), (mel + 3.0).expand(bands, 9)])
    root_mean_square = height / math.sqrt(2.0) * 20.0 / math.log(10.0)
    for metric in (mcd, mcd_dtw):
        found = metric(audio, audio, 22050, analysis=mels)
        assert found == pytest.approx(root_mean_square, rel=1e-5)


def test_warping_undoes_a_change_of_tempo() -> None:
    audio, rate = speech()
    slow = torch.from_numpy(librosa.effects.time_stretch(audio.numpy(), rate=0.9))
    pair = audio, slow[: len(audio)]
    assert mcd_dtw(*pair, rate) < 0.6 * mcd(*pair, rate)


def test_the_best_path_is_that_of_the_recursion() -> None:
    """Total distance by the textbook's recursion, over the length of librosa's path."""
    audio = noise(22050 // 3)
    mels = torch.stack([noise(80 * 12, 1).view(80, 12), noise(80 * 12, 2).view(80, 12)])
    real, fake = mel_cepstra(mels, 24)
    costs = torch.cdist(real.T.double(), fake.T.double()).numpy()
    total = np.full((13, 13), np.inf)
    total[0, 0] = 0.0
    for i, j in itertools.product(range(12), range(12)):
        before = min(total[i, j], total[i, j + 1], total[i + 1, j])
        total[i + 1, j + 1] = costs[i, j] + before
    steps = len(librosa.sequence.dtw(C=costs)[1])
    expected = 10.0 * math.sqrt(2.0) / math.log(10.0) * total[12, 12] / steps
    assert mcd_dtw(audio, audio, 22050, analysis=mels) == pytest.approx(expected, rel=1e-4)


def test_a_low_pass_is_as_grave_as_it_is_low() -> None:
    audio, rate = speech()
    for name in ("high_band", "sibilants", "lsd", "multi_scale_mel"):
        score = METRICS[name].scorer()
        scores = [score(audio, lowpassed(audio, rate, hz), rate) for hz in (8e3, 12e3, 16e3)]
        assert scores[0] > scores[1] > scores[2] > -1e-9, name
    assert high_band_error(audio, lowpassed(audio, rate, 8e3), rate) > 20.0
    assert sibilant_error(audio, lowpassed(audio, rate, 8e3), rate) > 20.0
    assert stoi(audio, lowpassed(audio, rate, 8e3), rate) > 0.999


def test_sibilants_are_judged_where_the_reference_has_some() -> None:
    """A change of vowels alone costs nothing, one of fricatives its decibels."""
    rate = 48000
    vowel, fricative = tone(150.0, rate), noise(rate)
    fricative = fricative - lowpassed(fricative, rate, 6000.0)
    spoken = torch.cat([vowel, fricative])
    louder = torch.cat([2.0 * vowel, fricative])
    assert sibilant_error(spoken, louder, rate) < 0.5
    hissing = torch.cat([vowel, 2.0 * fricative])
    assert sibilant_error(spoken, hissing, rate) == pytest.approx(decibels(2.0), abs=0.2)
    with pytest.raises(AudioError, match="no fricatives"):
        sibilant_error(vowel, vowel, rate)
    with pytest.raises(AudioError, match="at 16000 Hz has too little above 8000 Hz"):
        sibilant_error(noise(16000), noise(16000), 16000)


@pytest.mark.parametrize("rate", [16000, 24000, 44100])
@pytest.mark.parametrize("harmonics", [1, 30])
def test_f0_of_held_tones_is_within_five_cents(rate: int, harmonics: int) -> None:
    for hz in (80.0, 123.5, 261.6, 466.2, 620.0, 880.0, 1000.0):
        audio = tone(hz, rate, seconds=0.3, harmonics=harmonics)
        pitch = track_both(audio, audio, rate)
        f0, voiced = pitch.f0[0, 4:-4], pitch.voiced[0, 4:-4]
        assert voiced.all(), hz
        assert (1200.0 * torch.log2(f0 / hz)).abs().max() < 5.0, hz


def test_rumble_and_hiss_have_no_pitch() -> None:
    """The slow flank of the autocorrelation of rumble is no period, nor a ripple on it."""
    rate = 24000
    seconds = torch.arange(2 * rate) / rate
    rumble = 0.3 * torch.sin(2 * math.pi * 17.0 * seconds) + noise(2 * rate, level=0.03)
    assert track_both(rumble, rumble, rate).voiced.float().mean() < 0.05


@pytest.mark.parametrize("cents", [-50.0, 50.0])
def test_pyin_measures_a_shift_of_pitch(cents: float) -> None:
    """To 10 cents, its grid."""
    pair = (tone(220.0 * 2 ** (shift / 1200), 16000, seconds=0.6) for shift in (0.0, cents))
    real, fake = pair
    assert f0_rmse_pyin(real, fake, 16000) == pytest.approx(50.0, abs=11.0)
    assert voicing_f1_pyin(real, fake, 16000) == pytest.approx(1.0, abs=0.05)


def test_pyin_hears_what_is_voiced() -> None:
    voiced = tone(200.0, 16000, seconds=0.6)
    half = voiced * (torch.arange(len(voiced)) < len(voiced) // 2)
    assert voicing_f1_pyin(voiced, half, 16000) == pytest.approx(2 / 3, abs=0.06)
    assert periodicity_pyin(voiced, half, 16000) > 0.4
    with pytest.raises(AudioError, match="silent"):
        periodicity_pyin(torch.zeros(9600), voiced, 16000)


@pytest.mark.parametrize("name", BUT_PYIN)
def test_what_is_no_number_gets_no_score(name: str) -> None:
    audio, rate = speech()
    broken = audio.clone()
    broken[rate // 2] = math.nan
    score = METRICS[name].scorer(4000.0)
    for pair, blamed in (((audio, broken), "estimate"), ((broken, audio), "reference")):
        with pytest.raises(AudioError, match=f"the {blamed} has samples that are not finite"):
            score(*pair, rate)
    with pytest.raises(AudioError, match="samples, not as many of both"):
        score(audio, audio[1:], rate)
    with pytest.raises(AudioError, match="too short for any metric"):
        score(audio[:0], audio[:0], rate)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("loudness", 0.3), ("stoi", 0.2), ("estoi", 0.2), ("pesq_nb", 0.2), ("f0_rmse_pyin", 0.05)],
)
def test_what_is_too_short_gets_a_reason(name: str, seconds: float) -> None:
    audio = noise(round(seconds * 16000))
    with pytest.raises(AudioError, match=r"short|under|PESQ"):
        METRICS[name].scorer()(audio, audio.clone(), 16000)


def test_a_constant_has_no_ratio_to_distortion() -> None:
    with pytest.raises(AudioError, match="the estimate is silent or constant"):
        si_sdr(noise(1000), torch.full((1000,), 0.5), 16000)


def test_what_metrics_share_is_computed_once_and_changes_no_score() -> None:
    audio, rate = speech()
    noisy = audio + noise(len(audio), level=0.003)
    scorers = {name: METRICS[name].scorer(4000.0) for name in BUT_PYIN}
    together = measure(pickle.loads(pickle.dumps(scorers)), audio, noisy, rate)
    for name in ("log_mel", "mcd", "mcd_dtw", "f0_rmse", "voicing_f1", "periodicity"):
        assert together[name] == METRICS[name].score(audio, noisy, rate)
    calls: list[int] = []

    def counted(reference: Tensor, estimate: Tensor, sample_rate: int) -> int:
        calls.append(sample_rate)
        return len(calls)

    shared = Metric(
        label="",
        unit="",
        better="lower",
        decimals=0,
        score=lambda *_, analysis: analysis,
        analysis=counted,
    )
    scores = measure({"a": shared.scorer(), "b": shared.scorer()}, audio, noisy, rate)
    assert scores == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("package", "name"),
    [
        *(("pystoi", "stoi"), ("pystoi", "estoi"), ("pyloudnorm", "loudness")),
        *(("librosa", "mcd_dtw"), ("librosa", "f0_rmse_pyin")),
    ],
)
def test_a_package_that_is_missing_is_named(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    audio = noise(16000)
    with pytest.raises(ConfigError, match=r"pip install 'vocoder\[eval\]'"):
        METRICS[name].scorer()(audio, audio.clone(), 16000)
