"""What stands for tensors and NumPy values while the instructions of a torch file are followed."""

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from vocoder.errors import VocoderError

PLAIN = (str, int, float, bool, type(None), bytes, complex)


class ProgramCodeError(VocoderError):
    """A file that names a class or function of a program, which is not run; `name` is its name."""

    name = ""


def program_code(name: str) -> ProgramCodeError:
    """The error for a file that names `name`."""
    name = name[:80] if name.isprintable() else ascii(name[:80])
    error = ProgramCodeError(f"holds program code ({name}), which is not run")
    error.name = name
    return error


class Storage(NamedTuple):
    """Stands for a storage: its number of values, and bytes per value."""

    values: int
    width: int

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.values * self.width


class KnownFunction:
    """A function or type that a file may name. Nothing can be set in it from the file."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """What stands for the result."""
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise TypeError("a function has no state")


class ValueWidth(int):
    """Stands for a type of storage: its bytes per value."""

    def __setstate__(self, state: object) -> None:
        raise TypeError("a type has no state")


class StandIn:
    """Stands for a tensor, an array or a scalar."""

    __slots__ = ()


class PlainDict(OrderedDict[Any, Any]):
    """An OrderedDict that only takes the attribute which torch sets in state dicts."""

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict or not set(state) <= {"_metadata"}:
            raise TypeError("attributes of a dict")
        self.state = state


class ArrayType:
    """Stands for a NumPy type of numbers."""

    __slots__ = ("width",)

    def __init__(self, code: Any, *_: object) -> None:
        if type(code) is not str or not re.fullmatch(r"[biufc]\d\d?", code):
            raise VocoderError("holds a NumPy array of other things than numbers; not loaded")
        self.width = np.dtype(code).itemsize

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "=") or state[2:] != (None, None, None, -1, -1, 0):
            raise TypeError("a type of more than numbers")


class ArrayStandIn(StandIn):
    """Stands for a NumPy array, which gets its content as its state."""

    __slots__ = ("_charge",)

    def __init__(self, charge: Callable[[int], None]) -> None:
        self._charge = charge

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, _, data = state
        if type(data) is not bytes or math.prod(checked_sizes(shape)) * dtype.width != len(data):
            raise VocoderError("holds a NumPy array that is larger than its content; not loaded")
        self._charge(len(data))


def checked_keys(values: Iterable[Any]) -> Iterable[Any]:
    """The values, which are hashed next; tuples only of plain values."""
    values = list(values)
    for value in values:
        for part in value if type(value) is tuple else (value,):
            if type(part) not in PLAIN:
                raise VocoderError("holds a dict with keys that are no plain values; not loaded")
    return values


def checked_sizes(values: Any) -> tuple[int, ...]:
    """The values, if they are a shape or its like."""
    if type(values) not in (tuple, list) or len(values) > 64:
        raise TypeError("not a shape")
    if not all(type(n) is int and n >= 0 for n in values):
        raise VocoderError("holds a tensor whose shape is not one; not loaded")
    return tuple(values)
