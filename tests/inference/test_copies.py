"""Copies of loaded models, in this process and in others, give the same outputs bit for bit."""

import copy
import io
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import vocoder
from tests.inference.models import NAMES, load, outputs, recording, same


def stored(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "torch.save": stored,
}


FAST = ("vocos_center", "hifi_gan_bwe")


@pytest.mark.parametrize(
    "name",
    [each if each in FAST else pytest.param(each, marks=pytest.mark.slow) for each in NAMES],
)
def test_copies_are_equal_and_make_plans_of_their_own(name: str) -> None:
    model = load(name)
    expected = outputs(model)
    for make in COPIES.values():
        other = make(model)
        assert not other._plans
        assert other._planning is not model._planning
        assert same(outputs(other), expected)
        assert (other.config, other.num_parameters) == (model.config, model.num_parameters)


def test_a_copy_is_saved_as_the_original_is(tiny_model: Path, tmp_path: Path) -> None:
    copied = pickle.loads(pickle.dumps(vocoder.load(tiny_model)))
    copied.save(tmp_path / "copy")
    weights = (tiny_model / "model.safetensors").read_bytes()
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == weights


def test_an_open_stream_cannot_be_copied(tiny_model: Path) -> None:
    model, extender = vocoder.load(tiny_model), vocoder.load_extender()
    live = [model.stream(), model.mel_stream(sample_rate=8000), extender.stream(sample_rate=8000)]
    for stream in live:
        for make in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be copied .* open a stream of it there"):
                make(stream)


class Vocoded(Dataset[Tensor]):
    """A data set whose workers vocode."""

    def __init__(self, model: vocoder.Vocoder) -> None:
        self.model = model

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        return outputs(self.model)[1 + index % 2].flatten()[:1000]


@pytest.mark.slow
def test_models_go_to_spawned_processes_and_loader_workers(tiny_model: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    models = [vocoder.load(tiny_model), vocoder.load_extender()]
    with spawn.Pool(1) as pool:
        for model in models:
            assert same(pool.apply(outputs, [model]), outputs(model))
    data = Vocoded(models[0])
    for context in ("fork", "spawn"):
        loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=context)
        assert same(list(loader), list(data))


def test_a_recording_is_not_silent() -> None:
    assert recording().abs().max() > 0.1
