"""The records' own Python functions as machine code: `forward`, `partials`, an optimizer's `rule` (§6, §10).

The functions are read by `engine/translate.py`, and written in a language whose expressions are registers.
So what a user's operation computes is inlined into the kernel that needs it, with all helper functions, for
a single number or for a vector of them. For an operation of the table, `functions` may have a faster version.

Where Python raises an error, such as for the logarithm of a negative number, the code gives what IEEE
arithmetic has, nan or inf. A function that raises an error itself can't be turned.
"""

from __future__ import annotations

import functools
import math
import operator
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from micrograd_mlp.compiled.code import Code, Number, Operand
from micrograd_mlp.compiled.functions import (
    FUNCTIONS,
    OPERATIONS,
    SLOPES,
    is_finite,
    power_of_half,
    whole_power,
)
from micrograd_mlp.engine.language import BOOLEAN, NUMBER, Expression, Kind, Language
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.translate import Translation, TranslationError, UntranslatableError

LARGEST_WHOLE_POWER = 8
"""Up to this exponent, multiplications are about as precise as the C library's pow."""
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
OF_REGISTERS = {**SIGNS, "==": Number.equals, "!=": Number.differs}
MOST_STEPS = 10_000
"""A function of more steps, such as one that goes over pairs of many inputs, would take long to compile."""
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
        return translation.language.results([value], inputs)[0]


def partials(op: Op, code: Code, output: Number, inputs: Sequence[Number]) -> list[Number]:
    """The operation's local derivatives, one for each input; see `forward`."""
    with _blamed_on(f"op {op.name!r}: its partials"):
        translation = _Translation(code)
        if translation.is_of_table(op) and op.name in SLOPES:
            return SLOPES[op.name](*translation.language.registers([output, *inputs]))
        arguments = [translation.language.expression(x) for x in (output, *inputs)]
        items = translation.expanded(op.partials, arguments).items
        if items is None or len(items) != len(inputs):
            raise ValueError(f"what it returns, which is not one derivative for each of {len(inputs)} inputs")
        return translation.language.results(items, inputs)


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
        return translation.language.results(items, arguments[:1])


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
        if len(self.operands) >= MOST_STEPS:
            raise ValueError(f"its end: it takes more than {MOST_STEPS} steps")
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

    def registers(self, operands: Sequence[Operand], like: Sequence[Number] = ()) -> list[Number]:
        """Registers of one type: vectors if one of them or of `like` is, and the lower of two precisions."""
        numbers = [x for x in (*operands, *like) if isinstance(x, Number)]
        kind = max([x.type for x in numbers], key=lambda t: t[0] == "<", default=self.code.target.real)
        if any(x.element == "float" for x in numbers):
            kind = kind.replace("double", "float")
        return [self.code.number(x, kind) for x in operands]

    def results(self, expressions: Sequence[Expression], like: Sequence[Number]) -> list[Number]:
        """What a function returns, in registers like those."""
        if any(x.items is not None for x in expressions):
            raise ValueError("what it returns, where a number is expected and not a sequence")
        numbers = [self.from_boolean(x) if x.kind is BOOLEAN else x for x in expressions]
        return self.registers([self.operand(x) for x in numbers], like)

    # Operators. Those of literals are computed now, if Python can.

    def _apply(self, sign: str, left: Expression, right: Expression, kind: Kind) -> Expression:
        operands = [self.operand(left), self.operand(right)]
        if not any(isinstance(x, Number) for x in operands):
            with suppress(ArithmeticError):
                return self.number(SIGNS[sign](*operands))
        return self.expression(OF_REGISTERS[sign](*self.registers(operands)), kind)

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
        if yes.kind is BOOLEAN:
            unless = self.logical("and", [self.negation(condition), no])
            return self.logical("or", [self.logical("and", [condition, yes]), unless])
        return self.expression(
            self.code.select(chosen, *self.registers([self.operand(yes), self.operand(no)]))
        )


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
        return self._emitted(OPERATIONS[op.name], numbers)

    def word(self, name: str, arguments: Sequence[Expression], node: Any, kind: Kind = NUMBER) -> Expression:
        if name in ("power", "pow"):
            return self._power(*arguments)
        if name == "prod" and not arguments:
            return self.language.number(1.0)
        function = _WORDS.get(name) or FUNCTIONS.get(name)
        n_expected = 2 if name in TWO_ARGUMENTS else 1
        if function is None or (name not in SEVERAL_ARGUMENTS and len(arguments) != n_expected):
            raise UntranslatableError(node, f"{self.language.name} has no {name} of {len(arguments)} numbers")
        return self._emitted(function, arguments, kind)

    def _emitted(
        self, function: Callable[..., Number], arguments: Sequence[Expression], kind: Kind = NUMBER
    ) -> Expression:
        registers = self.language.registers([self.language.operand(x) for x in arguments])
        return self.language.expression(function(*registers), kind)

    def _power(self, x: Expression, y: Expression) -> Expression:
        """xʸ, by multiplications or as a root where y is known."""
        base, exponent = self.language.operand(x), self.language.operand(y)
        if isinstance(exponent, Number):
            return self._emitted(FUNCTIONS["pow"], [x, y])
        if not isinstance(base, Number):
            return self.language.number(TABLE["pow"].forward(base, exponent))
        if exponent == 0.5:
            return self.language.expression(power_of_half(base))
        if exponent.is_integer() and abs(exponent) <= LARGEST_WHOLE_POWER:
            return self.language.expression(whole_power(base, int(exponent)))
        return self._emitted(FUNCTIONS["pow"], [x, y])


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


def _is_undefined(result: Number, *inputs: Number) -> Number:
    """Whether a result is nan although its inputs are not."""
    return functools.reduce(operator.and_, [x.equals(x) for x in inputs], result.is_nan())


def _is_overflow(result: Number, *inputs: Number) -> Number:
    """Whether a result is infinite although its inputs are finite."""
    return functools.reduce(operator.and_, map(is_finite, inputs), FUNCTIONS["isinf"](result))


_WORDS: dict[str, Callable[..., Number]] = {
    "sum": _sum, "prod": lambda *numbers: functools.reduce(operator.mul, numbers),
    # Of equal numbers the first, as Python's max and min.
    "largest": lambda *numbers: functools.reduce(lambda largest, x: x.code.maximum(x, largest), numbers),
    "smallest": lambda *numbers: functools.reduce(lambda smallest, x: x.code.minimum(x, smallest), numbers),
    "is_undefined": _is_undefined, "is_overflow": _is_overflow,
}  # fmt: skip
SEVERAL_ARGUMENTS = {*_WORDS, "hypot"}
