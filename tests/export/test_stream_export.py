"""Exported streaming steps: the file, and the runner that says how it is used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from torch import Tensor

import vocoder
from tests.conftest import SMALL, SPEC, TINY
from vocoder.build import build
from vocoder.checkpoint import ModelConfig
from vocoder.errors import CheckpointError, ConfigError
from vocoder.export.stream.export import export_stream
from vocoder.export.stream.runner import StepRunner
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator
from vocoder.generators.pitched.nsf import NSFHiFiGAN
from vocoder.inference.vocoder import Vocoder
from vocoder.nn.pitch import NoPitch

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

CHUNK = 4


@pytest.fixture(scope="module")
def model() -> Vocoder:
    torch.manual_seed(0)
    config = ModelConfig(
        name="tiny",
        mel=MelSpec.preset("hifigan_22k_80"),
        generator=dict(TINY),
        licences={"code": "Apache-2.0"},
    )
    return Vocoder(build(config.generator), config)


@pytest.fixture(scope="module")
def path(model: Vocoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("step") / "step.onnx"
    made = export_stream(model.generator, model.config, path, chunk=CHUNK)
    assert made.parity is not None and made.parity.difference < 1e-5
    return path


@pytest.fixture(scope="module")
def runner(path: Path) -> StepRunner:
    return StepRunner(path)


def mel_of(model: Vocoder, frames: int) -> Tensor:
    audio = torch.randn(frames * 256, generator=torch.Generator().manual_seed(frames))
    return model.mel(0.1 * audio, sample_rate=model.sample_rate)


def streamed(model: Vocoder, mel: Tensor) -> NDArray[Any]:
    stream = model.stream()
    return np.concatenate([stream.push(mel).numpy(), stream.flush().numpy()])


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(0, 30), cuts=st.lists(st.integers(0, 30), max_size=6))
def test_the_joined_audio_is_that_of_a_stream(
    model: Vocoder, runner: StepRunner, frames: int, cuts: list[int]
) -> None:
    mel = mel_of(model, frames) if frames else torch.empty(80, 0)
    runner.reset()
    pieces = np.split(mel.numpy(), sorted(min(cut, frames) for cut in cuts), axis=1)
    made = np.concatenate([*map(runner.push, pieces), runner.flush()])
    expected = streamed(model, mel) if frames else np.zeros(0)
    assert made.shape == expected.shape == (256 * frames,)
    np.testing.assert_allclose(made, expected, atol=1e-5 * (1 + np.abs(expected).max(initial=0.0)))


def test_audio_comes_as_early_as_from_a_stream(model: Vocoder, runner: StepRunner) -> None:
    mel = mel_of(model, 5 * CHUNK)
    runner.reset()
    stream = model.stream()
    for piece in torch.split(mel, CHUNK, dim=1):
        assert len(runner.push(piece.numpy())) == len(stream.push(piece))


def test_the_file_says_what_a_program_needs(model: Vocoder, path: Path) -> None:
    loaded = onnx.load(path)
    onnx.checker.check_model(loaded)
    facts = {entry.key: entry.value for entry in loaded.metadata_props}
    assert facts["step.chunk"] == "4" and facts["step.rate"] == "256"
    assert facts["step.delay"] == str(model.plan().latency) and facts["step.offset"] == "0"
    assert facts["sample_rate"] == "22050" and "Apache-2.0" in facts["licences"]
    inputs = [value.name for value in loaded.graph.input]
    outputs = [value.name for value in loaded.graph.output]
    assert inputs[:2] == ["mel", "count"] and outputs[0] == "audio"
    assert outputs[1:] == [f"next_{name}" for name in inputs[2:]]
    for value in [*loaded.graph.input, *loaded.graph.output]:
        assert all(dim.dim_value > 0 for dim in value.type.tensor_type.shape.dim)


def test_wrong_use_is_refused_and_changes_nothing(model: Vocoder, runner: StepRunner) -> None:
    mel = mel_of(model, 6).numpy()
    runner.reset()
    begun = runner.push(mel)
    with pytest.raises(ConfigError, match=r"mel has the shape \[79, 6\].*\[80, 'f'\]"):
        runner.push(mel[1:])
    with pytest.raises(ConfigError, match="one array for each of: mel"):
        runner.push(mel, mel[0])
    rest = runner.flush()
    np.testing.assert_allclose(
        np.concatenate([begun, rest]), streamed(model, torch.from_numpy(mel)), atol=1e-5
    )
    with pytest.raises(ConfigError, match="flushed"):
        runner.push(mel)


def test_other_files_are_refused(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    loaded = onnx.load(path)
    del loaded.metadata_props[:]
    onnx.save(loaded, str(other))
    with pytest.raises(CheckpointError, match="other.onnx: not a streaming step.*--stream"):
        StepRunner(other)
    other.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="other.onnx: onnxruntime cannot load it"):
        StepRunner(other)
    with pytest.raises(CheckpointError, match="none.onnx: cannot be read"):
        StepRunner(tmp_path / "none.onnx")


def test_an_extender_takes_whole_hops(tmp_path: Path) -> None:
    extender = vocoder.load_extender()
    generator, config = extender.generator, extender.config
    path = tmp_path / "step.onnx"
    with pytest.raises(ConfigError, match="chunk of 1000 does not fit.*256 samples"):
        export_stream(generator, config, path, chunk=1000)
    assert not path.exists()
    made = export_stream(generator, config, path, chunk=1024)
    assert made.parity is not None and made.parity.difference < 1e-4
    runner = StepRunner(path)
    audio = 0.1 * np.random.default_rng(0).standard_normal(256 * 11).astype(np.float32)
    with torch.inference_mode():
        whole = generator(torch.from_numpy(audio)[None, None]).flatten().numpy()
    joined = np.concatenate([runner.push(audio[:700]), runner.push(audio[700:]), runner.flush()])
    np.testing.assert_allclose(joined, whole, atol=1e-4 * np.abs(whole).max())


def test_f0_is_an_input_where_it_cannot_be_estimated(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = dict(SMALL)
    generator = NSFHiFiGAN(mel=SPEC, pitch=NoPitch(f_min=60.0, f_max=600.0), **sizes).freeze()
    config = ModelConfig(name="nsf", mel=SPEC, generator={})
    path = tmp_path / "step.onnx"
    made = export_stream(generator, config, path)
    assert made.step.inputs == ("mel", "f0")
    runner = StepRunner(path)
    mel, f0 = torch.randn(20, 21), torch.full((21,), 200.0)
    with torch.inference_mode():
        whole = generator(mel[None], f0[None]).flatten().numpy()
    joined = np.concatenate([runner.push(mel.numpy(), f0.numpy()), runner.flush()])
    np.testing.assert_allclose(joined, whole, atol=1e-4 * np.abs(whole).max())
    with pytest.raises(ConfigError, match="different numbers of steps"):
        StepRunner(path).push(mel.numpy(), f0[1:].numpy())


class Whole(Generator):
    """A generator whose samples depend on all frames."""

    features = ("mel",)

    def forward(self, mel: Tensor) -> Tensor:
        return (mel - mel.mean(-1, keepdim=True)).sum(1).repeat_interleave(256, -1)[:, None]


def test_a_model_that_cannot_stream_is_refused_by_name(tmp_path: Path) -> None:
    config = ModelConfig(name="whole", mel=MelSpec.preset("hifigan_22k_80"), generator={})
    with pytest.raises(ConfigError, match="^whole: .*mean.* cannot stream"):
        export_stream(Whole(hop_length=256).freeze(), config, tmp_path / "step.onnx")
    assert not (tmp_path / "step.onnx").exists()
