"""Anti-aliased activations as one operator, `torch.ops.vocoder.anti_aliased`, with gradients.

On a CPU it runs compiled kernels (`signals.anti_aliased`), on a GPU Triton's
(`triton.anti_aliased`). The reference is `vocoder.nn.activation.AntiAliased` in plain PyTorch.
"""

import functools
import importlib.util
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from vocoder.dsp.lowpass import anti_aliasing_taps, downsample2, upsample2
from vocoder.kernels.jit.compiler import is_available
from vocoder.kernels.switch import kernels_allowed

EPS = 1e-9  # as published: keeps the division finite where a learned magnitude reaches 0
_DTYPES: dict[str, tuple[torch.dtype, ...]] = {
    "cpu": (torch.float32, torch.bfloat16),
    "cuda": (torch.float32, torch.bfloat16, torch.float16),
}
_log = logging.getLogger(__name__)

_PARAMETERS = "Tensor? alpha, Tensor? beta, float slope, bool causal"
torch.library.define("vocoder::anti_aliased", f"(Tensor x, {_PARAMETERS}) -> Tensor")
torch.library.define(
    "vocoder::anti_aliased_backward",
    f"(Tensor grad, Tensor x, {_PARAMETERS}) -> (Tensor, Tensor, Tensor)",
)


def has_kernel(x: Any) -> bool:
    """Whether `anti_aliased` may run on `x` here, and faster than plain PyTorch code.

    Not for the symbols of `torch.fx`, and not where `kernels_allowed` says so.
    """
    if not isinstance(x, Tensor) or x.dim() != 3 or not kernels_allowed():
        return False
    kind = x.device.type
    return kind in _DTYPES and x.dtype in _DTYPES[kind] and _is_installed(kind)


@functools.cache
def _installed(kind: str) -> bool:
    found = is_available() if kind == "cpu" else importlib.util.find_spec("triton") is not None
    if not found:
        missing = "llvmlite: pip install 'vocoder[fast]'" if kind == "cpu" else "triton"
        _log.info("anti-aliased activations run as plain PyTorch code; kernels need %s", missing)
    return found


def _is_installed(kind: str) -> bool:
    """Whether there are kernels for a kind of device: asked once, also by `torch.compile`."""
    return _installed(kind)


# What torch.compiler.assume_constant_result sets, for which it imports the whole compiler.
_is_installed._dynamo_marked_constant = True  # type: ignore[attr-defined]


def anti_aliased(
    x: Tensor,
    alpha: Tensor | None = None,
    beta: Tensor | None = None,
    *,
    slope: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """Double the rate, apply Snake or a leaky ReLU, and halve the rate, in one pass.

    Differentiable; a second derivative is computed by the plain code. The sums of a gradient have
    one order, whatever the number of threads.

    Shape: x [B, C, T] → same; alpha, beta [C].

    Args:
        x: Signals in float32 or bfloat16, on a GPU also float16; computed in float32.
        alpha: Frequencies of Snake, which is x + sin²(αx) / β; None for a leaky ReLU.
        beta: Inverse magnitudes of Snake.
        slope: Of the leaky ReLU below 0.
        causal: Whether no output depends on a later sample.
    """
    y: Tensor = torch.ops.vocoder.anti_aliased(x, alpha, beta, slope, causal)
    return y


def plain(
    x: Tensor, alpha: Tensor | None, beta: Tensor | None, slope: float, causal: bool
) -> Tensor:
    """What `anti_aliased` computes, in plain PyTorch code."""
    taps = anti_aliasing_taps().to(x)
    u = upsample2(x, taps, causal=causal)
    if alpha is None or beta is None:
        u = torch.nn.functional.leaky_relu(u, slope)
    else:
        u = u + torch.sin(alpha[:, None] * u).square() / (beta[:, None] + EPS)
    return downsample2(u, taps, causal=causal)


def _forward_cpu(x: Tensor, *parameters: Any) -> Tensor:
    from vocoder.kernels.signals import anti_aliased as cpu

    alpha, beta, slope, causal = parameters
    return cpu.forward(x, alpha, beta, slope=slope, causal=causal)


def _backward_cpu(grad: Tensor, x: Tensor, *parameters: Any) -> tuple[Tensor, Tensor, Tensor]:
    from vocoder.kernels.signals import anti_aliased as cpu

    alpha, beta, slope, causal = parameters
    return _present(x, *cpu.backward(grad, x, alpha, beta, slope=slope, causal=causal))


def _forward_cuda(x: Tensor, *parameters: Any) -> Tensor:
    from vocoder.kernels.triton import anti_aliased as cuda

    alpha, beta, slope, causal = parameters
    kind: cuda.Kind = "leaky_relu" if alpha is None else "snake_beta"
    taps = _taps(x.device)
    return cuda.forward(x, taps, alpha, beta, kind=kind, slope=slope, causal=causal)


def _backward_cuda(grad: Tensor, x: Tensor, *parameters: Any) -> tuple[Tensor, Tensor, Tensor]:
    from vocoder.kernels.triton import anti_aliased as cuda

    alpha, beta, slope, causal = parameters
    kind: cuda.Kind = "leaky_relu" if alpha is None else "snake_beta"
    taps = _taps(x.device)
    found = cuda.backward(grad, x, taps, alpha, beta, kind=kind, slope=slope, causal=causal)
    return _present(x, *found)


@functools.cache
def _taps(device: torch.device) -> Tensor:
    return anti_aliasing_taps().to(device)


def _present(x: Tensor, grad: Tensor, *others: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with an empty tensor where there is no parameter, as an operator returns them."""
    alpha, beta = (x.new_empty(0) if other is None else other for other in others)
    return grad, alpha, beta


def _forward_fake(x: Tensor, *parameters: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _backward_fake(
    grad: Tensor, x: Tensor, alpha: Tensor | None, beta: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    parts = (None if each is None else torch.empty_like(each) for each in (alpha, beta))
    return _present(x, like, *parts)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.rest = inputs[3:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, alpha, beta = ctx.saved_tensors
    if torch.is_grad_enabled():  # with create_graph
        return *_plain_backward(grad, (x, alpha, beta), ctx.rest), None, None
    found = torch.ops.vocoder.anti_aliased_backward(grad, x, alpha, beta, *ctx.rest)
    parts = (found[0], *found[1:]) if alpha is not None else (found[0], None, None)
    return *parts, None, None


def _plain_backward(
    grad: Tensor, inputs: tuple[Tensor, Tensor | None, Tensor | None], rest: tuple[float, bool]
) -> Iterator[Tensor | None]:
    """Gradients that can be differentiated again."""
    wanted = [each for each in inputs if each is not None and each.requires_grad]
    y = plain(*inputs, *rest)
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return (next(found) if each is not None and each.requires_grad else None for each in inputs)


torch.library.impl("vocoder::anti_aliased", "cpu", _forward_cpu)
torch.library.impl("vocoder::anti_aliased", "cuda", _forward_cuda)
torch.library.register_fake("vocoder::anti_aliased", _forward_fake)
torch.library.impl("vocoder::anti_aliased_backward", "cpu", _backward_cpu)
torch.library.impl("vocoder::anti_aliased_backward", "cuda", _backward_cuda)
torch.library.register_fake("vocoder::anti_aliased_backward", _backward_fake)
torch.library.register_autograd("vocoder::anti_aliased", _backward, setup_context=_save)
