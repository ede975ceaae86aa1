"""Convolutions, layer norm and GELU on rows against PyTorch's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("llvmlite")
from vocoder.inference.compiled.nodes.base import Node, RowSignal
from vocoder.inference.compiled.nodes.channelwise import Depthwise, Norm
from vocoder.inference.compiled.nodes.convolution import (
    Convolution,
    Epilogue,
    FastConvolution,
    Taps,
)
from vocoder.inference.compiled.program import Program
from vocoder.inference.compiled.session import Session
from vocoder.kernels.rows import convolution, toom_cook


def run(
    node: Node, source: RowSignal, result: RowSignal, x: torch.Tensor, piece: int
) -> torch.Tensor:
    """Output of a node for x [C, T], in pieces of so many steps."""
    session, made = Session(Program([node], [source], [result]), piece), []
    parts = x.split(piece, dim=1)
    for number, part in enumerate(parts, 1):
        (place,) = session.input(part.shape[1])
        place[:, : len(x)] = part.T
        made.append(session.step(part.shape[1], last=number == len(parts))[0].copy())
    return torch.from_numpy(np.concatenate(made))[:, : result.channels].T


def filled(values: torch.Tensor, signal: RowSignal) -> np.ndarray:
    row = np.zeros(signal.width, np.float32)
    row[: len(values)] = values
    return row


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("size", "dilation"), [(3, 1), (7, 3), (11, 5), (5, 2), (4, 1)])
@pytest.mark.parametrize(("inside", "out"), [(32, 64), (9, 5)])
def test_convolution_equals_torchs_in_any_pieces(
    inside: int, out: int, size: int, dilation: int, fast: bool
) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(inside, 133), torch.randn(out, inside, size), torch.randn(out)
    padding = (size - 1) * dilation // 2
    reference = F.conv1d(x[None], weight, bias, padding=padding, dilation=dilation)[0]
    source, result = RowSignal(inside, 1), RowSignal(out, 1)
    padded = np.zeros((result.width, inside, size), np.float32)
    padded[:out] = weight
    node = (FastConvolution if fast else Convolution)(
        source,
        [Taps(-padding, padded, 0)],
        filled(bias, result),
        Epilogue(result),
        dilation=dilation,
        growth=2 * padding - (size - 1) * dilation,
    )
    for piece in (133, 40, 7):
        error = (run(node, source, result, x, piece) - reference).abs().max()
        assert error <= 5e-6 * reference.abs().max()


def test_sums_of_toom_and_cook_are_exact() -> None:
    for size in (3, 4):
        inputs, taps, outputs = (np.array(m, dtype=float) for m in toom_cook.matrices(size))
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal(size + 3), rng.standard_normal(size)
        direct = [x[i : i + size] @ w for i in range(4)]
        np.testing.assert_allclose(outputs @ ((taps @ w) * (inputs @ x)), direct, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 50])
def test_depthwise_convolution_equals_torchs(steps: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(24, steps), torch.randn(24, 1, 7), torch.randn(24)
    source, result = RowSignal(24, 1), RowSignal(24, 1)
    taps = np.zeros((7, result.width), np.float32)
    taps[:, :24] = weight[:, 0].T
    node = Depthwise((source,), (result,), taps, filled(bias, result), -3, 1, 0)
    reference = F.conv1d(x[None], weight, bias, padding=3, groups=24)[0]
    assert torch.allclose(run(node, source, result, x, 20), reference, atol=1e-5)


def test_layer_norm_equals_torchs() -> None:
    torch.manual_seed(0)
    x, weight, bias = 3.0 + torch.randn(64, 10), torch.randn(64), torch.randn(64)
    source, result = RowSignal(64, 1), RowSignal(64, 1)
    node = Norm((source,), (result,), weight.numpy(), bias.numpy(), 1e-6)
    reference = F.layer_norm(x.T, (64,), weight, bias, 1e-6).T
    assert torch.allclose(run(node, source, result, x, 10), reference, atol=1e-5)


def test_gelu_behind_a_convolution_equals_torchs() -> None:
    x = torch.linspace(-8.0, 8.0, 97)[None].repeat(16, 1)
    source, result = RowSignal(16, 1), RowSignal(16, 1)
    weight = np.zeros((result.width, 16, 1), np.float32)
    weight[:16, :, 0] = np.eye(16)
    end = Epilogue(None, result, act=convolution.GELU)
    none = np.zeros(result.width, np.float32)
    node = Convolution(source, [Taps(0, weight, 0)], none, end)
    error = run(node, source, result, x, 97) - F.gelu(x.double())
    assert error.abs().max() <= 1e-6
