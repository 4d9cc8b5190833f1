"""The records' own Python functions as machine code: `forward`, `partials`, an optimizer's `rule` (§6, §10).

The functions are read by `engine/translate.py`, and written in a language whose expressions are registers.
So what a user's operation computes is inlined into the kernel that needs it, with all helper functions, for
a single number or for a vector of them. For an operation of the table, `functions` may have a faster version.

Where Python raises an error, such as for the logarithm of a negative number, the code gives what IEEE
arithmetic has, nan or inf. A function that raises an error itself can't be turned.
"""

from __future__ import annotations

import math
import operator
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from micrograd_mlp.compiled.code import Code, Number, Operand
from micrograd_mlp.compiled.functions import FUNCTIONS, OPERATIONS, is_finite, power_of_half, whole_power
from micrograd_mlp.engine.language import BOOLEAN, NUMBER, Expression, Kind, Language
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.translate import Translation, TranslationError, UntranslatableError

LARGEST_WHOLE_POWER = 8
"""Up to this exponent, multiplications are about as precise as the C library's pow."""
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": lambda x, y: _equal(x, y), "!=": lambda x, y: _differ(x, y),
}  # fmt: skip
LIMITS = {5e-324: 2.0**-149, 2.0**-1022: 2.0**-126, sys.float_info.max: 2.0**128 - 2.0**104}
"""The smallest, the smallest normal and the largest double, and what they are in single precision."""
TWO_ARGUMENTS = {"atan2", "copysign", "floordiv", "fmod", "mod", "pow", "remainder"}
COMPENSATED = sys.version_info >= (3, 12)
"""Whether Python's sum() carries what each addition of floats rounds off."""


def forward(op: Op, code: Code, inputs: Sequence[Number]) -> Number:
    """The operation's value.

    Args:
        op: its record.
        code: where the instructions go.
        inputs: numbers or vectors. A literal among them makes the code simpler, such as the 2 in x².

    Returns:
        A vector if there is one among the inputs.

    Raises:
        TranslationError: its `forward` can't be said in straight-line code; the message tells why.
    """
    with _blamed_on(f"op {op.name!r}: its forward"):
        translation = _Translation(code)
        arguments = [translation.language.expression(x) for x in inputs]
        value = translation.operation(op, arguments) or translation.expanded(op.forward, arguments)
        return translation.language.numbers([value], inputs)[0]


def partials(op: Op, code: Code, output: Number, inputs: Sequence[Number]) -> list[Number]:
    """The operation's local derivatives, one for each input; see `forward`."""
    with _blamed_on(f"op {op.name!r}: its partials"):
        translation = _Translation(code)
        arguments = [translation.language.expression(x) for x in (output, *inputs)]
        items = translation.expanded(op.partials, arguments).items
        if items is None or len(items) != len(inputs):
            raise ValueError(f"what it returns, which is not one derivative for each of {len(inputs)} inputs")
        return translation.language.numbers(items, inputs)


def rule(function: Callable[..., Any], code: Code, arguments: Sequence[Number]) -> list[Number]:
    """What an optimizer's `rule` returns: the new θ and the new state.

    Args:
        function: the rule.
        code: where the instructions go.
        arguments: θ, g, t, the state and the hyperparameters. Of them t and the hyperparameters may have
            double precision where the others have not: then 1 - βᵗ keeps its digits.

    Raises:
        TranslationError: the rule can't be said in straight-line code; the message tells why.
    """
    with _blamed_on("the optimizer's rule"):
        translation = _Translation(code)
        items = translation.expanded(function, [translation.language.expression(x) for x in arguments]).items
        if items is None:
            raise ValueError("what it returns, which is not (theta, *state)")
        return translation.language.numbers(items, arguments[:1])


@contextmanager
def _blamed_on(what: str) -> Iterator[None]:
    """Any error becomes one that names the function: what can't be read can't be turned."""
    try:
        yield
    except RecursionError:
        raise TranslationError(f"{what} can't be turned into machine code: a function calls itself") from None
    except Exception as error:
        raise TranslationError(f"{what} can't be turned into machine code, at {error}") from error


class _Registers(Language):
    """Machine code as a language: an expression is the name of a register or of a literal."""

    name = "machine code"
    functions = {}  # noqa: RUF012
    constants = {}  # noqa: RUF012
    infix = {}  # noqa: RUF012
    runtime = {}  # noqa: RUF012
    reserved = frozenset()
    has_lists = False
    inlines_all = True
    errors_are_nan = False

    def __init__(self, code: Code) -> None:
        self.code = code
        self.operands: dict[str, Operand] = {}

    # Names and what they stand for.

    def expression(self, operand: Operand, kind: Kind = NUMBER) -> Expression:
        """A name for a register or a literal."""
        if isinstance(operand, Number) and (literal := _literal(operand)) is not None:
            return self.number(literal)
        name = f"v{len(self.operands)}"
        self.operands[name] = operand
        return Expression(name, kind)

    def number(self, value: float) -> Expression:
        if isinstance(value, bool):
            return self.expression(value, BOOLEAN)
        value = float(value)
        is_minus_zero = value == 0.0 and math.copysign(1.0, value) < 0.0
        if value.is_integer() and abs(value) < 2.0**53 and not is_minus_zero:
            return Expression(str(int(value)))  # which `translate` understands where it counts something
        if self.code.target.real == "float":
            value = math.copysign(LIMITS.get(abs(value), abs(value)), value)
        return self.expression(value)

    def operand(self, expression: Expression) -> Operand:
        """What has this name. The name of a whole number is its digits."""
        found = self.operands.get(expression.text)
        return float(expression.text) if found is None else found

    def register(self, expression: Expression) -> Number:
        """What has this name, with a literal in a register."""
        operand = self.operand(expression)
        if isinstance(operand, Number):
            return operand
        return self.code.number(operand, "i1" if expression.kind is BOOLEAN else self.code.target.real)

    def registers(self, expressions: Sequence[Expression]) -> list[Number]:
        """Registers of one type: vectors if one of them is."""
        registers = self._in_one_precision(*[self.register(x) for x in expressions])
        return self._like(registers, [x for x in registers if isinstance(x, Number)])

    def numbers(self, results: Sequence[Expression], like: Sequence[Number]) -> list[Number]:
        """A function's results in registers, in vectors if one of `like` is."""
        if any(x.items is not None for x in results):
            raise ValueError("what it returns, where a number is expected and not a sequence")
        results = [self.from_boolean(x) if x.kind is BOOLEAN else x for x in results]
        return self._like([self.operand(x) for x in results], like)

    def _like(self, operands: Sequence[Operand], others: Sequence[Number]) -> list[Number]:
        """Registers of the type that the others have."""
        kind = max([x.type for x in others], key=lambda t: t[0] == "<")
        return [
            self.code.number(x, kind) for x in self._in_one_precision(*operands, *others)[: len(operands)]
        ]

    # Operators. Those of literals are computed now, if Python can.

    def _apply(self, sign: str, left: Expression, right: Expression, kind: Kind) -> Expression:
        a, b = self.operand(left), self.operand(right)
        if not isinstance(a, Number) and not isinstance(b, Number):
            try:
                return self.number(SIGNS[sign](a, b))
            except ArithmeticError:
                a = self.code.real(a)
        return self.expression(SIGNS[sign](*self._in_one_precision(a, b)), kind)

    def _in_one_precision(self, *operands: Operand) -> list[Operand]:
        """Where single and double precision meet, single precision goes on."""
        if not any(isinstance(x, Number) and x.element == "float" for x in operands):
            return list(operands)
        return [
            x.converted("float") if isinstance(x, Number) and x.element == "double" else x for x in operands
        ]

    def arithmetic(self, sign: str, left: Expression, right: Expression) -> Expression:
        return self._apply(sign, left, right, NUMBER)

    def compare(self, sign: str, left: Expression, right: Expression) -> Expression:
        return self._apply(sign, left, right, BOOLEAN)

    def negated(self, x: Expression) -> Expression:
        operand = self.operand(x)
        return self.expression(-operand) if isinstance(operand, Number) else self.number(-operand)

    def logical(self, word: str, conditions: Sequence[Expression]) -> Expression:
        result = self.operand(conditions[0])
        for condition in conditions[1:]:
            following = self.operand(condition)
            if not isinstance(result, Number):  # True and x is x, False and x is False
                result = following if bool(result) == (word == "and") else result
            elif not isinstance(following, Number):
                result = result if bool(following) == (word == "and") else following
            else:
                result = result & following if word == "and" else result | following
        return self.expression(result, BOOLEAN)

    def negation(self, condition: Expression) -> Expression:
        operand = self.operand(condition)
        return self.expression(~operand if isinstance(operand, Number) else not operand, BOOLEAN)

    def select(self, condition: Expression, yes: Expression, no: Expression) -> Expression:
        chosen = self.operand(condition)
        if not isinstance(chosen, Number):
            return yes if chosen else no
        both = [self.register(x) if yes.kind is BOOLEAN else self.operand(x) for x in (yes, no)]
        return self.expression(self.code.select(chosen, *self._in_one_precision(*both)), yes.kind)


def _equal(x: Operand, y: Operand) -> Number | bool:
    if isinstance(x, Number):
        return x.equals(y)
    return y.equals(x) if isinstance(y, Number) else x == y


def _differ(x: Operand, y: Operand) -> Number | bool:
    equal = _equal(x, y)
    return ~equal if isinstance(equal, Number) else not equal


def _literal(number: Number) -> float | None:
    """The value of a literal, which is written as the bits of a double; of a vector that repeats one, too."""
    text = number.text.rpartition(" ")[2].rstrip(")")
    if not text.startswith("0x"):
        return None
    (value,) = struct.unpack(">d", bytes.fromhex(text[2:]))
    return float(value)


class _Translation(Translation):
    """Functions that LLVM, the C library or `functions` has."""

    language: _Registers

    def __init__(self, code: Code) -> None:
        super().__init__(_Registers(code))

    def operation(self, op: Op, arguments: Sequence[Expression]) -> Expression | None:
        if not self.is_of_table(op) or op.name not in OPERATIONS:
            return None
        leaves = [leaf for x in arguments for leaf in (x.items or (x,))]
        numbers = [self.language.from_boolean(x) if x.kind is BOOLEAN else x for x in leaves]
        if op.name == "pow":
            return self._power(*numbers)
        return self.language.expression(OPERATIONS[op.name](*self.language.registers(numbers)))

    def word(self, name: str, arguments: Sequence[Expression], node: Any, kind: Kind = NUMBER) -> Expression:
        if name in ("power", "pow"):
            return self._power(*arguments)
        function = _WORDS.get(name) or FUNCTIONS.get(name)
        n_expected = 2 if name in TWO_ARGUMENTS else 1
        if name == "prod" and not arguments:
            return self.language.number(1.0)
        if function is None or (name not in SEVERAL_ARGUMENTS and len(arguments) != n_expected):
            raise UntranslatableError(node, f"{self.language.name} has no {name} of {len(arguments)} numbers")
        return self.language.expression(function(*self.language.registers(arguments)), kind)

    def _power(self, x: Expression, y: Expression) -> Expression:
        """xʸ, by multiplications or as a root where y is known."""
        base, exponent = self.language.operand(x), self.language.operand(y)
        if not isinstance(base, Number) and not isinstance(exponent, Number):
            return self.language.number(TABLE["pow"].forward(base, exponent))
        if exponent == 0.5:
            power = power_of_half(self.language.register(x))
        elif (
            not isinstance(exponent, Number)
            and exponent.is_integer()
            and abs(exponent) <= LARGEST_WHOLE_POWER
        ):
            power = whole_power(self.language.register(x), int(exponent))
        else:
            power = FUNCTIONS["pow"](*self.language.registers([x, y]))
        return self.language.expression(power)


# What Python has for several numbers, and what `translate` asks about a result inside of try.


def _sum(start: Number, *numbers: Number) -> Number:
    """As Python adds floats: from 3.12 on, what each addition rounds off is carried (Neumaier)."""
    code, total = start.code, start
    carried: Number | None = None
    for x in numbers:
        before, total = total, total + x
        if COMPENSATED:
            rest = code.select(abs(before) >= abs(x), (before - total) + x, (x - total) + before)
            carried = rest if carried is None else carried + rest
    return total if carried is None else code.select(is_finite(carried), total + carried, total)


def _product(*numbers: Number) -> Number:
    product = numbers[0]
    for x in numbers[1:]:
        product = product * x
    return product


def _largest(*numbers: Number) -> Number:
    """The first of the largest, as Python's max."""
    largest = numbers[0]
    for x in numbers[1:]:
        largest = x.code.maximum(x, largest)
    return largest


def _smallest(*numbers: Number) -> Number:
    """The first of the smallest, as Python's min."""
    smallest = numbers[0]
    for x in numbers[1:]:
        smallest = x.code.minimum(x, smallest)
    return smallest


def _is_undefined(result: Number, *inputs: Number) -> Number:
    """Whether a result is nan although its inputs are not."""
    undefined = result.is_nan()
    for x in inputs:
        undefined = undefined & x.equals(x)
    return undefined


def _is_overflow(result: Number, *inputs: Number) -> Number:
    """Whether a result is infinite although its inputs are finite."""
    overflow = FUNCTIONS["isinf"](result)
    for x in inputs:
        overflow = overflow & is_finite(x)
    return overflow


_WORDS: dict[str, Callable[..., Number]] = {
    "sum": _sum, "prod": _product, "largest": _largest, "smallest": _smallest,
    "is_undefined": _is_undefined, "is_overflow": _is_overflow,
}  # fmt: skip
SEVERAL_ARGUMENTS = {*_WORDS, "hypot"}
