"""A small language for CPU kernels: vectors, integers, loops and conditions, as LLVM's code.

A kernel is a Python function that writes the code once. Its values behave like numbers:

    def scale(code: Code) -> None:
        x, y, count = code.pointer(0), code.pointer(1), code.integer(2)
        with code.range(0, count, code.lanes) as i:
            code.store(y, i, code.load(x, i) * 2.0)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from llvmlite import ir

from vocoder.kernels.jit.values import FLOAT, INT, Pointer, Value, Variable

_INT32 = ir.IntType(32)
_FIRST_ARGUMENT = 1  # the first entry of a kernel's arguments is its own address


class Code:
    """The code of one kernel under construction.

    A kernel takes one pointer to 64-bit entries: addresses, integers, and floats in their low half.
    `lanes` is the number of floats in a vector.
    """

    def __init__(self, module: ir.Module, name: str, lanes: int) -> None:
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType()])
        self.function = ir.Function(module, kind, name)
        self.lanes = lanes
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self._module = module

    def finish(self) -> None:
        """End the code."""
        self.builder.ret_void()

    # Arguments and constants

    def _entry(self, number: int, kind: Any) -> Any:
        place = self.builder.gep(
            self.function.args[0],
            [ir.Constant(INT, number + _FIRST_ARGUMENT)],
            source_etype=INT,
        )
        return self.builder.load(place, typ=kind)

    def integer(self, number: int) -> Value:
        """The argument `number` as an integer."""
        return Value(self, self._entry(number, INT))

    def pointer(self, number: int) -> Pointer:
        """The argument `number` as the address of floats."""
        return Pointer(self, self._entry(number, ir.PointerType()))

    def scalar(self, number: int) -> Value:
        """The argument `number` as a float, in every lane of a vector."""
        return self.splat(self._entry(number, FLOAT))

    def constant(self, value: float, lanes: int | None = None) -> Value:
        """A vector of one constant."""
        lanes = lanes or self.lanes
        return Value(self, ir.Constant(ir.VectorType(FLOAT, lanes), [float(value)] * lanes))

    def like(self, value: "Value | float", other: Value) -> Value:
        """`value` as a constant of the type of `other`, if it is a number."""
        if isinstance(value, Value):
            return value
        if other.is_integer:
            return Value(self, ir.Constant(INT, int(value)))
        return self.constant(value, other.ir.type.count)

    def like_int(self, value: "Value | int") -> Value:
        """`value` as an integer of the code."""
        return value if isinstance(value, Value) else Value(self, ir.Constant(INT, value))

    # Arithmetic

    def binary(self, name: str, a: Value, other: "Value | float") -> Value:
        """One operation on two values of one type."""
        b = self.like(other, a)
        method = name if a.is_integer else f"f{name}"
        return Value(self, getattr(self.builder, method)(a.ir, b.ir))

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """`a * b + c`, rounded once."""
        return Value(self, self._intrinsic("llvm.fma", [a, b, c]))

    def maximum(self, a: Value, b: "Value | float") -> Value:
        """The larger of two values of one type, lane by lane."""
        b = self.like(b, a)
        if a.is_integer:
            larger = self.builder.icmp_signed(">", a.ir, b.ir)
        else:
            larger = self.builder.fcmp_ordered(">", a.ir, b.ir)
        return Value(self, self.builder.select(larger, a.ir, b.ir))

    def minimum(self, a: Value, b: "Value | float") -> Value:
        """The smaller of two values of one type, lane by lane."""
        b = self.like(b, a)
        if a.is_integer:
            smaller = self.builder.icmp_signed("<", a.ir, b.ir)
        else:
            smaller = self.builder.fcmp_ordered("<", a.ir, b.ir)
        return Value(self, self.builder.select(smaller, a.ir, b.ir))

    def round(self, a: Value) -> Value:
        """The nearest whole numbers, ties to even."""
        return Value(self, self._intrinsic("llvm.nearbyint", [a]))

    def sqrt(self, a: Value) -> Value:
        """Square root."""
        return Value(self, self._intrinsic("llvm.sqrt", [a]))

    def absolute(self, a: Value) -> Value:
        """Absolute value."""
        return Value(self, self._intrinsic("llvm.fabs", [a]))

    def copysign(self, a: Value, sign: Value) -> Value:
        """The magnitude of `a` with the sign of `sign`."""
        return Value(self, self._intrinsic("llvm.copysign", [a, sign]))

    def power_of_two(self, a: Value) -> Value:
        """2 to the power of whole numbers from -126 to 127."""
        count = a.ir.type.count
        ints = ir.VectorType(_INT32, count)
        bias, shift = (ir.Constant(ints, [n] * count) for n in (127, 23))
        whole = self.builder.fptosi(a.ir, ints)
        bits = self.builder.shl(self.builder.add(whole, bias), shift)
        return Value(self, self.builder.bitcast(bits, a.ir.type))

    def total(self, a: Value) -> Value:
        """Sum over the lanes, in every lane."""
        count = half = a.ir.type.count
        while half > 1:  # by halves, always in one order
            half //= 2
            order = [(lane + half) % count for lane in range(count)]
            mask = ir.Constant(ir.VectorType(_INT32, count), order)
            a = a + Value(self, self.builder.shuffle_vector(a.ir, a.ir, mask))
        return a

    def splat(self, scalar: Any) -> Value:
        """A vector of one number, which is not known before run time."""
        kind = ir.VectorType(FLOAT, self.lanes)
        zero = ir.Constant(_INT32, 0)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, zero)
        mask = ir.Constant(ir.VectorType(_INT32, self.lanes), [0] * self.lanes)
        return Value(self, self.builder.shuffle_vector(one, one, mask))

    def _intrinsic(self, name: str, values: Sequence[Value]) -> Any:
        kind = values[0].ir.type
        full = f"{name}.v{kind.count}f32"
        function = self._module.globals.get(full)
        if function is None:
            function = ir.Function(self._module, ir.FunctionType(kind, [kind] * len(values)), full)
        return self.builder.call(function, [value.ir for value in values])

    # Memory

    def load(self, pointer: Pointer, index: Value | int = 0) -> Value:
        """The vector that begins `index` floats after `pointer`."""
        kind = ir.VectorType(FLOAT, self.lanes)
        return Value(self, self.builder.load((pointer + index).ir, typ=kind, align=4))

    def broadcast(self, pointer: Pointer, index: Value | int = 0) -> Value:
        """The float `index` places after `pointer`, in every lane."""
        return self.splat(self.builder.load((pointer + index).ir, typ=FLOAT, align=4))

    def store(self, pointer: Pointer, index: Value | int, value: Value) -> None:
        """Write a vector `index` floats after `pointer`."""
        self.builder.store(value.ir, (pointer + index).ir, align=4)

    def store_first(self, pointer: Pointer, index: Value | int, value: Value) -> None:
        """Write the first lane only."""
        first = self.builder.extract_element(value.ir, ir.Constant(_INT32, 0))
        self.builder.store(first, (pointer + index).ir, align=4)

    def scratch(self, floats: int) -> Pointer:
        """Memory of the kernel's own, on its stack."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(ir.ArrayType(FLOAT, floats))
        place.align, place.type = 64, ir.PointerType()
        return Pointer(self, place)

    # Control

    def variable(self, start: Value) -> Variable:
        """A value that changes, `start` at first."""
        return Variable(self, start)

    @contextmanager
    def range(
        self, start: Value | int, stop: Value | int, step: Value | int = 1
    ) -> Iterator[Value]:
        """A loop over integers, as Python's `range`."""
        begin, end, by = (self.like_int(value) for value in (start, stop, step))
        before = self.builder.block
        head, body, after = (self.function.append_basic_block(n) for n in ("head", "body", "after"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        index = self.builder.phi(INT)
        index.add_incoming(begin.ir, before)
        self.builder.cbranch(self.builder.icmp_signed("<", index, end.ir), body, after)
        self.builder.position_at_end(body)
        yield Value(self, index)
        index.add_incoming(self.builder.add(index, by.ir), self.builder.block)
        self.builder.branch(head)
        self.builder.position_at_end(after)

    @contextmanager
    def present(self, pointer: Pointer) -> Iterator[None]:
        """Code that runs only if an address is not 0."""
        there = self.builder.icmp_unsigned(
            "!=", self.builder.ptrtoint(pointer.ir, INT), ir.Constant(INT, 0)
        )
        with self.builder.if_then(there):
            yield

    def run(self, call: Pointer) -> None:
        """Run another kernel, with the arguments at `call`, of which its address is the first."""
        address = self.builder.load(call.ir, typ=INT)
        kernel = self.builder.inttoptr(address, self.function.type)
        self.builder.call(kernel, [call.ir])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.finish()
