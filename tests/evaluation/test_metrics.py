"""Every metric: ideal for equal signals, and moved the right way by noise, shift and detuning."""

import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.audio import read_audio, resample
from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.log_mel import log_mel_error
from vocoder.evaluation.metrics import METRICS
from vocoder.evaluation.pesq import pesq_wb
from vocoder.evaluation.pitch import f0_median, f0_rmse, voicing_f1
from vocoder.evaluation.stft import stft_error
from vocoder.features.mel import MelSpec

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
IDEAL = {"voicing_f1": 1.0, "pesq_wb": 4.64}
VOICES = ("lj/LJ001-0013", "kathleen/arctic_b0511", "nathalie/nl_rhasspy_863")
NAMES = pytest.mark.parametrize("name", METRICS)
DISTURBANCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "noise": lambda x, much: x + much * x.std() * _noise(x),
    "shift": lambda x, much: torch.roll(x, round(much * 0.03 * 24000)),
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


def goodness(name: str, reference: Tensor, estimate: Tensor, rate: int) -> float:
    sign = 1.0 if METRICS[name].better == "higher" else -1.0
    return sign * METRICS[name].score(reference, estimate, rate)


@NAMES
@pytest.mark.parametrize("clip", VOICES)
def test_equal_signals_score_ideally(name: str, clip: str) -> None:
    audio, rate = speech(clip)
    assert METRICS[name].score(audio, audio.clone(), rate) == pytest.approx(
        IDEAL.get(name, 0.0), abs=0.005
    )


@NAMES
def test_more_noise_is_worse(name: str) -> None:
    audio, rate = speech()
    steps = (0.0, 0.03, 0.3, 3.0)
    scores = [goodness(name, audio, DISTURBANCES["noise"](audio, s), rate) for s in steps]
    if name == "f0_rmse":  # one octave error outweighs everything: `f0_median` is for the order
        assert max(scores[1:]) < scores[0]
    else:
        assert all(better > worse for better, worse in pairwise(scores)), scores


@NAMES
def test_a_longer_shift_is_worse(name: str) -> None:
    """PESQ aligns in time, so a shift costs it almost nothing."""
    audio, rate = speech()
    scores = [goodness(name, audio, DISTURBANCES["shift"](audio, s), rate) for s in (0, 0.3, 1.0)]
    if name == "pesq_wb":
        assert min(scores) > 4.3
    else:
        assert scores[0] > scores[1] > scores[2]


@NAMES
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
    noisy = DISTURBANCES["noise"](audio, 0.1)
    plain = MelSpec.preset("hifigan_22k_80")
    values = plain.to_dict() | {"log": "db", "mean": [3.0] * 80, "scale": [7.0] * 80}
    decibels = MelSpec.from_dict(values)
    assert log_mel_error(audio, noisy, rate, spec=decibels) == log_mel_error(audio, noisy, rate)


def test_log_mel_error_does_not_depend_on_the_rate_of_the_files() -> None:
    audio, _ = speech("kathleen/arctic_b0511")  # 48 kHz
    noisy = DISTURBANCES["noise"](audio, 0.1)
    at_48k = log_mel_error(audio, noisy, 48000)
    at_24k = log_mel_error(resample(audio, 48000, 24000), resample(noisy, 48000, 24000), 24000)
    assert at_24k == pytest.approx(at_48k, rel=0.01)


def test_stft_error_of_a_gain_is_known() -> None:
    """Half the amplitude: convergence 1/2, log magnitude ln 2."""
    audio = torch.randn(24000, generator=torch.Generator().manual_seed(0))
    assert stft_error(audio, 0.5 * audio, 24000) == pytest.approx(0.5 + math.log(2.0), rel=1e-3)


def test_voicing_f1_counts_what_is_missed() -> None:
    """An estimate that is voiced in half of the frames: precision 1, recall 1/2."""
    voiced = tone(150.0)
    half = voiced * (torch.arange(24000) < 12000)
    assert voicing_f1(voiced, half, 24000) == pytest.approx(2 / 3, abs=0.03)
    assert voicing_f1(voiced, _noise(voiced), 24000) == 0.0


def test_pesq_does_not_depend_on_the_level() -> None:
    audio, rate = speech()
    noisy = DISTURBANCES["noise"](audio, 0.1)
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


def test_pesq_survives_as_many_utterances_as_its_limit_lets_through() -> None:
    """The densest bursts that P.862 tells apart; beyond 50 of them the package crashes."""
    burst = torch.nn.functional.pad(0.3 * _noise(torch.zeros(3300)), (0, 3300))
    audio = burst.repeat(60)[: 20 * 16000]
    assert pesq_wb(audio, audio.clone(), 16000) > 4.5


def test_pesq_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(ConfigError, match=r'pip install "vocoder\[train\]"'):
        pesq_wb(*speech()[:1] * 2, 24000)


@pytest.mark.parametrize("name", ["stft", "f0_rmse", "f0_median", "voicing_f1", "periodicity"])
def test_a_silent_pair_cannot_be_scored(name: str) -> None:
    silence = torch.zeros(24000)
    with pytest.raises(AudioError):
        METRICS[name].score(silence, silence.clone(), 24000)
