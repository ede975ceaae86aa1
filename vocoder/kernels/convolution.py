"""Grouped convolution of signals: compiled kernels on a CPU, PyTorch's convolution elsewhere."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.kernels.jit.compiler import is_available
from vocoder.kernels.switch import kernels_allowed

_MULTIPLE = 4  # of the channels of a group that the kernels handle


def grouped_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int, padding: int, groups: int
) -> Tensor:
    """Convolution without dilation, as `torch.nn.functional.conv1d` computes it.

    Kernels run it in float32 on a CPU, 2 to 5 times as fast as PyTorch where groups have few
    channels. Differentiable; a second derivative is computed by PyTorch.

    Shape: x [B, C, T], weight [O, C / groups, K] → [B, O, (T + 2 * padding - K) // stride + 1].

    Args:
        x: Signals.
        weight: Taps.
        bias: Added to each output channel; None for nothing.
        stride: Samples between outputs.
        padding: Zeros at each end.
        groups: Groups of channels that are convolved separately.
    """
    if not _has_kernel(x, weight, groups):
        return F.conv1d(x, weight, bias, stride, padding, 1, groups)
    settings = stride, padding, groups
    y: Tensor = _Grouped.apply(x, weight, bias, settings)  # type: ignore[no-untyped-call]
    return y


def _has_kernel(x: Any, weight: Tensor, groups: int) -> bool:
    if not isinstance(x, Tensor) or x.dim() != 3 or not kernels_allowed():
        return False
    suited = groups > 1 and not (
        weight.shape[0] // groups % _MULTIPLE or weight.shape[1] % _MULTIPLE
    )
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    return suited and plain and not torch.is_autocast_enabled("cpu") and is_available()


class _Grouped(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[int, int, int]
    ) -> Tensor:
        from vocoder.kernels.grouped.convolution import Shape, forward

        ctx.settings = Shape(*settings)
        ctx.save_for_backward(x, weight, bias)
        return forward(x, weight.contiguous(), bias, ctx.settings)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        from vocoder.kernels.grouped.convolution import input_gradient, weight_gradient

        x, weight, bias = ctx.saved_tensors
        grad, needed = grads[0], ctx.needs_input_grad
        if torch.is_grad_enabled():  # with create_graph
            return *_plain_backward(grad, (x, weight, bias), ctx.settings), None
        own = weight.contiguous()
        return (
            input_gradient(grad, own, ctx.settings, x.shape[-1]) if needed[0] else None,
            weight_gradient(grad, x, own, ctx.settings) if needed[1] else None,
            grad.sum((0, 2)) if needed[2] else None,
            None,
        )


def _plain_backward(
    grad: Tensor, inputs: tuple[Tensor, Tensor, Tensor | None], settings: tuple[int, int, int]
) -> list[Tensor | None]:
    """Gradients that can be differentiated again."""
    stride, padding, groups = settings
    y = F.conv1d(*inputs, stride, padding, 1, groups)
    wanted = [each for each in inputs if each is not None and each.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return [next(found) if each is not None and each.requires_grad else None for each in inputs]
