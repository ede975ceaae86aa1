"""Matrix products and convolutions whose rounding does not depend on how many steps are computed.

The rounding of a sum in single precision depends on the order of its additions, which in libraries
changes with the number of columns. That matters where errors grow: a phase accumulates the rounding
of F0, and iterations on a spectrum amplify it, until a stream differs from the one-shot output.

On a CPU, kernels on packed weights add the products of every output in one order, whatever the
number of steps. Each layer is tested for that once. One that fails, and every layer on another
device or with gradients, computes in double precision, rounded once at the end, which agrees too.
"""

import logging
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

_log = logging.getLogger(__name__)
_Kernel = Callable[[Tensor, Tensor | None], Tensor]
_PLAIN: tuple[str, list[float], str] = ("none", [], "")  # nothing is fused behind the product
_HINT = 32  # steps that the layout is chosen for
_TESTED = (1, 2, 5, 16)  # numbers of steps that must have the bits that they have among `_MOST`
_MOST = 37
# Of each weight its address and its kernel, which is None if it did not pass the test.
_kernels: MutableMapping[Tensor, tuple[int, _Kernel | None]]
_kernels = WeakTensorKeyDictionary()


def chunk_invariant_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`, equal for any number of rows.   Shape: […, I], weight [O, I] → […, O]."""
    kernel = _kernel(weight, x, lambda: _packed_linear(weight))
    if kernel is not None:
        return kernel(x, bias)
    y = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    return y.to(x.dtype)


def chunk_invariant_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.conv1d`, equal for any number of steps.   Shape: [B, I, T] → [B, O, T'].

    On a CPU the output is laid out in memory as the input: with the channels of a step or the steps
    of a channel beside each other.
    """
    step, pad, spread = (
        n if isinstance(n, int) else tuple(n)[-1] for n in (stride, padding, dilation)
    )
    kernel = _kernel(weight, x, lambda: _packed_conv(weight, step, spread, groups))
    if kernel is not None:
        # Apart from the kernel, so that a stream, which pads its ends alone, runs the same one.
        return kernel(_padded(x, pad), bias)
    wide = None if bias is None else bias.double()
    return _double_conv(x.double(), weight.double(), wide, (step, pad, spread, groups)).to(x.dtype)


def chunk_invariant_matmul(matrix: Tensor, columns: Tensor) -> Tensor:
    """Matrix product, equal for any number of columns.   Shape: [M, K], [B, K, F] → [B, M, F]."""
    return chunk_invariant_linear(columns.mT, matrix).mT


class ChunkInvariantLinear(nn.Linear):
    """A linear layer, equal for any number of rows; what `make_chunk_invariant` makes of one."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return chunk_invariant_linear(x, self.weight, self.bias)


def double_linear(x: Tensor, weight: Tensor) -> Tensor:
    """`F.linear` in double precision, rounded at the end.   Shape: […, I], [O, I] → […, O]."""
    return (x.double() @ weight.double().mT).to(x.dtype)


def make_chunk_invariant(module: nn.Module, *, double: bool = False) -> None:
    """Make linear layers and 1-D convolutions with zero padding chunk-invariant, in place.

    With `double`, linear layers and ungrouped convolutions compute in double precision on any
    machine: for results that should not depend on the machine either, as they accumulate.
    """
    for layer in module.modules():
        dense = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d) and layer.groups == 1)
        if double and dense:
            layer.double()
        if type(layer) is nn.Linear:
            layer.__class__ = ChunkInvariantLinear
        elif isinstance(layer, nn.Conv1d) and layer.padding_mode == "zeros":
            sizes = (layer.stride, layer.padding, layer.dilation, layer.groups)
            vars(layer)["_conv_forward"] = partial(_conv_forward, sizes)


def is_chunk_invariant(module: nn.Module) -> bool:
    """Whether `make_chunk_invariant` was called on any part of `module`."""
    return any(
        isinstance(layer, ChunkInvariantLinear) or "_conv_forward" in vars(layer)
        for layer in module.modules()
    )


def _double_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, sizes: tuple[int, int, int, int]
) -> Tensor:
    """A convolution in double precision, by products of matrices: libraries have no fast kernel."""
    stride, pad, dilation, groups = sizes
    if stride > 1 or groups > 1:
        return F.conv1d(x, weight, bias, stride, pad, dilation, groups)
    frames = F.pad(x.mT, (0, 0, pad, pad))  # [B, T, I]
    count = frames.shape[1] - (weight.shape[2] - 1) * dilation
    taps = weight.permute(2, 1, 0)  # [K, I, O]
    total = frames[:, :count] @ taps[0]
    for tap in range(1, len(taps)):
        total = total + frames[:, tap * dilation : tap * dilation + count] @ taps[tap]
    return (total if bias is None else total + bias).mT


def _conv_forward(sizes: tuple[Any, ...], x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return chunk_invariant_conv1d(x, weight, bias, *sizes)


def _kernel(weight: Tensor, x: Tensor, pack: Callable[[], "_Packed"]) -> _Kernel | None:
    """The kernel of a layer with these weights, tested; None where double precision is used."""
    single = x.dtype == weight.dtype == torch.float32
    if not single or x.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return None
    address, kernel = _kernels.get(weight, (0, None))
    if address != weight.data_ptr():
        kernel = _tested(pack)
        _kernels[weight] = (weight.data_ptr(), kernel)
    return kernel


class _Packed(NamedTuple):
    """A kernel, its input for a number of output steps, the first the latest, and their axis."""

    kernel: _Kernel
    example: Callable[[int], Tensor]
    axis: int


@torch.inference_mode()
def _tested(pack: Callable[[], _Packed]) -> _Kernel | None:
    """The kernel that `pack` makes, or None unless it exists and is chunk-invariant."""
    try:
        kernel, example, axis = pack()
        whole = kernel(example(_MOST), None)
        ends = [whole.narrow(axis, _MOST - count, count) for count in _TESTED]
        if all(map(torch.equal, ends, (kernel(example(count), None) for count in _TESTED))):
            return kernel
        reason = "the rounding of its packed kernels depends on the number of steps"
    except Exception as error:  # the operators are private: another release may lack them
        reason = str(error).split("\n", 1)[0]
    _log.info("torch %s: a layer runs in double precision (%s)", torch.__version__, reason)
    return None


def _packed_linear(weight: Tensor) -> _Packed:
    blocks = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _HINT)
    rows = _noise(_MOST, weight.shape[1])

    def kernel(x: Tensor, bias: Tensor | None) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), blocks, bias, *_PLAIN)
        return y

    return _Packed(kernel, lambda count: rows[_MOST - count :], 0)


def _packed_conv(weight: Tensor, stride: int, dilation: int, groups: int) -> _Packed:
    span, channels = (weight.shape[2] - 1) * dilation + 1, weight.shape[1] * groups
    along = ([0, 0], [1, stride], [1, dilation], groups)
    blocks = torch.ops.mkldnn._reorder_convolution_weight(
        weight.detach()[:, :, None], *along, [1, channels, 1, _HINT * stride + span]
    )
    steps = _noise(1, (_MOST - 1) * stride + span, channels)

    def kernel(x: Tensor, bias: Tensor | None) -> Tensor:
        beside = _channels_beside(x)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            (x if beside else x.contiguous())[:, :, None], blocks, bias, *along, *_PLAIN
        )[:, :, 0]
        return y if beside else y.contiguous()

    return _Packed(kernel, lambda count: steps[:, (_MOST - count) * stride :].mT, 2)


def _noise(*shape: int) -> Tensor:
    rng = torch.Generator("cpu").manual_seed(0)
    return torch.randn(shape, generator=rng, device="cpu", dtype=torch.float32)


def _channels_beside(x: Tensor) -> bool:
    """Whether a signal [B, C, T] is stored with the channels of a step beside each other."""
    return x.shape[1] > 1 and x.stride(1) == 1


def _padded(x: Tensor, amount: int) -> Tensor:
    if not amount:
        return x
    if _channels_beside(x):
        return F.pad(x.mT, (0, 0, amount, amount)).mT
    return F.pad(x, (amount, amount))
