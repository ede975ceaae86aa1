"""Chunk-invariant products are bit-equal for any number of columns computed together."""

import torch
from torch import nn

from vocoder.kernels.chunk_invariant import (
    chunk_invariant_matmul,
    is_chunk_invariant,
    make_chunk_invariant,
)


def test_a_product_is_the_same_for_any_number_of_columns() -> None:
    torch.manual_seed(0)
    matrix, columns = torch.rand(40, 300), torch.rand(1, 300, 97)
    whole = chunk_invariant_matmul(matrix, columns)
    assert whole.dtype == torch.float32
    for size in (1, 2, 7, 32):
        assert torch.equal(
            torch.cat(
                [chunk_invariant_matmul(matrix, part) for part in columns.split(size, -1)], -1
            ),
            whole,
        )


def test_layers_become_chunk_invariant_with_results_in_single_precision() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv1d(6, 30, 3), nn.Conv1d(30, 30, 3, groups=30), nn.Conv1d(30, 5, 1)
    )
    x = torch.randn(1, 6, 50)
    plain = module(x)
    assert not is_chunk_invariant(module)
    for _ in range(2):  # the second time changes nothing
        make_chunk_invariant(module)
    assert is_chunk_invariant(module)
    whole = module(x)
    assert whole.dtype == torch.float32
    torch.testing.assert_close(whole, plain)
    pieces = [module(x[..., begin : begin + 7]) for begin in range(0, 46)]
    assert torch.equal(torch.cat([piece[..., :1] for piece in pieces[:44]], -1), whole[..., :44])
