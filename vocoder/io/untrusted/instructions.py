"""The instructions in a torch file, followed without making tensors.

torch's own `weights_only` reader runs no code, but makes what the file claims: tensors of any size
over a storage of a few bytes, tensors without data, sparse and nested ones. So the instructions in
the file are followed once without tensors: a storage is its size, a tensor its number of bytes.
"""

import math
import pickle
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from vocoder.errors import VocoderError
from vocoder.io.untrusted.stand_ins import (
    PLAIN,
    ArrayStandIn,
    ArrayType,
    KnownFunction,
    PlainDict,
    StandIn,
    Storage,
    ValueWidth,
    checked_keys,
    checked_sizes,
    program_code,
)

_DEPTH = 64
_VALUES = 8  # how often the size of a file its tensors may be together, as some share their storage
_WIDTHS = {
    **{"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "ComplexDouble": 16, "ComplexFloat": 8},
    **{"Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1},
}  # bytes per value of the storages torch.FloatStorage, …
_INSTRUCTIONS: Mapping[int, Any] = pickle._Unpickler.dispatch
# The instructions that torch's reader knows.
_OPCODES = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.REDUCE, pickle.BUILD),
    *(pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS, pickle.BINPERSID),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.NONE, pickle.NEWFALSE),
    *(pickle.NEWTRUE, pickle.EMPTY_TUPLE, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.BINFLOAT, pickle.BINUNICODE),
    *(pickle.SHORT_BINSTRING, pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT),
    *(pickle.LONG_BINPUT, pickle.LONG1),
)


class Inspector(pickle._Unpickler):  # in Python: the one in C allocates what a file claims
    """Follows the instructions of a torch file of `size` bytes without making tensors."""

    stack: list[Any]
    memo: dict[int, Any]

    def _set_items(self) -> None:
        # Before any is hashed: Python has no limit to how deep tuples nest when they are.
        checked_keys(self.stack[::2])
        _INSTRUCTIONS[pickle.SETITEMS[0]](self)

    def _set_item(self) -> None:
        checked_keys(self.stack[-2:-1])
        _INSTRUCTIONS[pickle.SETITEM[0]](self)

    dispatch: ClassVar[dict[int, Any]] = {
        **{op[0]: _INSTRUCTIONS[op[0]] for op in _OPCODES},
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
    }

    def __init__(self, file: Any, size: int, records: dict[str, int] | None) -> None:
        super().__init__(file, encoding="utf-8")
        self._size, self._left, self._records = size, _VALUES * size, records
        self.storages: dict[str, Storage] = {}
        self._stored = 0
        self.has_numpy = False
        self._seen: dict[int, tuple[int, int]] = {}

    def follow(self) -> Any:
        """Follow the instructions up to the next stop."""
        self.memo.clear()
        return self.load()

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a function or type that the file names; raises for an unknown one."""
        full = f"{module}.{name}"
        kind = re.fullmatch(r"torch\.(?:cuda\.)?(\w+)Storage", full)
        if kind and kind[1] in _WIDTHS:
            return ValueWidth(_WIDTHS[kind[1]])
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return StandIn()
        numpy = re.fullmatch(r"numpy\.(?:_?core\.multiarray\.)?(\w+)", full)
        if numpy and f"numpy.{numpy[1]}" in self._FUNCTIONS:
            self.has_numpy, full = True, f"numpy.{numpy[1]}"
        if full in self._FUNCTIONS:
            return KnownFunction(self._FUNCTIONS[full].__get__(self))
        if re.fullmatch(r"torch\.(.*Tensor|.*Parameter|.*Storage|.*_rebuild\w*|q\w+)", full):
            raise VocoderError(f"holds {full[:80]!r}, not only plain dense tensors; not loaded")
        raise program_code(full)

    def persistent_load(self, pid: Any) -> Storage:
        """A storage that a tensor of the file refers to."""
        if type(pid) is not tuple or pid[0] != "storage":
            raise program_code("the source of a module")
        width, key, values = pid[1], _key(pid[2]), pid[4]
        if type(width) is not ValueWidth or pid[5:] not in ((), (None,)):
            raise VocoderError("holds a storage of an unknown kind; not loaded")
        storage = Storage(checked_sizes((values,))[0], width)
        if key not in self.storages:
            held = self._size if self._records is None else self._records[f"data/{key}"]
            self._stored += storage.bytes
            if storage.bytes > held or self._stored > self._size:
                raise VocoderError("cut short or damaged, its tensors are larger than the file")
            self.storages[key] = storage
        if self.storages[key] != storage:
            raise VocoderError(f"damaged, storage {key[:20]!r} has two sizes")
        return storage

    def check(self, value: Any) -> None:
        """Check the whole content: its types, its depth, and its size where parts are shared."""
        if self._extent(value, 0)[1] > max(self._left, 1000):
            raise VocoderError("repeats its parts too often; not loaded")

    def _extent(self, value: Any, level: int) -> tuple[int, int]:
        """The levels below `value` and the number of values in it."""
        if type(value) in PLAIN or isinstance(value, StandIn):
            return 0, 1
        if id(value) not in self._seen:
            if level > _DEPTH:
                raise VocoderError(f"nested more than {_DEPTH} deep; not loaded")
            if not isinstance(value, list | tuple | dict | set):
                raise VocoderError("holds something that is neither a tensor nor a plain value")
            parts = value.values() if isinstance(value, dict) else value
            extents = [self._extent(part, level + 1) for part in parts]
            depth = 1 + max((depth for depth, _ in extents), default=0)
            self._seen[id(value)] = depth, 1 + sum(count for _, count in extents)
        if level + self._seen[id(value)][0] > _DEPTH:
            raise VocoderError(f"nested more than {_DEPTH} deep; not loaded")
        return self._seen[id(value)]

    def _charge(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise VocoderError("its tensors are together far larger than the file; not loaded")

    def _tensor(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        stride: Any,
        requires_grad: object = False,
        hooks: object = None,
        metadata: object = None,
    ) -> StandIn:
        if type(storage) is not Storage or hooks or metadata:
            raise VocoderError("holds a tensor that is not a plain one; not loaded")
        shape, stride, (offset,) = (
            checked_sizes(shape),
            checked_sizes(stride),
            checked_sizes((offset,)),
        )
        values = math.prod(shape)
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        needed = max(values, last + 1) if values else 0
        if needed > storage.values or max(shape, default=0) > self._size:
            raise VocoderError(f"holds a tensor {list(shape)} that is larger than its storage")
        self._charge(values * storage.width)
        return StandIn()

    def _parameter(self, tensor: Any, requires_grad: object = True, hooks: object = None) -> Any:
        if type(tensor) is not StandIn or hooks:
            raise VocoderError("holds a parameter that is not a plain one; not loaded")
        return tensor

    def _array(self, kind: Any, shape: Any, code: Any) -> ArrayStandIn:
        if shape != (0,):
            raise VocoderError("damaged, holds a NumPy array of unknown size")
        return ArrayStandIn(self._charge)

    def _scalar(self, dtype: ArrayType, data: bytes) -> StandIn:
        if type(data) is not bytes or dtype.width != len(data):
            raise VocoderError("damaged, holds a NumPy scalar of another size than its type")
        return StandIn()

    def _dtype(self, *arguments: Any) -> ArrayType:
        return ArrayType(*arguments)

    def _encode(self, text: str, encoding: str) -> bytes:
        if type(text) is not str or encoding not in ("latin1", "latin-1"):
            raise TypeError("an encoding that is not that of bytes")
        self._charge(len(text))
        return text.encode(encoding)

    def _dict(self, pairs: Any = ()) -> PlainDict:
        pairs = list(pairs)
        self._charge(8 * len(pairs))
        checked_keys(key for key, _ in pairs)
        return PlainDict(pairs)

    def _counter(self, counts: Any = ()) -> PlainDict:
        return self._dict(dict(counts).items())

    def _set(self, values: Any = ()) -> set[Any]:
        self._charge(8 * len(values))
        return set(checked_keys(values))

    def _size_of_tensor(self, shape: Any) -> tuple[int, ...]:
        return checked_sizes(shape)

    def _complex(self, real: float, imaginary: float) -> complex:
        return complex(real, imaginary)

    def _other(self, *_: object) -> StandIn:
        return StandIn()

    _FUNCTIONS = {
        "collections.OrderedDict": _dict,
        "collections.Counter": _counter,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch.Size": _size_of_tensor,
        "torch.device": _other,
        "_codecs.encode": _encode,
        "builtins.set": _set,
        "__builtin__.set": _set,
        "builtins.complex": _complex,
        "__builtin__.complex": _complex,
        "numpy.ndarray": _other,
        "numpy.dtype": _dtype,
        "numpy._reconstruct": _array,
        "numpy.scalar": _scalar,
    }


def _key(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("the key of a storage is no text")
    return value
