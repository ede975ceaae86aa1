"""Every system exports to ONNX and computes what PyTorch does, for any length and batch."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import vocoder
from tests.training.conftest import composed, settings
from vocoder.build import build
from vocoder.checkpoint import ALIASES, ModelConfig, find_model, load_model
from vocoder.dsp.stft import istft, stft
from vocoder.errors import CheckpointError, ConfigError, VocoderError
from vocoder.export.engines import new_engine
from vocoder.export.export import export_model, exported
from vocoder.export.file import parse_onnx, read_onnx
from vocoder.export.network import to_onnx
from vocoder.export.operations.spectral import factors
from vocoder.export.parity import example_of, parity
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator
from vocoder.training.run import config_folder

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SYSTEMS = sorted(path.stem for path in (config_folder() / "system").glob("*.yaml"))
FAST = {"ap_bwe_8k_48k", "hifigan_v1_causal", "vocos_24k_causal"}
FULL = ("hifigan_v1", "bigvgan_base_24k_100", "vocos_24k", "ap_bwe_8k_48k")


def system(name: str, *, tiny: bool = True) -> tuple[Generator, ModelConfig]:
    """The frozen generator of a system with random weights, and its configuration."""
    values = settings(name, Path("none"), Path("none")) if tiny else composed(name)
    torch.manual_seed(0)
    generator = build(values["generator"], "generator").freeze()
    return generator, ModelConfig(
        name=name, mel=build(values["mel"]), generator=values["generator"]
    )


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in SYSTEMS]
)
@pytest.mark.usefixtures("one_thread")
def test_a_system_exports_and_agrees_with_pytorch(name: str) -> None:
    generator, config = system(name)
    found = parity(generator, config, exported(generator, config))
    assert found.difference <= 1e-4
    assert found.rounding is None


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_a_system_exports_at_full_size(name: str) -> None:
    generator, config = system(name, tiny=False)
    assert parity(generator, config, exported(generator, config)).difference <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ALIASES)
@pytest.mark.parametrize("use_dft", [False, True])
def test_an_embedded_model_exports(name: str, use_dft: bool) -> None:
    generator, config = load_model(find_model(name))
    content = exported(generator.freeze(), config, opset=20, use_dft=use_dft)
    found = parity(generator, config, content)
    assert found.difference <= 1e-4
    assert found.rounding is None


@pytest.mark.slow
def test_griffin_lim_exports_as_exactly_as_pytorch_rounds() -> None:
    v = vocoder.load("griffin-lim")
    found = parity(v.generator, v.config, exported(v.generator, v.config))
    assert found.difference < 0.05
    assert found.rounding is not None


def matmul_macs(model: Any, inputs: dict[str, Tensor]) -> int:
    """Multiplications of convolutions and matrix products of an ONNX model on these inputs."""
    for value in model.graph.input:
        for dim, size in zip(
            value.type.tensor_type.shape.dim, inputs[value.name].shape, strict=True
        ):
            dim.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    }
    shapes |= {value.name: list(value.dims) for value in inferred.graph.initializer}
    total = 0
    for node in inferred.graph.node:
        if node.op_type == "MatMul":
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        if node.op_type in ("Conv", "ConvTranspose"):
            assert node.op_type == "Conv"
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    return total


@pytest.mark.slow
def test_the_export_of_vocos_costs_little_more_than_vocos() -> None:
    generator, config = system("vocos_24k", tiny=False)
    features = example_of(generator, config.mel, 1, 100, f0=False)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        generator(**features)
    model = onnx.load_model_from_string(exported(generator, config))
    # The dense transform alone would be 8 %, and one of whole signals many times the network.
    ratio = matmul_macs(model, features) / (counter.get_total_flops() / 2)
    assert 1.0 < ratio < 1.05


class Spectra(nn.Module):
    """An STFT and its inverse."""

    def __init__(self, n_fft: int, hop_length: int, padding: Any) -> None:
        super().__init__()
        self.hop_length, self.padding = hop_length, padding
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, signal: Tensor) -> Tensor:
        kind = "same" if self.padding == "causal" else self.padding
        bins = stft(signal, self.window, hop_length=self.hop_length, padding=kind)
        return istft(bins * 2.0, self.window, hop_length=self.hop_length, padding=self.padding)


@pytest.mark.parametrize("use_dft", [False, True])
@pytest.mark.parametrize(
    ("n_fft", "hop_length", "padding"),
    [
        (16, 4, "center"),
        (96, 40, "same"),
        (130, 65, "center"),
        (256, 60, "causal"),
        (74, 10, "same"),
    ],
)
def test_transforms_agree_with_torch(
    n_fft: int, hop_length: int, padding: str, use_dft: bool
) -> None:
    module = Spectra(n_fft, hop_length, padding)
    examples = [
        {"signal": torch.randn(*shape)} for shape in ((2, 4 * hop_length), (1, 7 * hop_length))
    ]
    model = to_onnx(module, *examples, opset=18, use_dft=use_dft)
    engine = new_engine("onnx", model.SerializeToString(), threads=1)
    for hops in (3, 20):
        audio = torch.randn(2, hops * hop_length)
        expected = module(audio)
        made = engine({"signal": audio})
        assert made.shape == expected.shape
        assert (made - expected).abs().max() < 2e-5 * expected.abs().max()


class Accumulated(nn.Module):
    """A phase in double precision."""

    def forward(self, signal: Tensor) -> Tensor:
        return signal.double().cumsum(-1).float()


def test_openvino_refuses_what_needs_double_precision() -> None:
    pytest.importorskip("openvino")
    examples = [{"signal": torch.randn(*shape)} for shape in ((2, 40), (1, 70))]
    model = to_onnx(Accumulated(), *examples, opset=18).SerializeToString()
    signal = torch.randn(2, 50)
    made = new_engine("onnx", model, threads=1)({"signal": signal})
    assert torch.allclose(made, Accumulated()(signal))
    with pytest.raises(ConfigError, match="openvino refuses the model .*double precision"):
        new_engine("openvino", model, threads=1)


def test_stages_of_a_transform_are_the_cheapest() -> None:
    assert factors(16) is None
    assert factors(1024) in ((32, 32), (64, 16))
    assert factors(2 * 521) is None or sum(factors(2 * 521) or ()) < 2 * 521


def test_the_file_states_what_a_reader_needs(tmp_path: Path) -> None:
    generator, config = system("hifigan_v1")
    path = tmp_path / "a.onnx"
    export_model(generator, config, path, verify=False)
    content, read, facts = read_onnx(path)
    assert read == config
    assert (facts.kind, facts.features, facts.hop_length) == ("vocoder", ["mel"], 256)
    texts = {e.key: e.value for e in onnx.load_model_from_string(content).metadata_props}
    assert json.loads(texts["mel"]) == config.mel.to_dict()
    assert texts["sample_rate"] == "22050"


class Twisted(Generator):
    """A network with an operation that has no conversion."""

    features = ("mel",)

    def forward(self, mel: Tensor) -> Tensor:
        return torch.special.i0(mel)[:, :1].repeat_interleave(self.hop_length, dim=-1)


def test_nothing_is_written_if_the_network_cannot_be_exported(tmp_path: Path) -> None:
    config = ModelConfig(name="twisted", mel=MelSpec.preset("hifigan_22k_80"), generator={})
    with pytest.raises(ConfigError, match="no conversion of special_i0"):
        export_model(Twisted(hop_length=256), config, tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match="suffix"):
        export_model(Twisted(hop_length=256), config, tmp_path / "a.pt")
    with pytest.raises(ConfigError, match="opset is 3"):
        export_model(Twisted(hop_length=256), config, tmp_path / "a.onnx", opset=3)
    assert not list(tmp_path.iterdir())


def test_a_network_that_differs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vocoder.export import network

    def wrong(b: Any, input: Any) -> str:
        return str(b.op("Sin", input.name))

    monkeypatch.setitem(network.FUNCTIONS, "tanh", wrong)
    generator, config = system("hifigan_v1")
    with pytest.raises(ConfigError, match="differs from PyTorch .* nothing is written"):
        export_model(generator, config, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def changed(content: bytes, change: Any) -> bytes:
    model = onnx.load_model_from_string(content)
    change(model)
    return bytes(model.SerializeToString())


def outside(model: Any) -> None:
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def foreign_operator(model: Any) -> None:
    model.graph.node[0].domain = "com.example"


def inner_graph(model: Any) -> None:
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("g", model.graph))


def without_metadata(model: Any) -> None:
    del model.metadata_props[:]


def future_format(model: Any) -> None:
    facts = {e.key: e for e in model.metadata_props}["vocoder.export"]
    facts.value = facts.value.replace('"format": 1', '"format": 9')


def other_input(model: Any) -> None:
    model.graph.input[0].name = "noise"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "weights in other files"),
        (foreign_operator, "operators of com.example"),
        (inner_graph, "graphs inside"),
        (without_metadata, "without our metadata"),
        (future_format, "export format 9"),
        (other_input, "inputs"),
    ],
)
def test_a_file_from_anywhere_is_refused_in_one_line(change: Any, message: str) -> None:
    generator, config = system("hifigan_v1")
    content = changed(exported(generator, config), change)
    with pytest.raises(CheckpointError, match=message) as error:
        parse_onnx(content, "a.onnx")
    assert str(error.value).startswith("a.onnx: ")
    assert "\n" not in str(error.value)


def test_damaged_files_are_refused() -> None:
    generator, config = system("hifigan_v1")
    content = exported(generator, config)
    rng = np.random.default_rng(0)
    refused = 0
    for end in (0, 10, len(content) // 2, len(content) - 1):
        with pytest.raises(CheckpointError, match=r"^a\.onnx"):
            parse_onnx(content[:end], "a.onnx")
    for _ in range(20):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged) - 5000, len(damaged))] ^= 255
        try:
            parse_onnx(bytes(damaged), "a.onnx")
        except VocoderError:
            refused += 1
    assert refused > 5
