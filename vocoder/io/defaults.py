"""Construction that does not depend on torch's global default dtype and device."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Functions whose result has the default dtype if they are given none,
_FLOATING = {
    *(torch.empty, torch.empty_strided, torch.empty_permuted, torch.zeros, torch.ones, torch.eye),
    *(torch.rand, torch.randn, torch.linspace, torch.logspace, torch.fft.fftfreq),
    *(torch.fft.rfftfreq, torch.hann_window, torch.hamming_window, torch.blackman_window),
    *(torch.bartlett_window, torch.kaiser_window),
}
# and those where it depends on the values that they are given.
_MIXED = {torch.arange, torch.full, torch.tensor, torch.as_tensor, torch.asarray}


class Float32OnCpu(TorchFunctionMode):
    """A context in which new tensors are float32 on the CPU, whatever torch's defaults are.

    It holds for the thread that enters it; an explicit dtype or device, also that of a
    `torch.device` context inside, has precedence. Every call of torch takes longer in it: it is for
    building networks and filters, not for running them.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func` with the dtype and the device that it would have by torch's own defaults."""
        if func not in _FLOATING and func not in _MIXED:
            return func(*args, **(kwargs or {}))
        given = dict(kwargs or {})
        if given.get("device") is None:  # `as_tensor(x)` keeps that of x
            given["device"] = args[0].device if args and isinstance(args[0], Tensor) else "cpu"
        if given.get("dtype") is None and (func in _FLOATING or _holds_floats(args, given)):
            given["dtype"] = torch.float32
        return func(*args, **given)


def _holds_floats(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether Python floats are among arguments, at any depth."""
    values = [*args, *kwargs.values()]
    return any(
        isinstance(value, float) or (isinstance(value, list | tuple) and _holds_floats(value, {}))
        for value in values
    )
