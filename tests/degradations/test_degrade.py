"""Degraded copies: properties of every step, and the effect of each one."""

import functools
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf
from scipy import signal
from torch import Tensor

from vocoder.build import build
from vocoder.degradations.band_limits import FAMILIES, AnalogLowPass, BodyConduction, SincLowPass
from vocoder.degradations.codecs import Codec, Companding
from vocoder.degradations.degrade import Degrade, LowRate, Noise, OneOf, Step
from vocoder.dsp.resample import resample
from vocoder.errors import ConfigError
from vocoder.io.audio import read_audio

ROOT = Path(__file__).parents[2]
RATE = 48000
CONFIGS = {
    "narrowband": RATE,
    "narrowband_sinc": RATE,
    "narrowband_hifigan_bwe": RATE,
    "narrowband_rates": RATE,
    "body_conduction": 16000,
}


def coded(codec: str, rate: int, **settings: Any) -> Step:
    return LowRate(rates=[rate], steps={"codec": Codec(codec=codec, **settings)})


STEPS: dict[str, Callable[[], Step]] = {
    "families": lambda: AnalogLowPass(cutoff_range=[3400.0, 12000.0]),
    "sinc": lambda: SincLowPass(cutoff_range=[3400.0, 12000.0], transition=[0.03, 0.3]),
    "body": BodyConduction,
    "rates": lambda: LowRate(rates=[8000, 11025, 16000], zeros=[16, 32], beta=[8.0, 10.0]),
    "linear": lambda: LowRate(rates=[8000, 11025], interpolation="linear"),
    "mu": lambda: Companding(law="mu"),
    "a": lambda: LowRate(rates=[8000], steps={"codec": Companding(law="a")}),
    "gsm": lambda: coded("gsm", 8000),
    "opus 8k": lambda: coded("opus", 8000),
    "opus 16k": lambda: coded("opus", 16000),
    "mp3 11k": lambda: coded("mp3", 11025),
    "mp3 24k": lambda: coded("mp3", 24000),
    "noise": lambda: Noise(snr_db=[15.0, 60.0]),
}


@functools.cache
def configured(name: str) -> Degrade:
    loaded = OmegaConf.load(ROOT / "configs" / "features" / f"{name}.yaml")
    merged = OmegaConf.merge({"mel": {"sample_rate": CONFIGS[name]}}, loaded)
    node = OmegaConf.to_container(merged, resolve=True)
    assert isinstance(node, dict)
    with torch.device("meta"):  # as when models are counted
        feature = build(node["narrowband"])
    assert isinstance(feature, Degrade)
    return feature


def all_degradations() -> list[Any]:
    steps = [pytest.param(name, id=f"step {name}") for name in STEPS]
    return [*CONFIGS, *steps]


@pytest.fixture(params=all_degradations())
def degrade(request: pytest.FixtureRequest) -> Degrade:
    name = request.param
    return configured(name) if name in CONFIGS else alone(STEPS[name]())


def alone(step: Step, rate: int = RATE) -> Degrade:
    return Degrade(rate, steps={"step": step})


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """Four segments of half a second from one recording."""
    audio, rate = read_audio(ROOT / "egs" / "clips" / "kathleen" / "arctic_a0290.flac")
    assert rate == RATE
    return torch.stack([audio[:, start : start + 24000] for start in range(10000, 90000, 20000)])


def seeded(degrade: Degrade, audio: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    copy: Tensor = degrade(audio)
    return copy


def decibels(part: Tensor, whole: Tensor) -> float:
    return 10.0 * float(torch.log10(part.square().sum() / whole.square().sum()))


def above(audio: Tensor, hertz: float, rate: int = RATE) -> Tensor:
    """Bins over a frequency; the window's own side lobes are below -150 dB."""
    window = torch.kaiser_window(audio.shape[-1], periodic=False, beta=20.0)
    bins = torch.fft.rfft((audio * window).double())
    return bins[..., int(hertz / rate * audio.shape[-1]) + 8 :].abs()


def delay(copy: Tensor, audio: Tensor, finer: int = 8) -> float:
    """Where the cross-correlation of all items together has its peak, in samples."""
    size = 2 * audio.shape[-1]
    cross = torch.fft.rfft(copy, n=size) * torch.fft.rfft(audio, n=size).conj()
    correlation = torch.fft.irfft(cross.sum(dim=(0, 1)), n=finer * size)
    peak = int(correlation.argmax())
    return (peak - finer * size * (peak > finer * size // 2)) / finer


@pytest.mark.parametrize("samples", [1, 777, 4800])
def test_keeps_shape_type_and_place(degrade: Degrade, samples: int) -> None:
    audio = (0.1 * torch.randn(3, 2, samples)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        copy = degrade(audio)
    assert copy.shape == audio.shape
    assert copy.dtype == torch.float32 and not copy.requires_grad
    assert torch.isfinite(copy).all()


def test_follows_from_the_seed(degrade: Degrade, speech: Tensor) -> None:
    assert torch.equal(seeded(degrade, speech, 1), seeded(degrade, speech, 1))


@pytest.mark.parametrize("name", ["narrowband", "narrowband_rates", "body_conduction"])
def test_another_seed_gives_another_copy(name: str, speech: Tensor) -> None:
    copies = [seeded(configured(name), speech, seed) for seed in (1, 2, 3)]
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(copies, copies[1:], strict=False))


def test_draws_for_each_item(speech: Tensor) -> None:
    same = speech[:1].expand(6, -1, -1)
    copies = seeded(configured("narrowband"), same)
    assert len({round(float(copy.square().sum()), 5) for copy in copies}) == 6


def test_items_do_not_influence_each_other(degrade: Degrade, speech: Tensor) -> None:
    other = speech.clone()
    other[0] = 0.5 * torch.randn_like(other[0])
    copy, changed = seeded(degrade, speech), seeded(degrade, other)
    assert not torch.allclose(copy[0], changed[0], atol=1e-3)
    assert torch.allclose(copy[1:], changed[1:], atol=1e-5)


def test_equal_channels_stay_equal(degrade: Degrade, speech: Tensor) -> None:
    noisy = any(isinstance(module, Noise) for module in degrade.modules())
    left, right = seeded(degrade, speech.expand(-1, 2, -1)).unbind(dim=1)
    assert torch.equal(left, right) != noisy


def test_silence_stays_silent(degrade: Degrade) -> None:
    for seed in range(5):
        copy = seeded(degrade, torch.zeros(4, 1, 8000), seed)
        assert copy.abs().max() < 1e-3  # -60 dB; the A-law's silence is at -72


def test_is_aligned(degrade: Degrade, speech: Tensor) -> None:
    for seed in range(3):
        copy = seeded(degrade, speech, seed)
        assert abs(delay(copy, speech)) <= 0.5
    assert delay(torch.roll(copy, 2, -1), speech) > 1.0  # the measure detects a delay


def test_zero_phase_filters_have_symmetric_impulse_responses() -> None:
    impulse = torch.zeros(2, 1, 8001)
    impulse[..., 4000] = 1.0
    for name in ("families", "sinc", "body"):
        copy = seeded(alone(STEPS[name]()), impulse)
        assert torch.allclose(copy, copy.flip(-1), atol=1e-6 * float(copy.abs().max()))


@pytest.mark.parametrize(
    ("name", "hertz"),
    [
        ("narrowband", 12000.0),
        ("narrowband_sinc", 4000.0),
        ("narrowband_hifigan_bwe", 14600.0),  # its filter ends 22 % above half of the rate
        ("narrowband_rates", 16000.0),
    ],
)
def test_nothing_above_the_highest_cutoff(name: str, hertz: float) -> None:
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(8, 1, 24000)
    for seed in range(8):
        for copy in seeded(configured(name), noise, seed):
            assert decibels(above(copy, hertz), above(copy, 0.0)) < -60.0


def sweep(low: float, high: float, samples: int = 24000) -> Tensor:
    """A tone that rises through a range of frequencies, without a click at either end."""
    hertz = torch.linspace(low, high, samples, dtype=torch.float64)
    tone = torch.sin(2.0 * torch.pi * torch.cumsum(hertz, 0) / RATE)
    fade = torch.hann_window(samples, periodic=False, dtype=torch.float64).sqrt()
    return (0.5 * tone * fade).float()[None, None]


def test_low_rate_has_no_images_or_aliases_unless_interpolated_linearly() -> None:
    inside, beyond = sweep(100.0, 3600.0), sweep(4300.0, 20000.0)
    good = alone(LowRate(rates=[8000]))
    crude = alone(LowRate(rates=[8000], interpolation="linear"))
    assert decibels(good(inside) - inside, inside) < -60.0
    assert decibels(good(beyond), beyond) < -60.0
    assert decibels(above(good(inside), 4000.0), above(inside, 0.0)) < -80.0
    assert decibels(above(crude(inside), 4000.0), above(inside, 0.0)) > -30.0


def test_linear_interpolation_joins_the_samples() -> None:
    slow = sweep(5.0, 40.0)
    crude = alone(LowRate(rates=[8000], interpolation="linear"))(slow)
    assert (crude - slow)[..., :-6].abs().max() < 1e-4


def test_sinc_passes_all_below_its_transition_band_and_nothing_above_its_cutoff() -> None:
    step = alone(SincLowPass(cutoff_range=[4000.0, 4000.0], transition=[0.1, 0.1]))
    inside, beyond = sweep(100.0, 3500.0), sweep(4100.0, 20000.0)
    assert decibels(step(inside) - inside, inside) < -80.0
    assert decibels(step(beyond), beyond) < -80.0


@pytest.mark.parametrize("order", [4, 7])
@pytest.mark.parametrize("family", FAMILIES)
def test_families_have_the_gains_of_their_digital_filters(family: str, order: int) -> None:
    step = AnalogLowPass(
        families=[family],
        cutoff_range=[5000.0, 5000.0],
        orders=[order, order],
        ripple_db=[0.5, 0.5],
        attenuation_db=[60.0, 60.0],
    )
    sections = {
        "butterworth": lambda **at: signal.butter(order, **at),
        "chebyshev1": lambda **at: signal.cheby1(order, 0.5, **at),
        "chebyshev2": lambda **at: signal.cheby2(order, 60.0, **at),
        "elliptic": lambda **at: signal.ellip(order, 0.5, 60.0, **at),
        "bessel": lambda **at: signal.bessel(order, norm="mag", **at),
    }[family](Wn=5000.0, fs=RATE, output="sos")
    bins = np.linspace(0.0, RATE / 2, 2049)
    theirs = np.abs(signal.sosfreqz(sections, worN=bins, fs=RATE)[1])
    ours = step.gains(torch.zeros(1, 1, 1), 4096, RATE)[0].double().numpy()
    assert np.abs(ours - theirs).max() < 1e-4


def test_families_and_orders_are_all_drawn() -> None:
    torch.manual_seed(0)
    step = AnalogLowPass(cutoff_range=[3400.0, 12000.0], orders=[4, 12])
    gains = step.gains(torch.zeros(64, 1, 1), 4096, RATE)
    ends = (gains > 0.5).sum(dim=1) * RATE / 4096
    assert 2500.0 < ends.min() < 4500.0 and 10000.0 < ends.max() < 14000.0


def test_body_conduction_is_a_biquad_forwards_and_backwards(speech: Tensor) -> None:
    step = alone(BodyConduction(cutoff=600.0, q=1.0, spread=[1.0, 1.0]), 16000)
    angle = 2.0 * np.pi * 600.0 / 16000
    cosine, alpha = np.cos(angle), np.sin(angle) / 2.0
    numerator = np.array([0.5, 1.0, 0.5]) * (1.0 - cosine)
    denominator = np.array([1.0 + alpha, -2.0 * cosine, 1.0 - alpha])
    for item in speech.double().numpy():
        padded = np.pad(item[0], 10000, mode="reflect")
        once = signal.lfilter(numerator, denominator, padded)[::-1]
        theirs = signal.lfilter(numerator, denominator, once)[::-1][10000:-10000]
        ours = step(torch.from_numpy(item).float()[None])[0, 0].numpy()
        assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize(("law", "encoding"), [("mu", "ULAW"), ("a", "ALAW")])
def test_companding_is_bit_for_bit_that_of_libsndfile(law: Any, encoding: str) -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, every, 8000, format="WAV", subtype=encoding)
    file.seek(0)
    theirs = soundfile.read(file, dtype="int16")[0]
    ours = alone(Companding(law=law))(torch.from_numpy(every)[None, None] / 32768.0)
    assert np.array_equal((ours[0, 0] * 32768.0).numpy(), theirs)


@pytest.mark.parametrize(
    ("codec", "rate"), [("gsm", 8000), ("opus", 8000), ("opus", 16000), ("mp3", 22050)]
)
def test_codecs_are_aligned_at_their_own_rate(codec: Any, rate: int, speech: Tensor) -> None:
    settings = {} if codec == "gsm" else {"compression": [0.95, 0.95]}
    step = alone(Codec(codec=codec, **settings), rate)
    audio = resample(speech, RATE, rate)
    copy = step(audio)
    assert abs(delay(copy, audio)) <= 0.25
    ratio = decibels(copy - audio, audio)
    assert -60.0 < ratio < -3.0  # degraded, but recognisable


def test_fewer_bits_give_larger_errors(speech: Tensor) -> None:
    errors = [
        decibels(alone(Codec(codec="mp3", compression=[c, c]), 16000)(speech) - speech, speech)
        for c in (0.0, 0.5, 0.95)
    ]
    assert errors == sorted(errors) and errors[2] > errors[0] + 6.0


def test_noise_has_the_ratio(speech: Tensor) -> None:
    for ratio in (-5.0, 30.0):
        copy = seeded(alone(Noise(snr_db=[ratio, ratio])), speech)
        for noise, item in zip(copy - speech, speech, strict=True):
            assert decibels(noise, item) == pytest.approx(-ratio, abs=0.2)


def test_choices_are_drawn_by_their_weights() -> None:
    steps = {"body": BodyConduction(), "law": Companding(law="mu")}
    chosen = alone(OneOf(steps, weights={"body": 0.2, "law": 0.5}))
    tone = sweep(3000.0, 4000.0, 4000)
    copies = seeded(chosen, tone.expand(400, -1, -1))
    unchanged = [torch.equal(copy, tone[0]) for copy in copies]
    muffled = [float(copy.abs().max()) < 0.01 for copy in copies]
    assert sum(unchanged) / 400 == pytest.approx(0.3, abs=0.08)
    assert sum(muffled) / 400 == pytest.approx(0.2, abs=0.08)


MISTAKES: dict[str, Callable[[], object]] = {
    "cutoff_range": lambda: AnalogLowPass(cutoff_range=[5000.0, 4000.0]),
    "fourier": lambda: AnalogLowPass(cutoff_range=[4000.0, 5000.0], families=["fourier"]),
    "24000": lambda: alone(AnalogLowPass(cutoff_range=[4000.0, 24000.0])),
    "transition": lambda: SincLowPass(cutoff_range=[4000.0, 5000.0], transition=[0.5, 1.5]),
    "rates is": lambda: LowRate(rates=[]),
    "48000": lambda: alone(LowRate(rates=[48000])),
    "cubic": lambda: LowRate(rates=[8000], interpolation="cubic"),  # type: ignore[arg-type]
    "codec: gsm": lambda: alone(coded("gsm", 16000)),
    "compression": lambda: Codec(codec="opus", compression=[0.5, 1.0]),
    "aac": lambda: Codec(codec="aac"),  # type: ignore[arg-type]
    "law": lambda: Companding(law="nu"),  # type: ignore[arg-type]
    "snr_db": lambda: Noise(snr_db=[30.0]),
    "weights name": lambda: OneOf({"noise": Noise(snr_db=[1.0, 2.0])}, weights={"nose": 1.0}),
    "probabilities": lambda: OneOf({"noise": Noise(snr_db=[1.0, 2.0])}, weights={"noise": 2.0}),
    "dict, not a step": lambda: Degrade(RATE, steps={"noise": {}}),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("names", MISTAKES)
def test_mistakes_are_named(names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        MISTAKES[names]()


def test_a_codec_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfile, "available_subtypes", lambda container: {})
    with pytest.raises(ConfigError, match="no codec 'mp3'"):
        Codec(codec="mp3")


def test_families_without_scipy_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ConfigError, match=r"vocoder\[train\]"):
        AnalogLowPass(cutoff_range=[4000.0, 5000.0])
