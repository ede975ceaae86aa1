"""Plans are verified when they are made: a stream that differs from one call is refused."""

import functools
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from vocoder.errors import ConfigError
from vocoder.streaming import packed
from vocoder.streaming.graph import to_double
from vocoder.streaming.plan import Plan
from vocoder.streaming.rules import operations
from vocoder.streaming.rules.base import Crop, Rule


def plan_of(module: nn.Module) -> Plan:
    rng = torch.Generator().manual_seed(0)
    examples = (torch.randn(2, 3, 8, generator=rng), torch.randn(1, 3, 13, generator=rng))
    return Plan(module, *({"x": x} for x in examples))


def one_node(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function that a tracer records without looking inside, as it does with those of torch."""

    @functools.wraps(function)
    def call(x: Tensor) -> Tensor:
        if has_torch_function_unary(x):
            return handle_torch_function(call, (x,), x)
        return function(x)

    return call


@one_node
def leaking(x: Tensor) -> Tensor:
    """Local, except that a ten-thousandth of the step before is added."""
    return x + 1e-4 * torch.roll(x, 1, -1)


@one_node
def reversed_nan(x: Tensor) -> Tensor:
    """Not local, but all its values are NaN."""
    return torch.flip(x, [-1]) * float("nan")


@one_node
def reversed_logarithm(x: Tensor) -> Tensor:
    """Not local, and NaN in some places."""
    return torch.where(x.isfinite(), torch.flip(x, [-1]) * 0.0, x).div(torch.flip(x, [-1]).relu())


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("function", [leaking, reversed_nan, reversed_logarithm])
def test_operation_that_depends_on_other_steps_is_refused(
    function: Callable[[Tensor], Tensor],
) -> None:
    with pytest.raises(ConfigError, match="cannot stream|differs from one call by nan"):
        plan_of(Applied(function))


class Shifted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(-1)[..., 1:]


def test_wrong_rule_of_an_operation_is_detected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(operation: Any, held: int) -> Rule:
        return Crop(axis=-1, left=0, right=0, held_until_flush=held)

    plan_of(Shifted())
    monkeypatch.setitem(operations.RULES, "cumsum", wrong)
    with pytest.raises(ConfigError, match="differs from one call by"):
        plan_of(Shifted())


@pytest.fixture
def forget_kernels() -> Any:
    packed.kernels_agree.cache_clear()
    yield
    packed.kernels_agree.cache_clear()


def wrong(*_: Any) -> Tensor:
    return torch.zeros(1, 40, 6)


def missing(*_: Any) -> Tensor:
    raise TypeError("_linear_pointwise() takes 9 arguments")


@pytest.mark.usefixtures("forget_kernels")
@pytest.mark.parametrize("operator", [wrong, missing])
def test_private_kernels_with_other_results_are_not_used(
    operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = torch.randn(6, 8)
    public = lambda x: x  # noqa: E731
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", operator, raising=False)
    assert packed.packed_linear(weight, None) is None
    settings = {"stride": 1, "dilation": 1, "groups": 1}
    assert packed.packed_conv(weight[..., None], None, **settings, otherwise=public) is public


class OnMps:
    """As much of a tensor on an mps device, which has no double precision, as is asked for."""

    device = torch.device("mps")

    def cpu(self) -> Tensor:
        return torch.ones(2)

    def double(self) -> Tensor:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")


def test_verification_of_a_network_on_mps_runs_on_the_cpu() -> None:
    verified = to_double(cast(Tensor, OnMps()))
    assert (verified.device.type, verified.dtype) == ("cpu", torch.float64)
