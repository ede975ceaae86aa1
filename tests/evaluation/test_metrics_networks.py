"""Networks that score without a reference, by tiny models of the same signatures."""

import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.evaluation.metrics.metric import measure
from vocoder.evaluation.metrics.quality import squim
from vocoder.evaluation.scoring import Scoring


def network(path: Path, outputs: int, *, samples: int | str = "T") -> Path:
    """Of the mean magnitude of the audio, `outputs` multiples."""
    shape = [1, outputs] if outputs > 1 else [1]
    factors = helper.make_tensor("factors", TensorProto.FLOAT, shape, range(1, outputs + 1))
    nodes = [
        helper.make_node("Abs", ["audio"], ["magnitude"]),
        helper.make_node("ReduceMean", ["magnitude"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["factors", "mean"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, [1, samples])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)],
        [factors],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Path]:
    return {
        "dnsmos": network(tmp_path / "dnsmos.onnx", 3, samples=144160),
        "utmos": network(tmp_path / "utmos.onnx", 1),
    }


def levelled(*levels: float, rate: int = 16000) -> Tensor:
    """Noise of +1 and -1 times a level for each second."""
    signs = torch.randn(len(levels) * rate, generator=torch.Generator().manual_seed(0)).sign()
    return signs * torch.tensor(levels).repeat_interleave(rate)


def polynomial(a: float, b: float, c: float, x: float) -> float:
    return a * x * x + b * x + c


def test_dnsmos_is_the_published_polynomial_of_the_outputs(weights: dict[str, Path]) -> None:
    """A short file is repeated, so its mean magnitude stays."""
    audio = levelled(0.4)
    names = ("dnsmos_speech", "dnsmos_background", "dnsmos")
    scorers = {name: METRICS[name].scorer(weights=weights) for name in names}
    scores = measure(pickle.loads(pickle.dumps(scorers)), torch.zeros(16000), audio, 16000)
    assert scores["dnsmos_speech"] == pytest.approx(
        polynomial(-0.08397278, 1.22083953, 0.0052439, 0.4), abs=1e-3
    )
    assert scores["dnsmos_background"] == pytest.approx(
        polynomial(-0.13166888, 1.60915514, -0.39604546, 0.8), abs=1e-3
    )
    assert scores["dnsmos"] == pytest.approx(
        polynomial(-0.06766283, 1.11546468, 0.04602535, 1.2), abs=1e-3
    )


@pytest.mark.parametrize(("seconds", "windows"), [(9, 9), (10, 1), (11, 2), (13, 4)])
def test_dnsmos_averages_windows_of_nine_seconds(
    seconds: int, windows: int, weights: dict[str, Path]
) -> None:
    """Nine seconds are a little short: twice, they have nine windows."""
    audio = levelled(*([0.1] * 5 + [0.3] * (seconds - 5)))
    looped = torch.cat([audio, audio])
    means = [
        looped[start : start + 144160].abs().mean().item()
        for start in range(0, windows * 16000, 16000)
    ]
    expected = np.mean([polynomial(-0.08397278, 1.22083953, 0.0052439, mean) for mean in means])
    score = METRICS["dnsmos_speech"].scorer(weights=weights)(audio, audio, 16000)
    assert score == pytest.approx(float(expected), abs=1e-3)


def test_utmos_hears_the_estimate_at_16_khz(weights: dict[str, Path]) -> None:
    seconds = torch.arange(48000) / 48000
    tone = 0.5 * torch.sin(2 * torch.pi * 440.0 * seconds)
    score = METRICS["utmos"].scorer(weights=weights)(torch.zeros(48000), tone, 48000)
    assert score == pytest.approx(0.5 * 2 / torch.pi, rel=1e-2)


@pytest.mark.parametrize("name", ["dnsmos", "utmos"])
def test_what_is_silent_or_short_has_no_quality(name: str, weights: dict[str, Path]) -> None:
    score = METRICS[name].scorer(weights=weights)
    with pytest.raises(AudioError, match="silent"):
        score(levelled(0.1), torch.zeros(16000), 16000)
    with pytest.raises(AudioError, match=r"under 0\.25 s"):
        score(levelled(0.1)[:3000], levelled(0.1)[:3000], 16000)


def test_weights_must_be_given_and_fit(weights: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give its weights: --weights utmos=FILE"):
        Scoring(metrics=["utmos"])
    with pytest.raises(ConfigError, match=r"nowhere\.onnx: no such file"):
        Scoring(weights={"utmos": tmp_path / "nowhere.onnx"})
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    audio = levelled(0.1)
    with pytest.raises(ConfigError, match=r"text\.onnx: no ONNX model"):
        METRICS["utmos"].scorer(weights={"utmos": text})(audio, audio, 16000)
    with pytest.raises(ConfigError, match="gives 1 numbers; DNSMOS"):
        METRICS["dnsmos"].scorer(weights={"dnsmos": weights["utmos"]})(audio, audio, 16000)
    with pytest.raises(ConfigError, match="fails"):
        METRICS["utmos"].scorer(weights={"utmos": weights["dnsmos"]})(audio, audio, 16000)


def test_given_weights_are_used_and_stated(weights: dict[str, Path]) -> None:
    scoring = Scoring(weights=weights)
    chosen = {"dnsmos", "dnsmos_speech", "dnsmos_background", "utmos"}
    assert chosen <= set(scoring.metrics)
    stated = {scoring.facts[name]["weights"] for name in chosen}
    assert len(stated) == 2
    assert "weights" not in scoring.facts["log_mel"]


@pytest.fixture
def torchaudio(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A stand-in for the package, whose network gives the mean magnitude three times."""
    pipelines = types.ModuleType("torchaudio.pipelines")

    class Bundle:
        sample_rate = 16000

        @staticmethod
        def get_model() -> object:
            return lambda audio: [audio.abs().mean(-1) * factor for factor in (1, 2, 3)]

    pipelines.SQUIM_OBJECTIVE = Bundle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchaudio", types.ModuleType("torchaudio"))
    monkeypatch.setitem(sys.modules, "torchaudio.pipelines", pipelines)
    squim._model.cache_clear()
    yield pipelines
    squim._model.cache_clear()


def test_squim_scores_the_estimate(torchaudio: types.ModuleType) -> None:
    audio = levelled(0.2)
    names = ("squim_stoi", "squim_pesq", "squim_si_sdr")
    scores = measure({n: METRICS[n].scorer() for n in names}, torch.zeros(16000), audio, 16000)
    assert [scores[name] for name in names] == pytest.approx([0.2, 0.4, 0.6], rel=1e-4)
    with pytest.raises(AudioError, match="silent"):
        METRICS["squim_pesq"].scorer()(audio, torch.zeros(16000), 16000)


def test_squim_says_what_is_lost(
    torchaudio: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = levelled(0.2)

    def offline() -> object:
        raise OSError("no network")

    monkeypatch.setattr(torchaudio.SQUIM_OBJECTIVE, "get_model", offline)
    with pytest.raises(ConfigError, match=r"cannot load the weights of SQUIM \(no network\)"):
        METRICS["squim_stoi"].scorer()(audio, audio, 16000)
    monkeypatch.setitem(sys.modules, "torchaudio.pipelines", None)
    with pytest.raises(ConfigError, match="SQUIM needs torchaudio, which cannot be loaded"):
        METRICS["squim_stoi"].scorer()(audio, audio, 16000)
