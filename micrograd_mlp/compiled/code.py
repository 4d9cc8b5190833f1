"""Write LLVM's assembly language from Python: operators on `Number`s emit instructions.

A kernel is a Python function that is called once, with `Number`s that stand for what registers will hold. Its
loops and branches are context managers. What is known when the kernel is written - the width of a vector, how
many inputs an operation has - is ordinary Python, so one Python function writes the code for a single number,
for a vector of them, and for either precision.

>>> code = Code("double_it", [("x", "ptr"), ("n", "i64")], Target("double", 8))
>>> x, n = code.arguments
>>> with code.loop(n) as i:
...     code.store(2.0 * code.load(x, i), x, i)
>>> "fmul contract double" in code.text()
True
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Union

Operand = Union["Number", float]
FLUSH_AND_DENORMALS_ARE_ZERO = 0x8040  # bits of Intel's MXCSR register: of results, and of operands
BYTES = {"double": 8, "float": 4, "i64": 8, "i32": 4}


@dataclass(frozen=True)
class Target:
    """What code is written for.

    Attributes:
        real: the type of a number, "double" or "float".
        width: how many of them a vector register holds.
        is_avx512: the machine has the instructions of that name.
        n_registers: how many vector registers there are.
        is_x86: the machine has Intel's instructions.
    """

    real: str
    width: int
    is_avx512: bool = False
    n_registers: int = 16
    is_x86: bool = False

    @property
    def vector(self) -> str:
        """The type of a vector register."""
        return f"<{self.width} x {self.real}>"

    @property
    def integer(self) -> str:
        """The integer with as many bits as a number."""
        return "i64" if self.real == "double" else "i32"


@dataclass(frozen=True, eq=False)
class Number:
    """What a register holds when the code runs; operators emit instructions.

    Attributes:
        code: the function that it belongs to.
        text: how LLVM writes it.
        type: LLVM's name of its type: "double", "<8 x double>", "i64", "i1", "ptr", ...
    """

    code: Code
    text: str
    type: str

    @property
    def element(self) -> str:
        """The type of one element; of a single number its own."""
        return self.type.strip("<>").split(" x ")[-1]

    @property
    def width(self) -> int:
        """How many elements it has; 1 for a single number."""
        return int(self.type[1:].split(" x ")[0]) if self.type[0] == "<" else 1

    def like(self, element: str) -> str:
        """The type with as many elements, of another kind."""
        return f"<{self.width} x {element}>" if self.type[0] == "<" else element

    def _with(self, other: Operand, name: str, swapped: bool = False) -> Number:
        code = self.code
        left, right = code.alike(self, other)
        if swapped:
            left, right = right, left
        if left.element in ("double", "float"):
            flags = " contract" if code.fused and name in ("add", "sub", "mul") else ""
            name = f"f{name}{flags}"
        return code.emit(left.type, f"{name} {left.type} {left.text}, {right.text}")

    def _compared(self, other: Operand, sign: str) -> Number:
        left, right = self.code.alike(self, other)
        is_real = left.element in ("double", "float")
        if is_real:
            word = "une" if sign == "ne" else "o" + sign
        else:
            word = sign if sign in ("eq", "ne") else "s" + sign
        kind = "fcmp" if is_real else "icmp"
        return self.code.emit(left.like("i1"), f"{kind} {word} {left.type} {left.text}, {right.text}")

    def __add__(self, other: Operand) -> Number:
        return self._with(other, "add")

    def __radd__(self, other: Operand) -> Number:
        return self._with(other, "add", swapped=True)

    def __sub__(self, other: Operand) -> Number:
        return self._with(other, "sub")

    def __rsub__(self, other: Operand) -> Number:
        return self._with(other, "sub", swapped=True)

    def __mul__(self, other: Operand) -> Number:
        return self._with(other, "mul")

    def __rmul__(self, other: Operand) -> Number:
        return self._with(other, "mul", swapped=True)

    def __truediv__(self, other: Operand) -> Number:
        return self._with(other, "div")

    def __rtruediv__(self, other: Operand) -> Number:
        return self._with(other, "div", swapped=True)

    def __floordiv__(self, other: Operand) -> Number:
        """For integers that are not negative."""
        return self._with(other, "sdiv")

    def __mod__(self, other: Operand) -> Number:
        """For integers that are not negative."""
        return self._with(other, "srem")

    def __lshift__(self, other: Operand) -> Number:
        return self._with(other, "shl")

    def __rshift__(self, other: Operand) -> Number:
        return self._with(other, "ashr")

    def __and__(self, other: Operand) -> Number:
        return self._with(other, "and")

    def __or__(self, other: Operand) -> Number:
        return self._with(other, "or")

    def __invert__(self) -> Number:
        """Not, for conditions."""
        return self.code.emit(self.type, f"xor {self.type} {self.text}, {self.code.constant(-1, self.type)}")

    def __neg__(self) -> Number:
        if self.element in ("double", "float"):
            return self.code.emit(self.type, f"fneg {self.type} {self.text}")
        return 0 - self

    def __abs__(self) -> Number:
        return self.code.intrinsic("fabs", self)

    def __lt__(self, other: Operand) -> Number:
        return self._compared(other, "lt")

    def __le__(self, other: Operand) -> Number:
        return self._compared(other, "le")

    def __gt__(self, other: Operand) -> Number:
        return self._compared(other, "gt")

    def __ge__(self, other: Operand) -> Number:
        return self._compared(other, "ge")

    def equals(self, other: Operand) -> Number:
        """Whether both are equal; nan equals nothing. (== of Python compares objects.)"""
        return self._compared(other, "eq")

    def differs(self, other: Operand) -> Number:
        """The contrary of `equals`."""
        return self._compared(other, "ne")

    def is_nan(self) -> Number:
        """Whether it is nan."""
        return self.differs(self)

    def bits(self) -> Number:
        """The bits of a real number as an integer."""
        to = self.like("i64" if self.element == "double" else "i32")
        return self.code.emit(to, f"bitcast {self.type} {self.text} to {to}")

    def from_bits(self) -> Number:
        """The real number with the bits of this integer."""
        to = self.like("double" if self.element == "i64" else "float")
        return self.code.emit(to, f"bitcast {self.type} {self.text} to {to}")

    def to_real(self, real: str) -> Number:
        """An integer as a real number."""
        to = self.like(real)
        return self.code.emit(to, f"sitofp {self.type} {self.text} to {to}")

    def to_integer(self, integer: str) -> Number:
        """A real number, rounded toward 0; it has to be in the integer's range."""
        to = self.like(integer)
        return self.code.emit(to, f"fptosi {self.type} {self.text} to {to}")

    def converted(self, real: str) -> Number:
        """A real number in the other precision."""
        if self.element == real:
            return self
        word, to = ("fpext" if real == "double" else "fptrunc"), self.like(real)
        return self.code.emit(to, f"{word} {self.type} {self.text} to {to}")

    def __getitem__(self, k: int) -> Number:
        """One element of a vector."""
        return self.code.emit(self.element, f"extractelement {self.type} {self.text}, i32 {k}")

    def any(self) -> Number:
        """Whether a condition holds in one element at least."""
        if self.width == 1:
            return self
        name = f"llvm.vector.reduce.or.v{self.width}i1"
        self.code.declare(f"declare i1 @{name}({self.type})")
        return self.code.emit("i1", f"call i1 @{name}({self.type} {self.text})")

    def sum(self) -> Number:
        """The sum of a vector's elements, added up pairwise."""
        if self.width == 1:
            return self
        flags, zero = "reassoc", self.code.constant(-0.0, self.element)
        name = f"llvm.vector.reduce.fadd.v{self.width}f{8 * BYTES[self.element]}"
        self.code.declare(f"declare {self.element} @{name}({self.element}, {self.type})")
        return self.code.emit(
            self.element,
            f"call {flags} {self.element} @{name}({self.element} {zero}, {self.type} {self.text})",
        )

    def __bool__(self) -> bool:
        raise TypeError("a Number has no value before the code runs: use select() or if_()")


class Variable:
    """A place for a number that changes, such as a sum in a loop. LLVM keeps it in a register."""

    def __init__(self, code: Code, initial: Number) -> None:
        self.code, self.type = code, initial.type
        self.name = code.in_front(f"alloca {initial.type}")
        self.set(initial)

    @property
    def now(self) -> Number:
        """What it holds here."""
        return self.code.emit(self.type, f"load {self.type}, ptr {self.name}")

    def set(self, number: Operand) -> None:
        """Give it another number."""
        number = self.code.number(number, self.type)
        self.code.line(f"store {self.type} {number.text}, ptr {self.name}")


class Code:
    """One function of machine code while it is written.

    Args:
        name: how it is called.
        arguments: the name and the type of each argument.
        target: the precision and the width of vectors.

    Attributes:
        fused: a · b + c may be one instruction, which rounds once.
        has_single_numbers: vectors are not written down: LLVM has to find numbers that can be one.
    """

    def __init__(
        self, name: str, arguments: Sequence[tuple[str, str]], target: Target, returns: str = "void"
    ) -> None:
        self.name, self.target, self.returns = name, target, returns
        self.fused, self.has_single_numbers = True, False
        self.arguments = [Number(self, f"%{argument}", kind) for argument, kind in arguments]
        self._front: list[str] = []
        self._lines: list[str] = []
        self._declared: dict[str, None] = {}
        self._before_return = ""
        self._count = 0

    # Text.

    def text(self) -> str:
        """The function."""
        arguments = ", ".join([f"{a.type} {a.text}" for a in self.arguments])
        last = "ret void" if self.returns == "void" else "unreachable"
        body = "\n".join([*self._front, *self._lines])
        return f"define {self.returns} @{self.name}({arguments}) {{\nentry:\n{body}\n{last}\n}}\n"

    @property
    def declarations(self) -> list[str]:
        """What it calls, apart from functions of its module."""
        return list(self._declared)

    def line(self, text: str) -> None:
        """Write an instruction without a result."""
        self._lines.append(text)

    def emit(self, kind: str, text: str) -> Number:
        """Write an instruction with a result of this type."""
        name = self._new("v")
        self._lines.append(f"{name} = {text}")
        return Number(self, name, kind)

    def in_front(self, text: str) -> str:
        """Write an instruction at the function's beginning; returns the name of its result."""
        name = self._new("p")
        self._front.append(f"{name} = {text}")
        return name

    def declare(self, text: str) -> None:
        """Make a function known that is called."""
        self._declared[text] = None

    def _new(self, prefix: str) -> str:
        self._count += 1
        return f"%{prefix}{self._count}"

    # Numbers.

    def constant(self, number: float, kind: str) -> str:
        """How LLVM writes a number of this type."""
        if kind[0] == "<":
            element = kind.strip("<>").split(" x ")[1]
            return f"splat ({element} {self.constant(number, element)})"
        if kind in ("double", "float"):
            if kind == "float" and math.isfinite(number):
                try:
                    number = struct.unpack("f", struct.pack("f", number))[0]
                except OverflowError:
                    number = math.copysign(math.inf, number)
            return f"0x{struct.unpack('Q', struct.pack('d', number))[0]:016X}"
        if kind == "i1":
            return "true" if number else "false"
        return str(int(number))

    def number(self, value: Operand, kind: str) -> Number:
        """A number of this type: a literal, or one that is repeated in all elements of a vector."""
        if not isinstance(value, Number):
            return Number(self, self.constant(value, kind), kind)
        element = kind.strip("<>").split(" x ")[-1]
        if value.width == 1 and {value.type, element} == {"double", "float"}:
            value = value.converted(element)
        if value.type == kind:
            return value
        if kind[0] == "<" and value.type[0] != "<":  # also conditions
            first = self.emit(kind, f"insertelement {kind} poison, {value.type} {value.text}, i32 0")
            mask = f"<{first.width} x i32> zeroinitializer"
            return self.emit(kind, f"shufflevector {kind} {first.text}, {kind} poison, {mask}")
        raise TypeError(f"{value.type} where {kind} is expected")

    def real(self, value: float) -> Number:
        """A literal in the code's precision."""
        return self.number(value, self.target.real)

    def alike(self, left: Operand, right: Operand) -> tuple[Number, Number]:
        """Two operands in one type: a vector's, or else the code's precision if they differ in theirs."""
        kinds = {x.type for x in (left, right) if isinstance(x, Number)}
        vectors = [kind for kind in kinds if kind[0] == "<"]
        kind = vectors[0] if vectors else kinds.pop() if len(kinds) == 1 else self.target.real
        return self.number(left, kind), self.number(right, kind)

    def select(self, condition: Number, yes: Operand, no: Operand) -> Number:
        """One of two numbers; for a vector, element by element."""
        if condition.width > 1:  # a literal has to become a vector
            both = [x for x in (yes, no) if isinstance(x, Number)]
            kind = condition.like(both[0].element if both else self.target.real)
            yes, no = self.number(yes, kind), self.number(no, kind)
        else:
            if not isinstance(yes, Number) and not isinstance(no, Number):
                yes = self.real(yes)
            yes, no = self.alike(yes, no)
        return self.emit(
            yes.type,
            f"select {condition.type} {condition.text}, {yes.type} {yes.text}, {no.type} {no.text}",
        )

    def maximum(self, a: Operand, b: Operand) -> Number:
        """The larger of two; b if a is nan."""
        a, b = self.alike(a, b)
        return self.select(a > b, a, b)

    def minimum(self, a: Operand, b: Operand) -> Number:
        """The smaller of two; b if a is nan."""
        a, b = self.alike(a, b)
        return self.select(a < b, a, b)

    def intrinsic(self, name: str, *arguments: Number) -> Number:
        """A function of LLVM's own that has a version for each type: sqrt, fabs, floor, fma, pow, ..."""
        kind, n = arguments[0].type, arguments[0].width
        full = f"llvm.{name}.{f'v{n}' if kind[0] == '<' else ''}f{8 * BYTES[arguments[0].element]}"
        self.declare(f"declare {kind} @{full}({', '.join([kind] * len(arguments))})")
        return self.emit(kind, f"call {kind} @{full}({', '.join([f'{kind} {a.text}' for a in arguments])})")

    def scaled(self, x: Number, k: Number) -> Number | None:
        """x 2ᵏ by one instruction, if the machine has it for vectors like these."""
        whole = 64 // BYTES[x.element]
        if not self.target.is_avx512 or x.width % whole:
            return None
        kind, mask = f"<{whole} x {x.element}>", f"i{whole}"
        name = f"llvm.x86.avx512.mask.scalef.{'pd' if x.element == 'double' else 'ps'}.512"
        self.declare(f"declare {kind} @{name}({kind}, {kind}, {kind}, {mask}, i32)")
        parts = []
        for first in range(0, x.width, whole):
            lanes = range(first, first + whole)
            a, b = [
                v if v.width == whole else self.shuffled(v, v, lanes) for v in (x, self.number(k, x.type))
            ]
            arguments = f"{kind} {a.text}, {kind} {b.text}, {kind} zeroinitializer, {mask} -1, i32 4"
            parts.append(self.emit(kind, f"call {kind} @{name}({arguments})"))
        while len(parts) > 1:
            parts = [self.shuffled(a, b, range(2 * a.width)) for a, b in zip(parts[::2], parts[1::2])]
        return parts[0]

    def library(self, name: str, *arguments: Number) -> Number:
        """A function of the C library, of doubles; called for each element of a vector."""
        n, real = arguments[0].width, arguments[0].element
        # A call without a use may be left out: nobody reads what C says about errors.
        pure = "nounwind willreturn memory(none)"
        self.declare(f"declare double @{name}({', '.join(['double'] * len(arguments))}) {pure}")

        def one(*numbers: Number) -> Number:
            texts = ", ".join([f"double {x.converted('double').text}" for x in numbers])
            return self.emit("double", f"call double @{name}({texts})").converted(real)

        if n == 1:
            return one(*arguments)
        return self.vector([one(*[a[k] for a in arguments]) for k in range(n)])

    def vector(self, numbers: Sequence[Number]) -> Number:
        """Single numbers, side by side."""
        kind = f"<{len(numbers)} x {numbers[0].type}>"
        result = Number(self, "poison", kind)
        for k, number in enumerate(numbers):
            result = self.emit(
                kind, f"insertelement {kind} {result.text}, {number.type} {number.text}, i32 {k}"
            )
        return result

    def shuffled(self, a: Number, b: Number, mask: Sequence[int]) -> Number:
        """Elements of two vectors, numbered from a's first one to b's last one."""
        kind = f"<{len(mask)} x {a.element}>"
        text = ", ".join([f"i32 {k}" for k in mask])
        return self.emit(
            kind, f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(mask)} x i32> <{text}>"
        )

    # Memory.

    def at(self, pointer: Number, index: Operand, kind: str | None = None) -> Number:
        """The address of an element; elements have the code's precision unless another type is given."""
        index = self.number(index, "i64")
        return self.emit(
            "ptr", f"getelementptr {kind or self.target.real}, ptr {pointer.text}, i64 {index.text}"
        )

    def load(self, pointer: Number, index: Operand = 0, kind: str | None = None) -> Number:
        """An element, or a vector that begins with it."""
        kind = kind or self.target.real
        element = kind.strip("<>").split(" x ")[-1] if kind != "ptr" else "i64"
        address = self.at(pointer, index, element)
        return self.emit(kind, f"load {kind}, ptr {address.text}, align {BYTES[element]}")

    def store(self, number: Operand, pointer: Number, index: Operand = 0, kind: str | None = None) -> None:
        """Write an element, or a vector that begins with it."""
        number = number if isinstance(number, Number) else self.number(number, kind or self.target.real)
        address = self.at(pointer, index, number.element)
        self.line(f"store {number.type} {number.text}, ptr {address.text}, align {BYTES[number.element]}")

    def add_to(self, pointer: Number, index: Operand, number: Number) -> None:
        """Add to an element, or to a vector that begins with it."""
        self.store(self.load(pointer, index, number.type) + number, pointer, index)

    def lanes_below(self, n: Number, width: int | None = None) -> Number:
        """A mask of the first n lanes of a vector."""
        width = width or self.target.width
        numbers = ", ".join([f"i64 {k}" for k in range(width)])
        lanes = Number(self, f"<{numbers}>", f"<{width} x i64>")
        return lanes < self.number(n, lanes.type)

    def load_masked(self, pointer: Number, index: Operand, mask: Number | None) -> Number:
        """A vector; lanes outside of the mask are 0 and are not read."""
        if mask is None:
            return self.load(pointer, index, self.target.vector)
        kind = f"<{mask.width} x {self.target.real}>"
        address, zero = self.at(pointer, index).text, self.number(0.0, kind).text
        name = f"llvm.masked.load.v{mask.width}f{8 * BYTES[self.target.real]}.p0"
        self.declare(f"declare {kind} @{name}(ptr, i32, {mask.type}, {kind})")
        align = BYTES[self.target.real]
        return self.emit(
            kind,
            f"call {kind} @{name}(ptr {address}, i32 {align}, {mask.type} {mask.text}, {kind} {zero})",
        )

    def store_masked(self, number: Number, pointer: Number, index: Operand, mask: Number | None) -> None:
        """Write a vector; lanes outside of the mask are not written."""
        if mask is None:
            self.store(number, pointer, index)
            return
        address, kind, align = self.at(pointer, index).text, number.type, BYTES[number.element]
        name = f"llvm.masked.store.v{mask.width}f{8 * align}.p0"
        self.declare(f"declare void @{name}({kind}, ptr, i32, {mask.type})")
        self.line(
            f"call void @{name}({kind} {number.text}, ptr {address}, i32 {align}, {mask.type} {mask.text})"
        )

    # Control.

    def variable(self, initial: Operand, kind: str | None = None) -> Variable:
        """A place for a number that changes."""
        own = initial.type if isinstance(initial, Number) else self.target.real
        return Variable(self, self.number(initial, kind or own))

    def integer(self, value: Operand) -> Number:
        """An index or a count."""
        return self.number(value, "i64")

    @contextmanager
    def loop(self, stop: Operand, start: Operand = 0, step: Operand = 1) -> Iterator[Number]:
        """Repeat for start, start + step, ... below stop."""
        i = self.variable(self.integer(start))
        with self.while_(lambda: i.now < self.integer(stop)):
            index = i.now
            yield index
            i.set(index + step)

    @contextmanager
    def while_(self, condition: Callable[[], Number]) -> Iterator[str]:
        """Repeat as long as the condition holds; yields the label behind the loop, for `go_to`."""
        test, body, after = [self._new(name)[1:] for name in ("test", "body", "after")]
        self.line(f"br label %{test}")
        self.line(f"{test}:")
        self.line(f"br i1 {condition().text}, label %{body}, label %{after}")
        self.line(f"{body}:")
        yield after
        self.line(f"br label %{test}")
        self.line(f"{after}:")

    @contextmanager
    def subnormals_are_zero(self, condition: Number | None = None) -> Iterator[None]:
        """Numbers below the smallest normal one count as 0: Intel's processors take long for each of them.

        Args:
            condition: whether they do; None for always.
        """
        if not self.target.is_x86:
            yield
            return
        before, inside = [self.in_front("alloca i32") for _ in range(2)]
        for name in ("stmxcsr", "ldmxcsr"):
            self.declare(f"declare void @llvm.x86.sse.{name}(ptr)")
        self.line(f"call void @llvm.x86.sse.stmxcsr(ptr {before})")
        mode = self.emit("i32", f"load i32, ptr {before}")
        changed = mode | FLUSH_AND_DENORMALS_ARE_ZERO
        changed = changed if condition is None else self.select(condition, changed, mode)
        self.line(f"store i32 {changed.text}, ptr {inside}")
        self.line(f"call void @llvm.x86.sse.ldmxcsr(ptr {inside})")
        self._before_return = f"call void @llvm.x86.sse.ldmxcsr(ptr {before})"
        yield
        self.line(self._before_return)
        self._before_return = ""

    @contextmanager
    def if_(self, condition: Number) -> Iterator[None]:
        """Only where the condition holds."""
        then, after = self._new("then")[1:], self._new("after")[1:]
        self.line(f"br i1 {condition.text}, label %{then}, label %{after}")
        self.line(f"{then}:")
        yield
        self.line(f"br label %{after}")
        self.line(f"{after}:")

    def return_(self, value: Number | None = None) -> None:
        """Leave the function; what follows is another block."""
        if self._before_return:
            self.line(self._before_return)
        self.line("ret void" if value is None else f"ret {value.type} {value.text}")
        self.line(f"{self._new('rest')[1:]}:")

    def call(self, address: Number, arguments: Sequence[Number], returns: str = "void") -> Number | None:
        """Call the function at an address."""
        types = ", ".join([f"{a.type} {a.text}" for a in arguments])
        if returns == "void":
            self.line(f"call void {address.text}({types})")
            return None
        return self.emit(returns, f"call {returns} {address.text}({types})")

    def each(self, count: Operand, body: Callable[[Number, str], Any]) -> None:
        """body(i, type) for a row of numbers: for whole vectors, then for single numbers."""
        width, count = self.target.width, self.integer(count)
        whole = count // width * width
        with self.loop(whole, step=width) as i:
            body(i, self.target.vector)
        with self.loop(count, start=whole) as i:
            body(i, self.target.real)
