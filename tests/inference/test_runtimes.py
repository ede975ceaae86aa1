"""Loaded models run in onnxruntime and OpenVINO as they do in PyTorch."""

import gc
import logging
import pickle
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import vocoder
from vocoder.errors import CheckpointError, ConfigError
from vocoder.export import engines
from vocoder.export.export import export_model
from vocoder.inference.runtimes import choice
from vocoder.inference.runtimes.stages import Blocks
from vocoder.io.cache import VARIABLE, cache_directory

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "_remembered", {})
    return tmp_path / "cache"


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_model_directory_runs_in_a_runtime(runtime: str, tiny_model: Path, cache: Path) -> None:
    pytest.importorskip(engines.PACKAGES[runtime])
    reference = vocoder.load(tiny_model, runtime="torch")
    v = vocoder.load(tiny_model, runtime=runtime)
    mel = reference.mel(torch.randn(9000), sample_rate=22050)
    assert relative(v(mel), reference(mel)) < 1e-5
    assert v.network.path.startswith({"onnx": "ONNX Runtime", "openvino": "OpenVINO"}[runtime])
    copied = pickle.loads(pickle.dumps(v))
    assert torch.equal(copied(mel), v(mel))
    files = list(cache.glob("*.onnx"))
    assert len(files) == 1
    again = vocoder.load(tiny_model, runtime=runtime)
    assert torch.equal(again(mel), v(mel))
    assert list(cache.glob("*.onnx")) == files


def test_signals_arrive_after_a_model_was_deleted(tiny_model: Path) -> None:
    pytest.importorskip("openvino")
    v = vocoder.load(tiny_model, runtime="openvino")
    v(torch.full((80, 9), -5.0))
    del v
    gc.collect()
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        signal.raise_signal(signal.SIGUSR1)  # on a CPU with AMX, OpenVINO changes the stack for it
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


def test_without_a_writable_cache_models_run_too(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no directory")
    for place in ("", str(tmp_path / "file" / "cache")):
        monkeypatch.setenv(VARIABLE, place)
        v = vocoder.load(tiny_model, runtime="onnx")
        assert v(torch.full((80, 9), -5.0)).shape == (9 * 256,)
        assert choice.remember(tiny_model, {"torch": 1.0, "onnx": 2.0}) == "onnx"
        assert choice.best_runtime(tiny_model) == "onnx"


def test_auto_is_torch_until_a_measurement_says_otherwise(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert vocoder.load(tiny_model).network.path.startswith(("PyTorch", "compiled"))
    choice.remember(tiny_model, {"torch": 1.0, "onnx": 3.0})
    with caplog.at_level(logging.INFO):
        v = vocoder.load(tiny_model)
    assert v.network.path.startswith("ONNX Runtime")
    assert "runs in ONNX Runtime" in caplog.text
    assert vocoder.load(tiny_model, runtime="torch").network.path != v.network.path
    (weights,) = tiny_model.glob("*.safetensors")
    weights.touch()  # another file, for which nothing was measured
    assert not vocoder.load(tiny_model).network.path.startswith("ONNX")


def test_threads_follow_torch(tiny_model: Path, one_thread: None) -> None:
    v = vocoder.load(tiny_model, runtime="onnx")
    assert v.network.path == "ONNX Runtime, 1 thread"
    first = v.network.engine(("mel",))
    torch.set_num_threads(2)
    assert v.network.path == "ONNX Runtime, 2 threads"
    assert v.network.engine(("mel",)) is not first


def test_what_cannot_be_is_an_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="runtime is 'tvm'; choose auto, torch, onnx, openvino"):
        vocoder.load(tiny_model, runtime="tvm")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'vocoder\[onnx\]'"):
        vocoder.load(tiny_model, runtime="onnx")


def test_a_file_is_a_vocoder(tiny_model: Path, tmp_path: Path) -> None:
    reference = vocoder.load(tiny_model, runtime="torch")
    path = tmp_path / "a.onnx"
    export_model(reference.generator, reference.config, path)
    v = vocoder.load(path)
    assert (v.sample_rate, v.spec, v.num_parameters) == (
        reference.sample_rate,
        reference.spec,
        reference.num_parameters,
    )
    audio = torch.randn(2 * 22050)
    mine, theirs = (m.resynth(audio, sample_rate=22050) for m in (v, reference))
    assert relative(mine, theirs) < 1e-5
    with pytest.raises(ConfigError, match="no graph to stream; use the model directory"):
        v.stream()
    with pytest.raises(ConfigError, match="passes no gradients"):
        v.differentiable(torch.zeros(80, 9, requires_grad=True))
    with pytest.raises(ConfigError, match="PyTorch needs the model directory"):
        vocoder.load(path, runtime="torch")
    with pytest.raises(CheckpointError, match="it is of the kind vocoder"):
        vocoder.load_extender(path)
    with pytest.raises(CheckpointError, match="no such file"):
        vocoder.load(tmp_path / "b.onnx")
    (tmp_path / "c.onnx").write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match=r"c\.onnx: not an ONNX model"):
        vocoder.load(tmp_path / "c.onnx")


@pytest.mark.slow
def test_the_embedded_extender_as_a_file(tmp_path: Path, clips: list[Path]) -> None:
    reference = vocoder.load_extender(runtime="torch")
    path = tmp_path / "a.onnx"
    export_model(reference.generator, reference.config, path)
    audio, rate = vocoder.read_audio(clips[0])
    narrow = audio[:, : 3 * rate]
    expected = reference(narrow, sample_rate=rate, cutoff=4000)
    made = vocoder.load_extender(path)(narrow, sample_rate=rate, cutoff=4000)
    assert relative(made, expected) < 1e-4


@pytest.mark.parametrize("reach", [(6, 4), (0, 0), None])
def test_blocks_equal_one_call(reach: tuple[int, int] | None) -> None:
    before, after = reach or (20, 20)
    taps = torch.randn(1, 1, before + after + 1)

    def network(x: torch.Tensor) -> torch.Tensor:
        return torch.conv1d(torch.nn.functional.pad(x, (before, after)), taps)

    signal = torch.randn(1, 1, 104)
    blocks = Blocks(network, reach=reach, size=20, most=1000)
    made = [blocks.step(piece) for piece in torch.split(signal, 10, dim=-1)]
    made.append(blocks.step(None, last=True))
    joined = torch.cat([x for x in made if x is not None], dim=-1)
    assert relative(joined, network(signal)) < 1e-5
    assert (reach is None) == all(x is None for x in made[:-1])


def test_commands_take_files(
    vocoder_command: Callable[..., object], tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.onnx"
    done = vocoder_command("export", tiny_model, "-o", path)
    assert (done.code, done.err) == (0, "")
    assert "tiny, opset 18" in done.out
    assert "of PyTorch's peak" in done.out
    assert "not checked" in vocoder_command("export", tiny_model, "-o", path, "--no-check").out
    mels = Path(__file__).parents[2] / "egs" / "mels"
    source = next(iter(sorted(mels.glob("*.npy"))))
    for model, runtime in ((path, "auto"), (tiny_model, "onnx"), (tiny_model, "torch")):
        target = tmp_path / f"{model.name}-{runtime}.wav"
        done = vocoder_command(
            "vocode", source, "-o", target, "--model", model, "--runtime", runtime
        )
        assert done.code == 0
        assert target.stat().st_size > 1000
    tuned = vocoder_command("tune", tiny_model)
    assert tuned.code == 0
    assert "--runtime auto is now" in tuned.out
    refused = vocoder_command("export", tiny_model, "-o", tmp_path / "a.onnx", "--opset", "1")
    assert refused.code == 2
    assert "opset is 1; choose from 18" in refused.err


def test_the_cache_has_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_directory() == tmp_path / "cache"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "vocoder"
    monkeypatch.setenv(VARIABLE, "")
    assert cache_directory() is None
