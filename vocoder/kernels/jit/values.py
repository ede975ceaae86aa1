"""Values of the code of a kernel: vectors, integers, variables and addresses."""

from typing import TYPE_CHECKING, Any

from llvmlite import ir

if TYPE_CHECKING:
    from vocoder.kernels.jit.code import Code

FLOAT, INT = ir.FloatType(), ir.IntType(64)


class Value:
    """A float32 vector, or a 64-bit integer, in the code of a kernel."""

    __slots__ = ("code", "ir")

    def __init__(self, code: "Code", value: Any) -> None:
        self.code, self.ir = code, value

    def __add__(self, other: "Value | float") -> "Value":
        return self.code.binary("add", self, other)

    def __sub__(self, other: "Value | float") -> "Value":
        return self.code.binary("sub", self, other)

    def __mul__(self, other: "Value | float") -> "Value":
        return self.code.binary("mul", self, other)

    def __rsub__(self, other: float) -> "Value":
        return self.code.like(other, self) - self

    def __truediv__(self, other: "Value | float") -> "Value":
        return self.code.binary("div", self, other)

    def __floordiv__(self, other: "Value | int") -> "Value":
        return Value(self.code, self.code.builder.udiv(self.ir, self.code.like_int(other).ir))

    __radd__, __rmul__ = __add__, __mul__

    @property
    def is_integer(self) -> bool:
        """Whether it is an integer."""
        return isinstance(self.ir.type, ir.IntType)


class Variable:
    """A value that changes, such as a sum over a loop; kept in a register."""

    def __init__(self, code: "Code", start: Value) -> None:
        self.code = code
        with code.builder.goto_entry_block():
            self._place = code.builder.alloca(start.ir.type)
        self.set(start)

    def set(self, value: Value) -> None:
        """Change it."""
        self.code.builder.store(value.ir, self._place)

    def get(self) -> Value:
        """Its present value."""
        return Value(self.code, self.code.builder.load(self._place, typ=self._type))

    @property
    def _type(self) -> Any:
        return self._place.allocated_type


class Pointer:
    """The address of float32 values."""

    __slots__ = ("code", "ir")

    def __init__(self, code: "Code", value: Any) -> None:
        self.code, self.ir = code, value

    def __add__(self, steps: Value | int) -> "Pointer":
        index = self.code.like_int(steps).ir
        moved = self.code.builder.gep(self.ir, [index], source_etype=FLOAT)
        return Pointer(self.code, moved)
