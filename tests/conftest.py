"""Fixtures that several test files use: a tiny model, and real recordings."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from vocoder.build import build
from vocoder.checkpoint import ModelConfig, save_model
from vocoder.cli import main
from vocoder.features.mel import MelSpec

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
    """Convolutions by PyTorch itself.

    oneDNN first compiles one for each new shape, which takes most of the time of narrow networks on
    short signals of many lengths.
    """
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


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
    """What a command line did."""

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
