"""The fused anti-aliased activation against `AntiAliased` in plain PyTorch."""

import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vocoder.kernels import anti_aliased as operator, switch
from vocoder.kernels.anti_aliased import anti_aliased, has_kernel
from vocoder.kernels.jit.compiler import is_available
from vocoder.kernels.switch import reference_only
from vocoder.nn.activation import AntiAliased, Snake, SnakeBeta
from vocoder.streaming.tracing import symbolic_trace

needs_kernels = pytest.mark.skipif(not is_available(), reason="needs llvmlite")
CHANNELS = 3
KINDS: dict[str, Callable[[], nn.Module]] = {
    "snake": lambda: Snake(CHANNELS),
    "snake-beta": lambda: SnakeBeta(CHANNELS, log_scale=True),
    "leaky-relu": lambda: nn.LeakyReLU(0.1),
}


def make(kind: str = "snake-beta", *, causal: bool = False) -> AntiAliased:
    act = KINDS[kind]()
    for parameter in act.parameters():
        parameter.data.uniform_(0.3, 2.0)
    return AntiAliased(act, causal=causal)


def gradients(model: Any, x: Tensor, grad: Tensor) -> list[Tensor]:
    """The output, and gradients of the input and the parameters."""
    x = x.detach().requires_grad_()
    y = model(x)
    return [y, *torch.autograd.grad(y, [x, *model.parameters()], grad)]


def error(found: Tensor, exact: Tensor) -> float:
    return ((found - exact).abs().max() / exact.abs().max()).item()


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def is_fused(y: Tensor) -> bool:
    return "vocoder_anti_aliased" in type(y.grad_fn).__name__


@needs_kernels
@pytest.mark.parametrize("steps", [1, 2, 7, 100, 511, 513, 518, 1030, 17000])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients(kind: str, causal: bool, steps: int) -> None:
    torch.manual_seed(0)
    model, x = make(kind, causal=causal), 2.0 * torch.randn(2, CHANNELS, steps)
    grad = torch.randn_like(x)
    found = gradients(model, x, grad)
    assert is_fused(found[0])
    with reference_only():
        assert error(found[0], model(x)) < 1e-6
    # In double precision, as sums of gradients cancel; has_kernel refuses it.
    exact = gradients(copy.deepcopy(model).double(), x.double(), grad.double())
    assert not is_fused(exact[0])
    for value, reference in zip(found, exact, strict=True):
        assert error(value, reference) < (2e-5 if value.dim() == 3 else 1e-4)  # these cancel


@needs_kernels
@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_a_sample_does_not_depend_on_where_its_block_begins(causal: bool) -> None:
    model, x = make(causal=causal), torch.randn(1, CHANNELS, 1500)
    y = model(x)
    for begin in (1, 13, 511, 700):
        assert torch.equal(model(x[..., begin:])[..., 10:], y[..., begin + 10 :])


@needs_kernels
@pytest.mark.usefixtures("three_threads")
def test_threads_change_nothing() -> None:
    model, x = make(), torch.randn(2, CHANNELS, 40000)
    grad = torch.randn_like(x)
    three = gradients(model, x, grad)
    torch.set_num_threads(1)
    for one, other in zip(gradients(model, x, grad), three, strict=True):
        assert torch.equal(one, other)


@needs_kernels
def test_arguments_beyond_all_precision_stay_finite() -> None:
    model, x = make("snake"), torch.randn(1, CHANNELS, 64) * 1e30
    y, by_x, by_alpha = gradients(model, x, torch.ones_like(x))
    assert y.isfinite().all()
    assert by_x.isfinite().all()
    assert by_alpha.isfinite().all()


@needs_kernels
def test_large_arguments() -> None:
    model, x = make("snake"), torch.randn(1, CHANNELS, 200)
    next(model.parameters()).data.fill_(3000.0)
    with torch.no_grad(), reference_only():
        reference = model(x)
    assert error(model(x), reference) < 1e-6


@needs_kernels
def test_bfloat16_and_memory_layout() -> None:
    model, x = make(), torch.randn(2, 50, CHANNELS).transpose(1, 2)
    y = model(x)
    assert torch.equal(y, model(x.contiguous()))
    low, by_x, *others = gradients(model, x.bfloat16(), torch.ones_like(x, dtype=torch.bfloat16))
    assert low.dtype == by_x.dtype == torch.bfloat16
    assert all(other.dtype == torch.float32 for other in others)
    assert error(low.float(), y) < 2e-2


@needs_kernels
def test_a_second_derivative_is_that_of_the_plain_code() -> None:
    model, x = make(), torch.randn(1, CHANNELS, 40, requires_grad=True)

    def second() -> Tensor:
        (first,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    found = second()
    with reference_only():
        assert error(found, second()) < 1e-5


@needs_kernels
@pytest.mark.slow
@pytest.mark.parametrize("alpha", [None, torch.tensor([0.5, 1.0, 2.0])])
def test_the_operator_keeps_the_rules_of_pytorch(alpha: Tensor | None) -> None:
    x = torch.randn(2, CHANNELS, 30, requires_grad=True)
    if alpha is not None:
        alpha = alpha.clone().requires_grad_()
    beta = None if alpha is None else alpha.detach().clone().requires_grad_()
    arguments = (x, alpha, beta, 0.1, alpha is None)
    torch.library.opcheck(torch.ops.vocoder.anti_aliased.default, arguments)


@needs_kernels
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_models_keep_the_kernel(backend: str) -> None:
    model, x = make(), torch.randn(2, CHANNELS, 60)
    grad = torch.randn_like(x)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    for one, other in zip(gradients(model, x, grad), gradients(compiled, x, grad), strict=True):
        assert torch.equal(one, other)


class _Operator(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return anti_aliased(x, slope=0.1)


@pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning")
def test_exported_and_traced_models_have_the_plain_code() -> None:
    model, x = make().requires_grad_(False), torch.randn(2, CHANNELS, 60)
    with reference_only():
        reference = model(x)
    exported = torch.export.export(model, (x,))
    assert "vocoder" not in exported.graph_module.code
    assert error(exported.module()(x), reference) < 1e-6
    assert torch.equal(symbolic_trace(model)(x), reference)
    assert torch.equal(torch.fx.symbolic_trace(model)(x), reference)
    assert torch.equal(torch.jit.trace(model, x)(x), reference)  # type: ignore[no-untyped-call]


@needs_kernels
def test_the_operator_itself_can_be_exported() -> None:
    x, steps = torch.randn(2, CHANNELS, 60), torch.export.Dim("steps", min=2, max=1000)
    exported = torch.export.export(_Operator(), (x,), dynamic_shapes={"x": {2: steps}})
    assert "vocoder.anti_aliased" in exported.graph_module.code
    assert torch.equal(exported.module()(x[..., :33]), _Operator()(x[..., :33]))


def test_without_kernels_the_plain_code_runs_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(operator, "is_available", lambda: False)
    operator._installed.cache_clear()
    model, x = make(), torch.randn(1, CHANNELS, 20)
    with caplog.at_level(logging.INFO):
        assert not is_fused(model(x))
        model(x)
    operator._installed.cache_clear()
    assert [line for line in caplog.messages if "pip install 'vocoder[fast]'" in line] == [
        "anti-aliased activations run as plain PyTorch code; "
        "kernels need llvmlite: pip install 'vocoder[fast]'"
    ]


def test_what_has_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(1, CHANNELS, 20)
    assert not has_kernel(x.double())
    assert not has_kernel(x.half())
    assert not has_kernel(x.to("meta"))
    assert not has_kernel(x[0])
    assert not is_fused(AntiAliased(nn.Softplus())(x.requires_grad_()))
    assert not is_fused(AntiAliased(Snake(1))(x))  # one for all channels
    monkeypatch.setattr(switch, "_plain", 1)
    assert not has_kernel(x)
