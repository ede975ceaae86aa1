"""The Fréchet distance: closed forms, order, and what it refuses."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.frechet import OnnxEmbedding, frechet_distance, spectral_embedding
from vocoder.evaluation.scoring import Scoring, evaluate
from vocoder.io.audio import read_audio, write_audio

CLIPS = Path(__file__).parents[2] / "egs" / "clips"


def gaussian(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def test_closed_forms() -> None:
    values = gaussian(2000)
    assert frechet_distance([values], [values]) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance([values], [values + 3.0]) == pytest.approx(4 * 9.0, rel=1e-6)
    spread = values.var(0).sum().item()  # of scaled values: the trace of (2 - 1)² S
    about_zero = values - values.mean(0)
    assert frechet_distance([about_zero], [2.0 * about_zero]) == pytest.approx(spread, rel=1e-5)
    parts = list(values.split(300))
    assert frechet_distance(parts, [values]) == pytest.approx(0.0, abs=1e-9)


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(AudioError, match="7 windows of audio are too few .* which needs 8"):
        frechet_distance([gaussian(7)], [gaussian(100)])


def test_it_grows_with_noise() -> None:
    audio = read_audio(CLIPS / "nathalie" / "nl_rhasspy_863.flac")[0][0].repeat(30)
    clean = spectral_embedding(audio, 24000)
    assert clean.shape[1] == 64
    noise = torch.randn(len(audio), generator=torch.Generator().manual_seed(0))
    noisy = [spectral_embedding(audio + level * noise, 24000) for level in (0.0, 1e-4, 1e-3, 1e-2)]
    distances = [frechet_distance([clean], [each]) for each in noisy]
    assert distances == sorted(distances)
    assert distances[0] == pytest.approx(0.0, abs=1e-6)
    assert distances[-1] > 1.0


def test_an_evaluation_says_why_there_is_no_distance(tmp_path: Path) -> None:
    for folder in ("ref", "est"):
        write_audio(tmp_path / folder / "a.wav", 0.1 * torch.randn(1, 24000), 24000)
    scoring = Scoring(metrics=["log_mel"], embedding=spectral_embedding)
    report = evaluate(tmp_path / "ref", tmp_path / "est", scoring)
    assert isinstance(report.frechet, str)
    assert "too few" in report.frechet


def onnx_embedding(path: Path, rate: str | None) -> Path:
    """A model whose embedding is 100 samples each: audio [1, T] → [T / 100, 100]."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [-1, 100])
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["audio", "shape"], ["embedding"])],
        "embedding",
        [helper.make_tensor_value_info("audio", kind, [1, "T"])],
        [helper.make_tensor_value_info("embedding", kind, ["F", 100])],
        [shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if rate is not None:
        helper.set_model_props(model, {"sample_rate": rate})
    onnx.save(model, str(path))
    return path


def test_an_embedding_may_be_an_onnx_model(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    embed = OnnxEmbedding(onnx_embedding(tmp_path / "e.onnx", "16000"))
    assert embed(torch.zeros(24000), 24000).shape == (160, 100)
    with pytest.raises(AudioError, match=r"e\.onnx: fails"):
        embed(torch.zeros(1234), 16000)


def test_what_is_no_embedding_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigError, match="does not state its sample rate"):
        OnnxEmbedding(onnx_embedding(tmp_path / "e.onnx", None))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ConfigError, match=r"text\.onnx: no ONNX model"):
        OnnxEmbedding(tmp_path / "text.onnx")
    with pytest.raises(ConfigError, match="no such file"):
        OnnxEmbedding(tmp_path / "nothing.onnx")
