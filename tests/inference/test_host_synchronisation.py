"""No generator waits for its device: a GPU can capture it, and is not kept idle."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vocoder.inference.extender import Extender

from .models import NAMES, load


class OneDevice(TorchDispatchMode):
    """Refuses every operation with tensors on two devices, as a copy between them has."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, made))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, Tensor)}
        assert len(devices) <= 1, f"{func} copies from {sorted(devices)}"
        return made


def refused(*_: Any, **__: Any) -> Tensor:
    raise AssertionError("values of Python are copied to the device, which waits for it")


def run_without_values(module: nn.Module, **shapes: Sequence[int]) -> Tensor:
    """Output of a module on the meta device, whose tensors have shapes, but no values.

    What would read a value there, as `item`, `nonzero`, `cpu` and a branch on a tensor do, raises
    an error; on a GPU it would wait until everything before it is computed.
    """
    module = module.to("meta")
    inputs = {name: torch.empty(list(shape), device="meta") for name, shape in shapes.items()}
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode(), OneDevice():
        for place, name in ((torch, "tensor"), (torch, "as_tensor"), (Tensor, "new_tensor")):
            patch.setattr(place, name, refused)
        audio: Tensor = module(**inputs)
    return audio


@pytest.mark.parametrize("name", NAMES)
def test_generators_do_not_wait_for_the_device(name: str) -> None:
    model = load(name)
    generator = model.generator
    hop, frames = generator.hop_length, 40
    shapes: dict[str, list[int]] = {"noise": [2, hop, frames], "narrowband": [2, 1, hop * frames]}
    if not isinstance(model, Extender):
        shapes["mel"] = [2, model.spec.n_mels, frames]
    given = {feature: shapes[feature] for feature in generator.features if feature != "f0"}
    wanted = (2, 1, generator.samples(frames))
    assert run_without_values(generator, **given).shape == wanted
    if "f0" in generator.features:
        assert run_without_values(generator, **given, f0=[2, frames]).shape == wanted


class Waiting(nn.Module):
    """Modules that wait, each in another way."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def forward(self, mel: Tensor) -> Tensor:
        ways = {
            "item": lambda: mel * mel.max().item(),
            "branch": lambda: -mel if mel.sum() > 0 else mel,
            "nonzero": lambda: mel[mel > 0],
            "to the host": lambda: mel.cpu(),
            "to the device": lambda: mel + torch.ones(3).to(mel.device),
            "numbers": lambda: mel + torch.tensor([1.0, 2.0, 3.0], device=mel.device),
        }
        made: Tensor = ways[self.way]()
        return made


@pytest.mark.parametrize(
    "way", ["item", "branch", "nonzero", "to the host", "to the device", "numbers"]
)
def test_waiting_is_found(way: str) -> None:
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
        run_without_values(Waiting(way), mel=[1, 2, 3])
