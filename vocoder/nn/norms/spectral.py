"""Spectral norm whose division is made on the outputs of a convolution instead of its weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from vocoder.kernels.switch import kernels_allowed


class SpectralNorm(parametrizations._SpectralNorm):
    """Spectral norm of a weight by its first axis, as torch's, which can return the gain alone.

    A call makes one power iteration in training mode. `signals` is the number of signals, in equal
    parts of the batch, that `convolve` treats as if they were passed one after the other.
    """

    signals = 1

    def forward(self, weight: Tensor, *, gain_only: bool = False) -> Tensor:
        """The weight divided by its gain, or the gain, a scalar."""
        if not gain_only:
            normalised: Tensor = super().forward(weight)
            return normalised
        matrix = weight.flatten(1)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Copied, because the next pass changes the vectors, of which the gradient is made.
        return torch.vdot(self._u.clone(), torch.mv(matrix, self._v.clone()))


def convolve(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution; one with spectral norm without a division of all of its weights.

    The outputs are divided by the gain instead. Shape: [B, in_channels, …] → [B, out_channels, …].
    """
    norm = _spectral_norm(conv)
    if norm is None or not kernels_allowed():
        y: Tensor = conv(x)
        return y
    assert isinstance(conv, nn.Conv1d | nn.Conv2d)
    weight = conv.get_parameter("parametrizations.weight.original")
    gains = torch.stack([norm(weight, gain_only=True) for _ in range(norm.signals)])
    y = conv._conv_forward(x, weight, None)
    factors = gains.reciprocal().repeat_interleave(len(x) // norm.signals)
    factors = factors.view(-1, *[1] * (x.dim() - 1))
    if conv.bias is None:
        return y * factors
    return torch.addcmul(conv.bias.view(1, -1, *[1] * (x.dim() - 2)), y, factors)


def _spectral_norm(conv: nn.Module) -> SpectralNorm | None:
    """The spectral norm of a plain convolution, if it has one."""
    if type(conv).forward not in (nn.Conv1d.forward, nn.Conv2d.forward):
        return None
    if not parametrize.is_parametrized(conv, "weight"):
        return None
    norm = conv.parametrizations.weight[0]  # type: ignore[union-attr, index]
    return norm if isinstance(norm, SpectralNorm) else None


@contextmanager
def several_signals(network: nn.Module, count: int) -> Iterator[None]:
    """Within the block, a batch of `network` holds `count` signals, see `SpectralNorm`."""
    norms = [module for module in network.modules() if isinstance(module, SpectralNorm)]
    for norm in norms:
        norm.signals = count
    try:
        yield
    finally:
        for norm in norms:
            del norm.signals
