"""Matrix products whose result does not depend on how many columns are computed together.

The rounding of a sum in single precision depends on the order of its additions, which in libraries
changes with the number of columns. That matters where errors grow: a phase accumulates the rounding
of F0, and iterations on a spectrum amplify it, until a stream differs from the one-shot output. In
double precision, rounded once at the end, the sums agree.
"""

import torch
from torch import Tensor, nn


def chunk_invariant_matmul(matrix: Tensor, columns: Tensor) -> Tensor:
    """Matrix product, equal for any number of columns.   Shape: [M, K], [B, K, F] → [B, M, F]."""
    return (matrix.double() @ columns.double()).to(columns.dtype)


def make_chunk_invariant(module: nn.Module) -> None:
    """Make linear layers and ungrouped 1-D convolutions compute in double precision, in place.

    Inputs and outputs of these layers stay in single precision. For inference only: the weights are
    converted.
    """
    for layer in module.modules():
        dense = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d) and layer.groups == 1)
        if dense and layer.weight.dtype != torch.float64:
            layer.double()
            layer.register_forward_pre_hook(_to_double)
            layer.register_forward_hook(_to_single)


def is_chunk_invariant(module: nn.Module) -> bool:
    """Whether `make_chunk_invariant` was called on any part of `module`."""
    return any(parameter.dtype == torch.float64 for parameter in module.parameters())


def _to_double(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].double(),)


def _to_single(_: nn.Module, __: tuple[Tensor], output: Tensor) -> Tensor:
    return output.float()
