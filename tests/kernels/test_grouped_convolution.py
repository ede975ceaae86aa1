"""Grouped convolution and its gradients against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("llvmlite")
from vocoder.kernels import convolution
from vocoder.kernels.convolution import grouped_conv1d
from vocoder.kernels.switch import reference_only

# Inputs and outputs of a group, groups, taps, stride, padding, samples: whole tiles and remainders,
# fewer samples than a tile or than taps, a stride that leaves phases without taps.
SHAPES = [
    (32, 32, 4, 41, 2, 20, 700),
    (8, 16, 16, 41, 4, 20, 129),
    (4, 4, 2, 41, 1, 20, 33),
    (4, 12, 3, 7, 4, 3, 1025),
    (4, 8, 2, 3, 5, 0, 64),
    (8, 4, 2, 41, 4, 20, 3),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_output_and_gradients_are_those_of_pytorch(shape: tuple[int, ...], threads: int) -> None:
    inputs, outputs, groups, taps, stride, padding, samples = shape
    torch.manual_seed(0)
    x = torch.randn(3, groups * inputs, samples, requires_grad=True)
    weight = torch.randn(groups * outputs, inputs, taps, requires_grad=True)
    bias = torch.randn(groups * outputs, requires_grad=True)
    leaves, before = (x, weight, bias), torch.get_num_threads()
    settings = {"stride": stride, "padding": padding, "groups": groups}
    expected = F.conv1d(*(leaf.double() for leaf in leaves), **settings)  # type: ignore[arg-type]
    grad = torch.randn(expected.shape)
    wanted = torch.autograd.grad(expected, leaves, grad.double())
    torch.set_num_threads(threads)
    try:
        y = grouped_conv1d(*leaves, **settings)
        assert "_Grouped" in type(y.grad_fn).__name__
        found = torch.autograd.grad(y, leaves, grad)
    finally:
        torch.set_num_threads(before)
    for made, exact in zip((y, *found), (expected, *wanted), strict=True):
        assert made.shape == exact.shape
        assert (made - exact).abs().max() <= 1e-5 * exact.abs().max()


def test_only_wanted_gradients_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from vocoder.kernels.grouped import convolution as kernels

    monkeypatch.setattr(kernels, "weight_gradient", None)
    x, weight = torch.randn(1, 8, 50, requires_grad=True), torch.randn(8, 4, 5)
    grouped_conv1d(x, weight, None, stride=1, padding=2, groups=2).sum().backward()
    assert x.grad is not None


def test_second_derivative_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 8, 30, requires_grad=True), torch.randn(8, 4, 5, requires_grad=True)
    found = []
    for convolve in (
        lambda: grouped_conv1d(x, weight, None, stride=2, padding=2, groups=2),
        lambda: F.conv1d(x, weight, None, 2, 2, 1, 2),
    ):
        (slope,) = torch.autograd.grad(convolve().square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), (x, weight)))
    for made, expected in zip(*found, strict=True):
        assert (made - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_pytorch_runs_what_kernels_do_not(dtype: torch.dtype) -> None:
    x, weight = torch.randn(1, 8, 20, dtype=dtype), torch.randn(8, 4, 5, dtype=dtype)
    y = grouped_conv1d(x, weight, None, stride=1, padding=2, groups=2)
    assert torch.equal(y, F.conv1d(x, weight, None, 1, 2, 1, 2))


def test_pytorch_runs_other_groups_and_the_reference() -> None:
    has = convolution._has_kernel
    x = torch.randn(1, 8, 20)
    assert has(x, torch.randn(8, 4, 5), 2)
    assert not has(x, torch.randn(8, 2, 5), 4)  # two channels in a group
    assert not has(x, torch.randn(8, 8, 5), 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert not has(x, torch.randn(8, 4, 5), 2)
    with reference_only():
        assert not has(x, torch.randn(8, 4, 5), 2)
