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

import ctypes
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


def _element(kind: str) -> str:
    """The type of one element of a vector; that of a single number is its own."""
    return kind.strip("<>").split(" x ")[-1]


def _operator(name: str, swapped: bool = False) -> Callable[[Number, Operand], Number]:
    """An operator that emits LLVM's instruction of this name; of real numbers that with an f in front."""

    def emitted(self: Number, other: Operand) -> Number:
        code = self.code
        left, right = code.alike(self, other)
        if swapped:
            left, right = right, left
        word = name
        if left.element in ("double", "float"):
            flags = " contract" if code.fused and name in ("add", "sub", "mul") else ""
            word = f"f{name}{flags}"
        return code.emit(left.type, f"{word} {left.type} {left.text}, {right.text}")

    return emitted


def _comparison(sign: str) -> Callable[[Number, Operand], Number]:
    """An operator that compares: of real numbers only "ne" holds for nan; integers have a sign."""

    def emitted(self: Number, other: Operand) -> Number:
        left, right = self.code.alike(self, other)
        if left.element in ("double", "float"):
            word = "fcmp une" if sign == "ne" else f"fcmp o{sign}"
        else:
            word = f"icmp {sign}" if sign in ("eq", "ne") else f"icmp s{sign}"
        return self.code.emit(left.like("i1"), f"{word} {left.type} {left.text}, {right.text}")

    return emitted


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
        return _element(self.type)

    @property
    def width(self) -> int:
        """How many elements it has; 1 for a single number."""
        return int(self.type[1:].split(" x ")[0]) if self.type[0] == "<" else 1

    @property
    def suffix(self) -> str:
        """How the names of LLVM's functions end for such real numbers."""
        real = f"f{8 * BYTES[self.element]}"
        return f"v{self.width}{real}" if self.type[0] == "<" else real

    def like(self, element: str) -> str:
        """The type with as many elements, of another kind."""
        return f"<{self.width} x {element}>" if self.type[0] == "<" else element

    __add__, __radd__ = _operator("add"), _operator("add", swapped=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", swapped=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", swapped=True)
    __truediv__, __rtruediv__ = _operator("div"), _operator("div", swapped=True)
    __floordiv__, __mod__ = _operator("sdiv"), _operator("srem")  # of integers that are not negative
    __lshift__, __rshift__ = _operator("shl"), _operator("ashr")
    __and__, __or__ = _operator("and"), _operator("or")
    __lt__, __le__ = _comparison("lt"), _comparison("le")
    __gt__, __ge__ = _comparison("gt"), _comparison("ge")

    def equals(self, other: Operand) -> Number:
        """Whether both are equal; nan equals nothing. (== of Python compares objects.)"""
        return _comparison("eq")(self, other)

    def differs(self, other: Operand) -> Number:
        """The contrary of `equals`."""
        return _comparison("ne")(self, other)

    def __invert__(self) -> Number:
        """Not, for conditions."""
        return self.code.emit(self.type, f"xor {self.type} {self.text}, {self.code.constant(-1, self.type)}")

    def __neg__(self) -> Number:
        if self.element in ("double", "float"):
            return self.code.emit(self.type, f"fneg {self.type} {self.text}")
        return 0 - self

    def __abs__(self) -> Number:
        return self.code.intrinsic("fabs", self)

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
        return self.code.call_named("i1", f"llvm.vector.reduce.or.v{self.width}i1", [self])

    def sum(self) -> Number:
        """The sum of a vector's elements, added up pairwise."""
        if self.width == 1:
            return self
        zero = self.code.number(-0.0, self.element)
        name = f"llvm.vector.reduce.fadd.{self.suffix}"
        return self.code.call_named(self.element, name, [zero, self], flags="reassoc ")

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
            return f"splat ({_element(kind)} {self.constant(number, _element(kind))})"
        if kind in ("double", "float"):
            number = ctypes.c_float(number).value if kind == "float" else number
            return f"0x{struct.unpack('Q', struct.pack('d', number))[0]:016X}"
        if kind == "i1":
            return "true" if number else "false"
        return str(int(number))

    def number(self, value: Operand, kind: str) -> Number:
        """A number of this type: a literal, or one that is repeated in all elements of a vector."""
        if not isinstance(value, Number):
            return Number(self, self.constant(value, kind), kind)
        element = _element(kind)
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
        kind = arguments[0].type
        return self.call_named(kind, f"llvm.{name}.{arguments[0].suffix}", arguments)

    def scaled(self, x: Number, k: Number) -> Number | None:
        """x 2ᵏ by one instruction, if the machine has it for vectors like these."""
        whole = 64 // BYTES[x.element]
        if not self.target.is_avx512 or x.width % whole:
            return None
        kind = f"<{whole} x {x.element}>"
        others = [self.number(0.0, kind), self.number(-1, f"i{whole}"), self.number(4, "i32")]
        name = f"llvm.x86.avx512.mask.scalef.{'pd' if x.element == 'double' else 'ps'}.512"
        parts = []
        for first in range(0, x.width, whole):
            lanes = range(first, first + whole)
            a, b = [
                v if v.width == whole else self.shuffled(v, v, lanes) for v in (x, self.number(k, x.type))
            ]
            parts.append(self.call_named(kind, name, [a, b, *others]))
        while len(parts) > 1:
            parts = [self.shuffled(a, b, range(2 * a.width)) for a, b in zip(parts[::2], parts[1::2])]
        return parts[0]

    def library(self, name: str, *arguments: Number) -> Number:
        """A function of the C library, of doubles; called for each element of a vector."""
        n, real = arguments[0].width, arguments[0].element
        # A call without a use may be left out: nobody reads what C says about errors.
        pure = "nounwind willreturn memory(none)"

        def one(*numbers: Number) -> Number:
            doubles = [x.converted("double") for x in numbers]
            return self.call_named("double", name, doubles, attributes=pure).converted(real)

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
        element = _element(kind) if kind != "ptr" else "i64"
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
        address, zero = self.at(pointer, index), self.number(0.0, kind)
        align = self.number(BYTES[self.target.real], "i32")
        return self.call_named(kind, f"llvm.masked.load.{zero.suffix}.p0", [address, align, mask, zero])

    def store_masked(self, number: Number, pointer: Number, index: Operand, mask: Number | None) -> None:
        """Write a vector; lanes outside of the mask are not written."""
        if mask is None:
            self.store(number, pointer, index)
            return
        arguments = [number, self.at(pointer, index), self.number(BYTES[number.element], "i32"), mask]
        self.call_named("void", f"llvm.masked.store.{number.suffix}.p0", arguments)

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
    def while_(self, condition: Callable[[], Number]) -> Iterator[None]:
        """Repeat as long as the condition holds."""
        test, body, after = [self._new(name)[1:] for name in ("test", "body", "after")]
        self.line(f"br label %{test}")
        self.line(f"{test}:")
        self.line(f"br i1 {condition().text}, label %{body}, label %{after}")
        self.line(f"{body}:")
        yield
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
        before, inside = [Number(self, self.in_front("alloca i32"), "ptr") for _ in range(2)]
        self.call_named("void", "llvm.x86.sse.stmxcsr", [before])
        mode = self.load(before, 0, "i32")
        changed = mode | FLUSH_AND_DENORMALS_ARE_ZERO
        self.store(changed if condition is None else self.select(condition, changed, mode), inside)
        self.call_named("void", "llvm.x86.sse.ldmxcsr", [inside])
        self._before_return = f"call void @llvm.x86.sse.ldmxcsr(ptr {before.text})"
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

    def call(self, address: Number, arguments: Sequence[Number], returns: str = "void") -> Number:
        """Call the function at an address."""
        return self._called(returns, address.text, arguments)

    def call_named(
        self, returns: str, name: str, arguments: Sequence[Number], flags: str = "", attributes: str = ""
    ) -> Number:
        """Call a function of LLVM's own or of the C library."""
        self.declare(f"declare {returns} @{name}({', '.join([a.type for a in arguments])}) {attributes}")
        return self._called(returns, f"@{name}", arguments, flags)

    def _called(self, returns: str, text: str, arguments: Sequence[Number], flags: str = "") -> Number:
        call = f"call {flags}{returns} {text}({', '.join([f'{a.type} {a.text}' for a in arguments])})"
        if returns != "void":
            return self.emit(returns, call)
        self.line(call)
        return Number(self, "", "void")

    def each(self, count: Operand, body: Callable[[Number, str], Any]) -> None:
        """body(i, type) for a row of numbers: for whole vectors, then for single numbers."""
        width, count = self.target.width, self.integer(count)
        whole = count // width * width
        with self.loop(whole, step=width) as i:
            body(i, self.target.vector)
        with self.loop(count, start=whole) as i:
            body(i, self.target.real)
