"""Which rule an operation follows.

Operations that look along time are listed in `operations`. Everything else must be local, and that
is not believed but tried: a local operation commutes with cutting its input.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vocoder.streaming.graph import Operation, Slot, steps
from vocoder.streaming.operations import RULES
from vocoder.streaming.rules import Local, Rule

_TOLERANCE = 1e-3  # of the peak: sums of other lengths round otherwise


def find_rule(operation: Operation, held: Sequence[int]) -> Rule:
    """The rule of this operation, given the `held_until_flush` of its inputs.

    Raises ConfigError, naming the module, if the operation looks along time in another way.
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
        raise operation.refuse("each of its outputs depends on many steps, or on all")
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
    """Whether a part of the input gives that part of the output, for the first and the last."""
    wanted = operation.output
    for begin, end in ((0, 1), (1, size)):
        parts = [_cut(signal.long, signal.axis, begin, end) for signal in operation.inputs]
        try:
            with torch.inference_mode():
                made = operation.function(*parts)
        except (RuntimeError, IndexError, ValueError):
            return False  # it wants the length of the example
        if not _close(made, _cut(wanted.long, wanted.axis, begin * rate, end * rate)):
            return False
    return True


def _cut(value: Any, axis: int, begin: int, end: int) -> Any:
    return tree_map_only(Tensor, lambda x: x.narrow(axis, begin, end - begin), value)


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        if a.shape != b.shape:
            return False
        a, b = (x if x.is_floating_point() or x.is_complex() else x.double() for x in (a, b))
        error = torch.nan_to_num((a - b).abs().double())
        peak = torch.nan_to_num(b.abs().double())
        return a.numel() == 0 or bool(error.max() <= _TOLERANCE * peak.max())
    return all(_close(x, y) for x, y in zip(a, b, strict=True))
