"""Lookup of the streaming rule of an operation.

Operations along time are listed in `operations`. Every other one must be local, which is verified
on an example: a local operation commutes with cutting its input.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vocoder.streaming.graph import Operation, Slot, steps, to_double
from vocoder.streaming.rules.base import Local, Rule
from vocoder.streaming.rules.operations import RULES

_TOLERANCE = 1e-9  # of the peak, in double precision: sums of other lengths round otherwise
_SINGLE_TOLERANCE = 1e-6  # where an operation itself gives single precision


def find_rule(operation: Operation, held: Sequence[int]) -> Rule:
    """The streaming rule of an operation, given the `held_until_flush` of its inputs.

    Raises ConfigError, naming the module, if the operation combines steps in a way without a rule.
    """
    target = operation.target
    make = RULES.get(type(target) if isinstance(target, nn.Module) else target)
    alone = len(operation.inputs) == 1 and operation.argument(0, "input") == Slot(0)
    rule = make(operation, held[0]) if make and alone else None
    return rule or _local(operation, min(held))


def _local(operation: Operation, held_until_flush: int) -> Local:
    before = steps(operation.inputs[0].long, operation.inputs[0].axis)
    after = steps(operation.output.long, operation.output.axis)
    if after % before or not _commutes(operation, before, after // before):
        raise operation.refuse("each output step depends on many input steps, or on all")
    axes = [signal.axis for signal in operation.inputs]
    blank = operation.target in (torch.ones_like, torch.zeros_like)
    return Local(
        operation.function,
        axes=axes,
        rate=after // before,
        held_until_flush=held_until_flush,
        blank=blank,
    )


def _commutes(operation: Operation, size: int, rate: int) -> bool:
    """Whether parts of the input give the same parts of the output: the first step, and the rest.

    Compared in double precision, where dependence on other steps cannot be taken for rounding.
    """
    function = operation.in_double_precision()
    inputs = [(_double(signal.long), signal.axis) for signal in operation.inputs]
    axis = operation.output.axis
    try:
        with torch.inference_mode():
            whole = function(*(value for value, _ in inputs))
            for begin, end in ((0, 1), (1, size)):
                made = function(*(_cut(value, along, begin, end) for value, along in inputs))
                if not _close(made, _cut(whole, axis, begin * rate, end * rate)):
                    return False
    except (RuntimeError, IndexError, ValueError):
        return False  # it works for the length of the example only
    return True


def _cut(value: Any, axis: int, begin: int, end: int) -> Any:
    return tree_map_only(Tensor, lambda x: x.narrow(axis, begin, end - begin), value)


def _double(value: Any) -> Any:
    return tree_map_only(Tensor, to_double, value)


def _close(a: Any, b: Any) -> bool:
    """Whether all tensors agree within rounding; NaN and infinities must be equal."""
    if not isinstance(a, Tensor):
        return all(_close(x, y) for x, y in zip(a, b, strict=True))
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not (a.is_floating_point() or a.is_complex()):
        return torch.equal(a, b)
    finite = torch.isfinite(a) & torch.isfinite(b)
    special_a, special_b = a[~finite], b[~finite]
    if not torch.equal(special_a.isnan(), special_b.isnan()):
        return False
    if not torch.equal(torch.nan_to_num(special_a), torch.nan_to_num(special_b)):
        return False
    if not finite.any():
        return True
    double = a.dtype in (torch.float64, torch.complex128)
    error, peak = (a - b)[finite].abs().max(), b[finite].abs().max()
    return bool(error <= (_TOLERANCE if double else _SINGLE_TOLERANCE) * peak)
