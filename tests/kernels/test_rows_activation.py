"""Activations on rows against the modules that they stand for."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vocoder.nn.activation import AntiAliased, SnakeBeta

pytest.importorskip("llvmlite")
from vocoder.kernels.jit.compiler import compiled, cpu
from vocoder.kernels.rows.activation import LEAKY_RELU, SNAKE, TANH, write_anti_aliased, write_plain

SLOPE = 0.1


def make(kind: int, channels: int) -> nn.Module:
    if kind == SNAKE:
        act = SnakeBeta(channels)
        act.alpha.data.uniform_(0.2, 5.0)
        act.beta.data.uniform_(0.2, 5.0)
        return act
    return nn.Tanh() if kind == TANH else nn.LeakyReLU(SLOPE)


def run(writer: object, act: nn.Module, settings: tuple[int, ...], x: Tensor, *more: int) -> Tensor:
    """The kernel's output for x [C, T]; a row of memory has 7 floats more than it needs."""
    lanes, (channels, steps) = cpu().lanes, x.shape
    vectors = -(-channels // lanes)
    buffer = torch.zeros(steps + 32, vectors * lanes + 7)  # rows of other pieces around it
    rows = buffer[16:-16]
    rows[:, :channels] = x.T
    out = torch.full_like(rows, torch.nan)
    alpha, scale = torch.zeros(2, vectors * lanes)
    if isinstance(act, SnakeBeta):
        alpha[:channels], scale[:channels] = act.alpha.detach(), 1.0 / act.beta.detach()
    addresses = [value.data_ptr() for value in (rows, out, alpha, scale)]
    sizes = (steps, rows.shape[1], out.shape[1], vectors)
    compiled(writer, *settings)(*addresses, *sizes, SLOPE, *more)  # type: ignore[arg-type]
    return out[:, :channels].T


def assert_near(y: Tensor, reference: Tensor) -> None:
    assert (y - reference).abs().max() <= 1e-6 * reference.abs().max()


@pytest.mark.parametrize("kind", [SNAKE, LEAKY_RELU, TANH])
def test_plain(kind: int) -> None:
    act, x = make(kind, 40), 3.0 * torch.randn(40, 9)
    assert_near(run(write_plain, act, (kind,), x), act(x[None])[0])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 5, 64, 150])
@pytest.mark.parametrize("kind", [SNAKE, LEAKY_RELU])
def test_anti_aliased(kind: int, steps: int, causal: bool) -> None:
    act, x = make(kind, 40), 3.0 * torch.randn(40, steps)
    y = run(write_anti_aliased, act, (kind, causal), x, 0, steps - 1)
    assert_near(y, AntiAliased(act, causal=causal)(x[None])[0])


@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_a_piece_equals_its_part_of_the_whole(causal: bool) -> None:
    act, x = make(SNAKE, 16), torch.randn(16, 300)
    whole = run(write_anti_aliased, act, (SNAKE, causal), x, 0, 299)
    for begin, end in ((0, 170), (20, 170), (100, 300), (130, 140)):
        piece = run(write_anti_aliased, act, (SNAKE, causal), x[:, begin:end], -begin, 299 - begin)
        inner = slice(0 if begin == 0 else 10, None if end == 300 else -5)
        np.testing.assert_array_equal(
            piece[:, inner].numpy(), whole[:, begin:end][:, inner].numpy()
        )


def test_rows_outside_of_the_signal_are_not_read_or_written() -> None:
    act, x = make(SNAKE, 16), torch.randn(16, 90)
    x[:, :3] = x[:, 80:] = torch.nan
    y = run(write_anti_aliased, act, (SNAKE, False), x, 3, 79)
    assert y[:, :3].isnan().all()
    assert y[:, 80:].isnan().all()
    assert_near(y[:, 3:80], AntiAliased(act)(x[None, :, 3:80])[0])
