"""Products in bfloat16 and int8: which layers, how large the difference, what stays in float32."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vocoder
from tests.inference.models import load, recording
from vocoder.bench.infer import precision as bench
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.inference.extender import Extender
from vocoder.inference.precision import choice, hardware
from vocoder.inference.precision.layers import layers, roundable
from vocoder.inference.precision.network import LowPrecision
from vocoder.inference.precision.rounding import quantise, round_layer
from vocoder.inference.vocoder import Vocoder

Command = Callable[..., Any]
CPU = torch.device("cpu")
has_int8 = pytest.mark.skipif(not hardware._int8_of_cpu(), reason="this CPU has no VNNI")


@pytest.fixture(autouse=True)
def supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take this CPU for one with bfloat16: without it, PyTorch emulates the same products."""
    monkeypatch.setattr(hardware, "_bfloat16_of_cpu", lambda: "AMX")


def low(name: str) -> Vocoder | Extender:
    return load(name).compute_in("bfloat16")  # type: ignore[return-value]


def relative(made: Tensor, expected: Tensor) -> float:
    assert made.dtype == torch.float32 and made.shape == expected.shape
    return float((made - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("hifigan_v3", {"conv_post"}),
        ("bigvgan_v2", {"conv_post"}),
        ("vocos_center", {"head.out"}),
        ("ap_bwe", {"to_gain", "to_real", "to_imaginary"}),
        ("pwg_multi_band_melgan", {"subbands.conv_post"}),
    ],
)
def test_networks_round_all_but_their_last_layers(name: str, kept: set[str]) -> None:
    model = load(name)
    network = LowPrecision(model.generator, CPU, "bfloat16")
    every = layers(network.generator)
    assert {k for k, x in every.items() if x.weight.dtype != torch.bfloat16} == kept
    features = model.examples()[1]
    with torch.inference_mode():
        expected = model.generator(**features)
    assert 1e-5 < relative(network(**features), expected) < 0.03
    assert f"in {len(every) - len(kept)} of {len(every)} layers" in network.path
    assert {x.weight.dtype for x in layers(model.generator).values()} == {torch.float32}


class Source(Generator):
    """Frequencies → phase → sine → two layers."""

    features = ("mel",)

    def __init__(self) -> None:
        super().__init__(hop_length=1)
        self.frequency, self.mix, self.last = (nn.Conv1d(4, 4, 1) for _ in range(3))

    def forward(self, mel: Tensor) -> Tensor:
        return self.last(self.mix(torch.sin(torch.cumsum(self.frequency(mel), dim=-1))))


def test_what_a_phase_depends_on_stays_in_float32() -> None:
    assert roundable(Source()) == ["mix"]
    hiftnet = load("hiftnet").generator
    assert not [name for name in roundable(hiftnet) if name.startswith("pitch.")]
    assert "head.out" not in roundable(hiftnet) and len(roundable(hiftnet)) > 10


def exact(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer on rounded numbers, with sums in double precision."""
    twin = copy.deepcopy(layer)
    for parameter in twin.parameters():
        parameter.data = parameter.data.bfloat16().double()
    made: Tensor = twin.double()(x.bfloat16().double())
    return made.float()


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(96, 16, 11, padding=10, dilation=2),
        nn.Conv1d(96, 16, 4, stride=3, groups=2, bias=False),
        nn.Conv1d(96, 16, 5, padding="same"),
        nn.ConvTranspose1d(96, 16, 8, stride=4, padding=2),
        vocoder.nn.ReflectConv1d(96, 16, 7),
    ],
    ids=repr,
)
@torch.no_grad()
def test_layers_sum_in_float32(layer: nn.Module, beside: bool) -> None:
    torch.manual_seed(0)
    x, twin = torch.randn(2, 96, 40), copy.deepcopy(layer)
    round_layer(twin, beside=beside)
    expected = exact(layer, x)
    error = (twin(x) - expected).abs()
    assert bool((error <= 2**-8 * expected.abs() + 1e-5).all())  # only the result is rounded
    assert float(error.max()) > 0.0


@has_int8
@torch.no_grad()
def test_linear_layers_in_int8_have_a_scale_for_each_frame() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(48, 20)
    x = torch.randn(2, 9, 48)
    x[0, 0] *= 100.0
    x[1, 1] = 0.0
    expected = layer(x)
    quantise(layer)
    made = layer(x)
    peaks = expected.abs().amax(-1, keepdim=True)
    assert 1e-4 < float(((made - expected).abs() / peaks).max()) < 0.03
    assert torch.equal(layer(x[:, 3:4]), made[:, 3:4])
    assert torch.equal(made[1, 1], layer.bias)


@has_int8
def test_int8_runs_linear_layers_and_refuses_networks_without() -> None:
    model = load("vocos_center")
    features = model.examples()[1]
    expected = model.network(**features)
    model.compute_in("int8")
    assert model.network.path.startswith("PyTorch, int8 products, int32 sums (VNNI) in ")
    assert 1e-5 < relative(model.network(**features), expected) < 0.2
    with pytest.raises(ConfigError, match="int8: only linear layers .* 3.9 times as long"):
        load("hifigan_v3").compute_in("int8")


def test_copies_keep_the_precision() -> None:
    model = low("vocos_center")
    assert isinstance(model, Vocoder) and isinstance(model.network, LowPrecision)
    audio = model.resynth(recording(), sample_rate=16000)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.to("cpu")):
        assert twin.precision == "bfloat16"
        assert torch.equal(twin.resynth(recording(), sample_rate=16000), audio)
    model.compute_in("float32")
    error = relative(audio, model.resynth(recording(), sample_rate=16000))
    assert 1e-5 < error < 0.03


def test_streams_and_gradients_stay_in_float32() -> None:
    model, plain = low("hifigan_v3"), load("hifigan_v3")
    assert isinstance(model, Vocoder) and isinstance(plain, Vocoder)
    mel = plain.mel(recording(), sample_rate=16000)
    made = [torch.cat([s.push(mel), s.flush()]) for s in (model.stream(), plain.stream())]
    assert torch.equal(*made)
    predicted = mel.clone().requires_grad_()
    audio = model.differentiable(predicted)
    audio.square().sum().backward()
    assert relative(audio.detach(), plain(mel)) < 1e-5
    assert predicted.grad is not None and bool(predicted.grad.any())
    assert relative(model(mel), plain(mel)) > 1e-5


def test_extenders_use_it_for_recordings() -> None:
    plain, rounded = vocoder.load_extender(), vocoder.load_extender(precision="bfloat16")
    options: dict[str, Any] = {"sample_rate": 8000, "cutoff": 4000.0}
    made, expected = (m(recording(), **options) for m in (rounded, plain))
    assert 1e-6 < relative(made, expected) < 0.03
    streams = [m.stream(**options) for m in (rounded, plain)]
    live, other = (torch.cat([s.push(recording()), s.flush()]) for s in streams)
    assert torch.equal(live, other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "float8"}, "precision is 'float8'; choose float32, bfloat16, int8, auto"),
        ({"precision": "bfloat16"}, "source_filter_22k: bfloat16: no layer of the network"),
        ({"precision": "bfloat16", "name": "griffin-lim"}, "griffin-lim: bfloat16: no layer"),
    ],
)
def test_what_is_refused_says_why(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        vocoder.load(options.pop("name", "default"), **options)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_cpu_without_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = low("hifigan_v3")
    monkeypatch.setattr(hardware, "_bfloat16_of_cpu", str)
    monkeypatch.setattr(hardware, "_int8_of_cpu", str)
    with pytest.raises(ConfigError, match="bfloat16: this CPU has no instructions .* takes a CPU"):
        model.to("cpu")
    other = load("vocos_center")
    with pytest.raises(ConfigError, match="int8: this CPU has no instructions for it"):
        other.compute_in("int8")
    assert other.precision == "float32" and not isinstance(other.network, LowPrecision)
    with pytest.raises(ConfigError, match="bfloat16: mps has no instructions"):
        hardware.require("bfloat16", torch.device("mps"))


def test_another_runtime_has_no_lower_precision(tiny_model: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    with pytest.raises(ConfigError, match="precision bfloat16 runs in torch, not in onnx"):
        vocoder.load(tiny_model, runtime="onnx", precision="bfloat16")


@pytest.mark.parametrize(
    ("speed", "most", "expected"),
    [(1.2, 0.02, "bfloat16"), (1.05, 0.02, "float32"), (1.2, 1e-6, "float32")],
)
def test_auto_takes_what_is_faster_and_close(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, speed: float, most: float, expected: str
) -> None:
    def seconds(network: Any, features: dict[str, Tensor]) -> float:
        return 1.0 if isinstance(network, LowPrecision) else speed

    monkeypatch.setattr(choice, "_seconds", seconds)
    monkeypatch.setattr(choice, "_MOST", most)
    monkeypatch.setattr(choice.JustInTime, "compile", lambda self: None)
    assert vocoder.load(tiny_model, precision="auto").precision == expected
    assert vocoder.load(precision="auto").precision == "float32"  # no layer can be rounded


def test_commands_take_a_precision(
    vocoder_command: Command, tiny_model: Path, tmp_path: Path, clips: list[Path]
) -> None:
    clip = next(path for path in clips if path.stem == "taiwan")
    common = ("--model", tiny_model, "--precision")
    result = vocoder_command("resynth", clip, "-o", tmp_path / "a.wav", *common, "bfloat16", "-v")
    assert result.code == 0 and "PyTorch, bfloat16 products, float32 sums" in result.err
    vocoder_command("mel", clip, "-o", tmp_path / "a.npy")
    mel, target = tmp_path / "a.npy", tmp_path / "b.wav"
    assert vocoder_command("vocode", mel, "-o", target, *common, "bfloat16").code == 0
    made, other = (vocoder.read_audio(tmp_path / name)[0] for name in ("a.wav", "b.wav"))
    assert torch.equal(made, other[:, : made.shape[-1]])
    assert vocoder_command("resynth", clip, "-o", target, *common, "half").code == 2
    result = vocoder_command("resynth", clip, "-o", target, "--precision", "bfloat16")
    assert result.code == 2 and result.err.startswith("error: source_filter_22k: bfloat16: no")


def test_bench_reports_what_is_lost(
    vocoder_command: Command, tiny_model: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice.JustInTime, "compile", lambda self: None)
    clip = next(path for path in clips if path.stem == "taiwan")
    short = ("--seconds", "0.2", "--rounds", "1", "--threads", "1")
    result = vocoder_command("bench", "precision", tiny_model, clip, *short, "--json")
    assert (result.code, result.err) == (0, "")
    (found,) = json.loads(result.out)["results"]
    same, rounded, refused = found["runs"]
    assert same["loss"]["difference"] <= 1e-5 and same["loss"]["distance"] < 0.01
    assert 1e-5 < rounded["loss"]["difference"] < 0.05
    assert 0.001 < rounded["loss"]["distance"] < 3.0
    assert rounded["speed"] > 0 and rounded["path"].startswith("PyTorch, bfloat16")
    assert refused["refused"].startswith("tiny: int8: ") and refused["loss"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--precision", "float8"), "there is no precision 'float8'; give float32, bfloat16, int8"),
        (("--rounds", "0"), "threads and rounds are numbers from 1 on"),
    ],
)
def test_bench_refuses_bad_options(
    vocoder_command: Command, options: tuple[str, ...], words: str
) -> None:
    result = vocoder_command("bench", "precision", *options)
    assert result.code == 2 and words in result.err


def test_bench_needs_recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no recordings given.* name some files"):
        bench.recordings([])
