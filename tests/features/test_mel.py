"""The mel spectrogram against librosa, and its contract: frames, silence, conversion, errors."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from torch import Tensor

from vocoder.dsp.stft import magnitude
from vocoder.errors import ConfigError, MelMismatchError
from vocoder.features.mel import PRESETS, LogBase, MelSpec, MelSpectrogram
from vocoder.features.mel_conversion import convert, differences
from vocoder.io.audio import read_audio, resample_soxr

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
BASE = MelSpec.preset("hifigan_22k_80")
LOGS: tuple[LogBase, ...] = ("ln", "log10", "db")
PER_UNIT = {"ln": 1.0, "log10": math.log(10.0), "db": math.log(10.0) / 20.0}
ALL = pytest.mark.parametrize("name", PRESETS)


def normalised(log: LogBase, **changes: Any) -> MelSpec:
    """BASE in another logarithm, with a mean and scale that differ in every band."""
    mean = tuple(-6.0 + 0.05 * band for band in range(BASE.n_mels))
    scale = tuple(0.5 + 0.02 * band for band in range(BASE.n_mels))
    return dataclasses.replace(BASE, log=log, **({"mean": mean, "scale": scale} | changes))


def reference_mel(audio: NDArray[np.float64], spec: MelSpec) -> NDArray[np.float64]:
    """Mel magnitudes before the logarithm, by librosa in double precision."""
    same = spec.padding == "same"
    side = (spec.n_fft - spec.hop_length) // 2 if same else spec.n_fft // 2
    bins = librosa.stft(
        np.pad(audio, side, mode="reflect"),
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        win_length=spec.win_length,
        center=False,
        dtype=np.complex128,
    )
    filters = librosa.filters.mel(
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        fmin=spec.f_min,
        fmax=spec.f_max,
        htk=spec.mel_scale == "htk",
        norm="slaney" if spec.norm == "slaney" else None,
        dtype=np.float64,
    )
    mel: NDArray[np.float64] = filters @ np.sqrt(np.abs(bins) ** 2 + spec.power_floor) ** spec.power
    return mel


@ALL
@pytest.mark.parametrize("clip", ["lj/LJ001-0013", "kathleen/arctic_b0511"])
def test_preset_is_librosas_mel(name: str, clip: str) -> None:
    """To 1e-4 in the log, for bands down to 50 dB under the loudest of their frame.

    Rounding in a float32 FFT is relative to the whole frame, so lower bands, and the values near
    the log floor, agree as magnitudes: to 1e-6 of that loudest band.
    """
    spec = MelSpec.preset(name)
    audio, rate = read_audio(CLIPS / f"{clip}.flac")
    audio = resample_soxr(audio, rate, spec.sample_rate)
    ours = MelSpectrogram(spec)(audio[None])[0].double().numpy()
    linear = reference_mel(audio[0].double().numpy(), spec)
    theirs = np.log(np.maximum(linear, spec.log_floor)) / PER_UNIT[spec.log]
    scale = np.array(spec.scale or [1.0])[:, None]
    theirs = (theirs - np.array(spec.mean or [0.0])[:, None]) / scale
    assert ours.shape == theirs.shape
    loudest = np.maximum(linear, spec.log_floor).max(axis=0)
    clear = linear > 10 ** (-50 / 20 * spec.power) * loudest
    assert clear.mean() > 0.5
    np.testing.assert_allclose(ours[clear], theirs[clear], rtol=0.0, atol=1e-4)
    expanded = spec.expand(torch.from_numpy(ours)).numpy()
    difference = expanded - np.maximum(linear, spec.log_floor)
    assert (np.abs(difference) / loudest).max() < 1e-6 * spec.power  # powers double the error


@ALL
@settings(deadline=None, max_examples=15)
@given(more=st.integers(0, 3000))
def test_frame_law(name: str, more: int) -> None:
    spec = MelSpec.preset(name)
    samples = spec.hop_length + more
    mel = MelSpectrogram(spec)(torch.zeros(1, 1, samples))
    assert mel.shape == (1, spec.n_mels, spec.frames(samples))


@ALL
@pytest.mark.parametrize("power", [1, 2])
def test_silence_is_what_zeros_give(name: str, power: int) -> None:
    spec = dataclasses.replace(MelSpec.preset(name), power=power)
    mel = MelSpectrogram(spec)(torch.zeros(1, 1, 8192))
    expected = torch.tensor(spec.silence)[:, None].expand_as(mel[0])
    assert torch.equal(mel[0], expected)


@pytest.mark.parametrize(
    ("name", "floor"),
    [("hifigan_22k_80", math.log(1e-5)), ("vocos_24k_100", math.log(1e-7)), ("pwg_22k_80", -10.0)],
)
def test_silence_is_the_log_floor_as_in_the_project_of_the_preset(name: str, floor: float) -> None:
    np.testing.assert_allclose(MelSpec.preset(name).silence, floor, rtol=1e-6)


@ALL
def test_gradient_of_silence_is_finite_to_second_order(name: str) -> None:
    for level in (0.0, 1e-30, 1e-20, 1e-8):
        audio = torch.full((1, 1, 4096), level, requires_grad=True)
        mel = MelSpectrogram(MelSpec.preset(name))(audio)
        (gradient,) = torch.autograd.grad(mel.sum(), audio, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), audio, allow_unused=True)
        assert gradient.isfinite().all()
        assert second is None or second.isfinite().all()


def test_magnitude_is_the_modulus() -> None:
    bins = torch.randn(5, 7, dtype=torch.complex64)
    torch.testing.assert_close(magnitude(bins), bins.abs())
    torch.testing.assert_close(magnitude(bins, 0.5), (bins.abs().square() + 0.5).sqrt())


def test_mel_stays_in_float32_under_autocast() -> None:
    audio = 0.1 * torch.randn(1, 1, 4096, generator=torch.Generator().manual_seed(0))
    mel = MelSpectrogram(BASE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mel(audio), mel(audio.clone()))
        inside = mel(audio)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, mel(audio))


@pytest.fixture(scope="module")
def speech() -> Tensor:
    audio, rate = read_audio(CLIPS / "lj" / "LJ001-0013.flac")
    assert rate == BASE.sample_rate
    return audio[None, :, :20000]


@pytest.mark.parametrize("source", LOGS)
@pytest.mark.parametrize("target", LOGS)
@pytest.mark.parametrize("statistics", ["none", "both", "source", "target"])
def test_converted_mel_is_the_mel_of_the_other_spec(
    speech: Tensor, source: LogBase, target: LogBase, statistics: str
) -> None:
    """And back again, for every pair of logarithms with and without mean and scale."""
    plain: dict[str, Any] = {"mean": (), "scale": ()}
    source_spec = normalised(source, **({} if statistics in ("both", "source") else plain))
    target_spec = normalised(target, **({} if statistics in ("both", "target") else plain))
    mel = MelSpectrogram(source_spec)(speech)
    converted = convert(mel, source_spec, target_spec)
    nepers = PER_UNIT[target] * min(target_spec.scale, default=1.0)
    torch.testing.assert_close(
        converted, MelSpectrogram(target_spec)(speech), rtol=1e-6, atol=1e-5 / nepers
    )
    nepers = PER_UNIT[source] * min(source_spec.scale, default=1.0)
    torch.testing.assert_close(
        convert(converted, target_spec, source_spec), mel, rtol=1e-6, atol=1e-5 / nepers
    )


def test_equal_specs_return_the_mel_unchanged(speech: Tensor) -> None:
    mel = MelSpectrogram(BASE)(speech)
    assert convert(mel, BASE, dataclasses.replace(BASE)) is mel
    assert convert(mel, BASE, dataclasses.replace(BASE, f_max=8000)) is mel


def test_f_max_none_equals_the_nyquist_frequency() -> None:
    nyquist = dataclasses.replace(BASE, f_max=None)
    assert differences(nyquist, dataclasses.replace(BASE, f_max=11025.0)) == {}
    assert differences(nyquist, BASE) == {"f_max": (11025.0, 8000.0)}


def test_a_log_floor_can_be_raised_and_not_lowered(speech: Tensor) -> None:
    low, high = BASE, dataclasses.replace(BASE, log_floor=1e-2)
    raised = convert(MelSpectrogram(low)(speech), low, high)
    torch.testing.assert_close(raised, MelSpectrogram(high)(speech), rtol=1e-6, atol=1e-5)
    with pytest.raises(MelMismatchError, match=r"log_floor 0\.01 \(model: 1e-05\)"):
        convert(raised, high, low)


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate": 24000},
        {"n_fft": 2048},
        {"hop_length": 200},
        {"win_length": 800},
        {"n_mels": 100},
        {"f_min": 80.0},
        {"f_max": 7600.0},
        {"mel_scale": "htk"},
        {"norm": "none"},
        {"power": 2},
        {"power_floor": 0.0},
        {"padding": "center"},
        {"hop_length": 200, "f_min": 20.0},
    ],
    ids=str,
)
def test_what_cannot_be_converted_is_named(change: dict[str, Any]) -> None:
    other = dataclasses.replace(BASE, **change)
    with pytest.raises(MelMismatchError) as caught:
        convert(torch.zeros(other.n_mels, 10), other, BASE)
    for name, value in change.items():
        assert f"{name} {value} (model: {getattr(BASE, name)})" in str(caught.value)
    assert str(caught.value).count("(model: ") == len(change)


@pytest.mark.parametrize(("log", "value"), [("ln", math.log(1e-3)), ("log10", -3), ("db", -60)])
def test_logarithms_of_known_values(log: LogBase, value: float) -> None:
    compressed = dataclasses.replace(BASE, log=log).compress(torch.tensor([[1.0, 1e-3]]))
    torch.testing.assert_close(compressed, torch.tensor([[0.0, value]]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("power", [1, 2])
def test_expand_inverts_compress(log: LogBase, power: int) -> None:
    spec = normalised(log, power=power)
    linear = torch.logspace(-4, 2, 80 * 7).reshape(80, 7)
    torch.testing.assert_close(spec.expand(spec.compress(linear)), linear, rtol=1e-5, atol=0.0)
    assert spec.compress(torch.zeros(2, 80, 3)).shape == (2, 80, 3)


@ALL
def test_dict_round_trip(name: str) -> None:
    for spec in (
        PRESETS[name],
        dataclasses.replace(PRESETS[name], mean=(1.0,) * PRESETS[name].n_mels),
    ):
        values = spec.to_dict()
        assert MelSpec.from_dict(values) == spec
        plain = (str, int, float, list, type(None))
        assert all(isinstance(value, plain) for value in values.values())


def test_from_dict_names_unknown_and_missing_keys() -> None:
    values = BASE.to_dict()
    values["fmax"] = values.pop("f_max")
    del values["hop_length"]
    with pytest.raises(ConfigError) as caught:
        MelSpec.from_dict(values, origin="config.json")
    message = str(caught.value)
    assert message.startswith("config.json: unknown keys ['fmax'], missing keys ['hop_length']")
    assert "'f_max'" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log": "log2"}, r"mel\.log is 'log2'; choose from \('ln', 'log10', 'db', 'linear'\)"),
        ({"mel_scale": "bark"}, r"mel\.mel_scale .* choose from"),
        ({"norm": "area"}, r"mel\.norm .* choose from"),
        ({"padding": "valid"}, r"mel\.padding .* choose from"),
        ({"power": 3}, r"mel\.power is 3; choose from \(1, 2\)"),
        ({"n_mels": 0}, r"mel\.n_mels is 0; it must be positive"),
        ({"hop_length": -1}, r"mel\.hop_length is -1; it must be positive"),
        ({"win_length": 2048}, r"win_length 2048 is longer than n_fft 1024"),
        ({"win_length": 200}, r"hop_length 256 is longer than win_length 200"),
        ({"f_max": 12000.0}, r"12000\.0 Hz does not fit below 11025\.0 Hz"),
        ({"f_min": 9000.0}, r"mel band 9000\.0.8000\.0 Hz does not fit"),
        ({"log_floor": 0.0}, r"mel\.log_floor is 0\.0; it must be positive"),
        ({"mean": (0.0,) * 79}, r"mel\.mean has 79 values, not 80"),
        ({"scale": (1.0,)}, r"mel\.scale has 1 values, not 80"),
        ({"scale": 0.0}, r"mel\.scale is 0\.0; it must be positive"),
        ({"scale": (1.0,) * 79 + (True,)}, r"mel\.scale is True; it is a number"),
        ({"mean": "5"}, r"mel\.mean is '5'; it is a number, or one for each band"),
        ({"mean": math.nan}, r"mel\.mean is nan; it is a number"),
        ({"n_fft": 2**21}, r"mel\.n_fft is 2097152; at most 1048576 is possible"),
        ({"n_fft": 10**400}, r"mel\.n_fft is a?.*0…; at most"),
        ({"n_fft": 1024.5}, r"mel\.n_fft is 1024\.5; it is a whole number"),
        ({"n_mels": True}, r"mel\.n_mels is True; it is a whole number"),
        ({"n_mels": "80"}, r"mel\.n_mels is '80'; it is a whole number"),
        ({"n_mels": 514}, r"mel\.n_mels 514 is too many for n_fft 1024"),
        ({"n_fft": 2**20, "n_mels": 80}, r"mel\.n_mels 80 is too many for n_fft 1048576"),
        ({"sample_rate": math.inf}, r"mel\.sample_rate is inf; it is a whole number"),
        ({"f_min": -1.0}, r"mel\.f_min is -1\.0; it must lie from 0 to"),
        ({"f_max": math.nan}, r"mel\.f_max is nan; it is a number"),
        ({"log_floor": 1e-300}, r"mel\.log_floor is 1e-300; it must lie from 1e-30 to"),
        ({"power_floor": []}, r"mel\.power_floor is \[\]; it is a number"),
        ({"power": True}, r"mel\.power is True; choose from"),
        ({"norm": ["slaney"]}, r"mel\.norm .* choose from"),
    ],
    ids=str,
)
def test_an_impossible_spec_names_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(BASE, **change)


def test_one_mean_and_scale_are_those_of_every_band() -> None:
    values = {**BASE.to_dict(), "mean": -5.5, "scale": 2}
    spec = MelSpec.from_dict(values)
    assert spec.mean == (-5.5,) * 80
    assert spec.scale == (2.0,) * 80
    assert dataclasses.replace(BASE, mean=np.full(80, -5.5)).mean == spec.mean


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no mel preset 'hifigan'; presets are .*hifigan_22k_80"):
        MelSpec.preset("hifigan")


def test_vocos_preset_equals_torchaudio() -> None:
    try:  # its wheels need CUDA's libraries, and a torch built with the same CUDA
        import torchaudio
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"torchaudio cannot be loaded here: {str(error).splitlines()[0]}")
    spec = MelSpec.preset("vocos_24k_100")
    theirs = torchaudio.transforms.MelSpectrogram(
        sample_rate=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        power=1,
    )
    audio = torch.randn(1, 1, 24000, generator=torch.Generator().manual_seed(0)) * 0.1
    expected = theirs(audio)[0].clamp_min(spec.log_floor).log()
    assert (MelSpectrogram(spec)(audio) - expected).abs().max() < 1e-4
