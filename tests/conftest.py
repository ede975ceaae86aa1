"""Fixtures for several test files: tiny models, recordings, the command line, a full disk."""

import gc
import itertools
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import absl.logging
import pytest
import torch

from vocoder.build import build
from vocoder.checkpoint import ModelConfig, save_model
from vocoder.cli.app import main
from vocoder.features.mel import MelSpec
from vocoder.generators.hifigan import HiFiGAN
from vocoder.generators.pitched.nsf import NSFHiFiGAN
from vocoder.inference.compiled import just_in_time
from vocoder.inference.vocoder import Vocoder
from vocoder.nn.pitch import MelPitch

# TensorBoard and OpenVINO log through absl, whose handler would take pytest's file for its own, and
# close it when Hydra sets up logging.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

TINY: dict[str, Any] = {
    "_target_": "vocoder.generators.hifigan.HiFiGAN",
    "hop_length": 256,
    "upsample_rates": [16, 16],
    "upsample_kernel_sizes": [32, 32],
    "channels": 8,
    "resblock": "2",
    "resblock_kernel_sizes": [3],
    "resblock_dilations": [[1, 3]],
}


SPEC = MelSpec(sample_rate=8000, n_fft=128, hop_length=32, win_length=128, n_mels=20)
SMALL = {
    "upsample_rates": [8, 4],
    "upsample_kernel_sizes": [16, 8],
    "channels": 16,
    "resblock": "1",
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilations": [[1, 3], [1, 2]],
}


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests, which it would traverse every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def tiny_config() -> ModelConfig:
    """A HiFi-GAN of a few thousand weights for the preset hifigan_22k_80."""
    return ModelConfig(
        name="tiny",
        mel=MelSpec.preset("hifigan_22k_80"),
        generator=dict(TINY),
        licences={"code": "Apache-2.0"},
        scores={"test": {"pesq_wb": 1.0}},
    )


@pytest.fixture
def tiny_model(tmp_path: Path, tiny_config: ModelConfig) -> Path:
    """A model directory with random weights."""
    torch.manual_seed(0)
    directory = tmp_path / "tiny"
    save_model(directory, build(tiny_config.generator), tiny_config)
    return directory


@pytest.fixture(scope="session")
def clips() -> list[Path]:
    """Real recordings at 22.05, 24 and 48 kHz."""
    return sorted((Path(__file__).parents[1] / "egs" / "clips").rglob("*.flac"))


@pytest.fixture
def plain_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use PyTorch's own convolutions instead of oneDNN's.

    oneDNN compiles one for each new shape, which takes most of the time of narrow networks on short
    signals of many lengths.
    """
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread: short FFTs round otherwise on several, which changes phases."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """A context in which no file can grow beyond 4 kB, as on a disk that is full."""

    @contextmanager
    def limited() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


class Result(NamedTuple):
    """Exit code and output of a command line."""

    code: int
    out: str
    err: str


@pytest.fixture
def vocoder_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run `vocoder ARGUMENTS…` in this process, as the installed command does."""

    def run(*arguments: str | Path) -> Result:
        monkeypatch.setattr("sys.argv", ["vocoder", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def streaming_error() -> Callable[..., float]:
    """A function that measures how a model's stream differs from one call, relative to the peak."""

    def measure(model: Vocoder, *, frames: int = 40, f0: bool = False) -> float:
        noise = torch.randn(frames * model.spec.hop_length) * torch.rand(1)
        mel = model.mel(noise, sample_rate=model.sample_rate)
        pitch = 80.0 + 200.0 * torch.rand(mel.shape[-1]) if f0 else None
        whole = model(mel, f0=pitch)
        stream, made, begin = model.stream(f0=f0), [], 0
        for size in itertools.cycle((1, 1, 5, 2, 23)):
            piece = slice(begin, begin + size)
            made.append(stream.push(mel[:, piece], f0=None if pitch is None else pitch[piece]))
            begin += size
            if begin >= mel.shape[-1]:
                break
        audio = torch.cat([*made, stream.flush()])
        assert audio.shape == whole.shape
        return ((audio - whole).abs().max() / whole.abs().max()).item()

    return measure


@pytest.fixture(scope="session", autouse=True)
def not_compiled() -> Iterator[None]:
    """Models run as PyTorch runs them, however much time tests take, unless a test compiles one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(just_in_time, "_SECONDS", 1e9)
        yield


def small_vocoder(*, causal: bool = False) -> Vocoder:
    torch.manual_seed(0)
    generator = HiFiGAN(n_mels=SPEC.n_mels, hop_length=SPEC.hop_length, causal=causal, **SMALL)
    return Vocoder(generator, ModelConfig(name="tiny", mel=SPEC, generator={}))


@pytest.fixture(scope="session")
def vocoder() -> Vocoder:
    return small_vocoder()


@pytest.fixture(scope="session")
def causal_vocoder() -> Vocoder:
    return small_vocoder(causal=True)


@pytest.fixture(scope="session")
def pitched_vocoder() -> Vocoder:
    torch.manual_seed(0)
    pitch = MelPitch(SPEC, channels=8, blocks=1)
    generator = NSFHiFiGAN(mel=SPEC, pitch=pitch, **SMALL)
    return Vocoder(generator, ModelConfig(name="pitched", mel=SPEC, generator={}))


@pytest.fixture
def mel() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(SPEC.n_mels, 60) - 5.0
