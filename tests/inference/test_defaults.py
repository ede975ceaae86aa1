"""Models are built and run in float32 on their device, whatever torch's global defaults are."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from tests.inference.models import NAMES, load, outputs, same
from vocoder.io.defaults import Float32OnCpu

DEFAULTS: tuple[torch.dtype | str, ...]
DEFAULTS = (torch.float64, torch.float16, torch.bfloat16, "meta")


@contextmanager
def default(value: torch.dtype | str) -> Iterator[None]:
    """Another default dtype, or another default device."""
    try:
        torch.set_default_device(value) if isinstance(value, str) else torch.set_default_dtype(
            value
        )
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


def check(name: str, value: torch.dtype | str) -> None:
    expected = outputs(load(name))
    with default(value):
        assert same(outputs(load(name)), expected), "at load and call"
    model = load(name)
    with default(value):
        assert same(outputs(model), expected), "at the first call"
        model = load(name)
    assert same(outputs(model), expected), "at load"


@pytest.mark.parametrize(
    ("name", "value"),
    [("griffin-lim", torch.float64), ("vocos_center", "meta")],
)
def test_outputs_do_not_depend_on_the_default_dtype_or_device(
    name: str, value: torch.dtype | str
) -> None:
    check(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("value", DEFAULTS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_outputs_of_every_model_do_not_depend_on_the_defaults(
    name: str, value: torch.dtype | str
) -> None:
    check(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["default_dtype(torch.float64)", "default_device('meta')"])
def test_defaults_that_change_before_the_import_change_nothing(change: str) -> None:
    code = """
import sys, torch
torch.set_{}
from tests.inference.models import load, outputs
made = [each for name in ("default", "griffin-lim", "extender") for each in outputs(load(name))]
torch.set_default_device(None)
print([(str(each.dtype), each.double().sum().item()) for each in made])
"""
    printed = [
        subprocess.run(
            [sys.executable, "-c", code.format(each)], check=True, capture_output=True, text=True
        ).stdout
        for each in (change, "default_dtype(torch.float32)")
    ]
    assert printed[0] == printed[1]
    assert printed[0].count("torch.float32") > 10


def test_the_context_gives_float32_on_the_cpu_and_leaves_what_is_stated() -> None:
    with default(torch.float64), Float32OnCpu():
        layer = nn.LSTM(2, 3)
        made = [torch.zeros(1), torch.tensor([[1.0]]), torch.arange(2.0), torch.full((1,), 0.5)]
        whole = [torch.arange(3), torch.tensor([1, 2]), torch.full((1,), 2)]
        stated = torch.ones(1, dtype=torch.float16)
        complex_ = torch.tensor([1j], dtype=torch.complex128)
    assert {each.dtype for each in [*made, *layer.parameters()]} == {torch.float32}
    assert {each.dtype for each in whole} == {torch.int64}
    assert (stated.dtype, complex_.dtype) == (torch.float16, torch.complex128)
    with default("meta"), Float32OnCpu():
        with torch.device("meta"):
            assert torch.zeros(1).device.type == "meta"
        assert torch.as_tensor(torch.zeros(1, device="meta")).device.type == "meta"
        assert nn.Linear(2, 2).weight.device.type == "cpu"
    with default(torch.float64):
        assert torch.zeros(1).dtype == torch.float64
