"""Devices: the best one by default in training, and errors where one cannot be used."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.utils._python_dispatch import TorchDispatchMode

import vocoder
from vocoder.errors import ConfigError
from vocoder.inference import device
from vocoder.training.parallel.ranks import Ranks
from vocoder.training.run import build_system, compose
from vocoder.training.trainer import Trainer


@pytest.mark.parametrize(
    ("cuda", "mps", "best"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_is_the_best_device(
    cuda: bool, mps: bool, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert device.find_device("auto").type == best


def test_ranks_of_one_machine_take_one_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(
        "vocoder.training.parallel.ranks.find_device",
        lambda n: torch.device(n.replace("auto", "cuda")),
    )
    assert Ranks("auto").device == Ranks("cuda").device == torch.device("cuda:3")
    assert Ranks("cuda:1").device == torch.device("cuda:1")
    assert Ranks("cpu").device == torch.device("cpu")
    assert len(chosen) == 3


def test_training_uses_the_best_device_and_logs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    values = compose(["system=demo", "data.manifest=none"])
    assert values["trainer"]["device"] == "auto"
    requested = []

    def find_device(name: str) -> torch.device:
        requested.append(name)
        return torch.device("cpu")

    monkeypatch.setattr("vocoder.training.parallel.ranks.find_device", find_device)
    caplog.set_level(logging.INFO)
    with pytest.raises(vocoder.VocoderError, match="none"):  # there is no such manifest
        Trainer(build_system(values), values, console=Console(quiet=True))
    assert requested == ["auto"]
    assert "training on cpu" in caplog.text


@pytest.mark.parametrize("name", ["default", "griffin-lim"])
def test_double_precision_is_refused_where_the_device_has_none(name: str) -> None:
    v = vocoder.load(name)
    with pytest.raises(
        ConfigError, match="double precision, which mps devices lack; use the device cpu"
    ):
        v.to(torch.device("mps"))
    assert v.device.type == "cpu"


class Waits(TorchDispatchMode):
    """Counts how often a value is read off a device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


def test_only_the_first_mel_on_an_accelerator_is_checked(tiny_model: Path) -> None:
    v = vocoder.load(tiny_model)
    mel = torch.zeros(1, 80, 4, device="meta")
    v._checked = True  # by the first mel
    with Waits() as waits:
        v._warn_if_unlikely(mel, v.spec)
    assert waits.count == 0


def test_every_mel_on_the_cpu_is_checked(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    v = vocoder.load(tiny_model)
    for _ in range(2):
        caplog.clear()
        v(torch.full((80, 4), 30.0))
        assert "the mel is probably" in caplog.text


def test_a_device_that_is_not_there_is_refused(tiny_model: Path) -> None:
    v = vocoder.load(tiny_model)
    assert v.to("auto").device == device.best_device()
    with pytest.raises(ConfigError, match="'nosuch' cannot be used here"):
        v.to("nosuch")
    assert v.device == device.best_device()
