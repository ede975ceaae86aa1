"""Matrix products that do not depend on how much is computed together.

A sum in single precision is rounded in the order in which a library adds, and that order changes
with the number of columns. Mostly nobody cares; but a phase adds up what rounding does to F0, and
iterations on a spectrum amplify it, until a stream would not equal the whole. In double precision,
rounded once at the end, the sums agree.
"""

import torch
from torch import Tensor, nn


def chunk_invariant_matmul(matrix: Tensor, columns: Tensor) -> Tensor:
    """`matrix` @ `columns`, the same for any number of columns.   Shape: [M, K], [B, K, F]."""
    return (matrix.double() @ columns.double()).to(columns.dtype)


def make_chunk_invariant(module: nn.Module) -> None:
    """Let every layer in `module` that is a matrix product compute in double precision, in place.

    Inputs and outputs stay in single precision. For inference only: the weights are converted.
    """
    for layer in module.modules():
        dense = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d) and layer.groups == 1)
        if dense and layer.weight.dtype != torch.float64:
            layer.double()
            layer.register_forward_pre_hook(_widen)
            layer.register_forward_hook(_round)


def is_chunk_invariant(module: nn.Module) -> bool:
    """Whether `make_chunk_invariant` was called on any part of it."""
    return any(parameter.dtype == torch.float64 for parameter in module.parameters())


def _widen(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].double(),)


def _round(_: nn.Module, __: tuple[Tensor], output: Tensor) -> Tensor:
    return output.float()
