"""What a language has to say, so that `translate` can write Python functions in it.

An expression is text with two facts: its kind, since Python can add conditions and other languages can't; and
how tightly its outermost operator binds, which decides about parentheses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Kind:
    """The type of an expression.

    Attributes:
        name: "number", "boolean" or "tuple".
        parts: the kind of each element of a tuple.
    """

    name: str
    parts: tuple[Kind, ...] = ()


NUMBER, BOOLEAN = Kind("number"), Kind("boolean")

# How tightly an expression binds, for parentheses: those of a weaker level go inside a pair of them.
SELECT, OR, AND, COMPARE, SUM, PRODUCT, UNARY, ATOM = range(8)


@dataclass(frozen=True)
class Expression:
    """Source text with its kind and the level of its outermost operator.

    A sequence has no text but its elements in `items`.
    """

    text: str
    kind: Kind = NUMBER
    level: int = ATOM
    items: tuple[Expression, ...] | None = None

    def leaves(self) -> list[Expression]:
        """The numbers in it: itself, or those in a sequence of sequences."""
        return [self] if self.items is None else [leaf for item in self.items for leaf in item.leaves()]

    def __format__(self, place: str) -> str:
        """For templates: `{0}` stands between commas or alone, `{0:atom}` beside an operator or a dot."""
        return self.within(ATOM) if place == "atom" else self.text

    def within(self, level: int) -> str:
        """The text, in parentheses if its operator binds less tightly than `level`."""
        return self.text if self.level >= level else f"({self.text})"


NOTHING: Mapping[str, str] = MappingProxyType({})


class Language:
    """The words of one language; a subclass fills them in.

    What is written here is common to C and its relatives. A method that raises `NotImplementedError` is one
    for which languages share no way of writing.

    Attributes:
        name: what the language is called in error messages.
        functions: for each function of Python (its plain name: "exp", "atan2") a template with `{0}`, `{1}`,
            or `{args}` for all arguments (`{0:atom}` where the argument stands beside an operator or a dot).
        constants: how to write inf, nan, True and False.
        infix: the operators that are written differently than in Python (the comparisons, "and", "or", ...).
        runtime: definitions that the templates of `functions` call, by the name that is called. Each
            definition is written in front of the functions if it is needed.
        operations: for operations of the table by name, a template that the language has for them.
        reserved: names that no function or variable may have.
        indent, between: what stands before a line of a block, and between definitions.
        inlines_all: True if an expression is the name of a result, so that no functions are needed.
        errors_are_nan: whether a result may be nan where Python raises an error.
    """

    name: str
    functions: Mapping[str, str] = NOTHING
    constants: Mapping[str, str] = NOTHING
    infix: Mapping[str, str] = NOTHING
    runtime: Mapping[str, str] = NOTHING
    operations: Mapping[str, str] = NOTHING
    reserved: frozenset[str] = frozenset()
    inlines_all = False
    errors_are_nan = True
    indent = "  "
    between = "\n\n"

    def number(self, value: float) -> Expression:
        """A literal."""
        if isinstance(value, bool):
            return Expression(self.constants[str(value)], BOOLEAN)
        if math.isnan(value):
            return Expression(self.constants["nan"])
        text = self.constants["inf"] if math.isinf(value) else repr(abs(value))
        negative = math.copysign(1.0, value) < 0
        return Expression("-" + text, level=UNARY) if negative else Expression(text)

    def argument(self, x: Expression) -> Expression:
        """An expression as the argument of a word of the language."""
        return x

    def negated(self, x: Expression) -> Expression:
        """-x."""
        return Expression("-" + x.within(ATOM), level=UNARY)

    def compare(self, sign: str, left: Expression, right: Expression) -> Expression:
        """left < right, and so on."""
        return Expression(
            f"{left.within(SUM)} {self.infix.get(sign, sign)} {right.within(SUM)}", BOOLEAN, COMPARE
        )

    def arithmetic(self, sign: str, left: Expression, right: Expression) -> Expression:
        """left + right, and so on; a product binds tighter than a sum, and equals group to the left."""
        level = SUM if sign in "+-" else PRODUCT
        return Expression(
            f"{left.within(level)} {self.infix.get(sign, sign)} {right.within(level + 1)}", level=level
        )

    def logical(self, word: str, conditions: Sequence[Expression]) -> Expression:
        """All of the conditions ("and"), or one of them ("or")."""
        level = AND if word == "and" else OR
        joined = f" {self.infix.get(word, word)} ".join(c.within(level + 1) for c in conditions)
        return Expression(joined, BOOLEAN, level)

    def negation(self, condition: Expression) -> Expression:
        """Not the condition."""
        return Expression("!" + condition.within(UNARY + 1), BOOLEAN, UNARY)

    def select(self, condition: Expression, yes: Expression, no: Expression) -> Expression:
        """One of two values."""
        text = f"{condition.within(SELECT + 1)} ? {yes.within(SELECT + 1)} : {no.text}"
        return Expression(text, yes.kind, SELECT)

    def from_boolean(self, condition: Expression) -> Expression:
        """1 or 0."""
        return self.select(condition, Expression("1.0"), Expression("0.0"))

    def as_number(self, x: Expression) -> Expression:
        """A number as it is; a condition as 1 or 0."""
        return self.from_boolean(x) if x.kind is BOOLEAN else x

    def function(self, name: str, parameters: Sequence[str], body: Sequence[str]) -> str:
        """A definition."""
        raise NotImplementedError

    def assignment(self, target: str, value: str) -> str:
        """The statement that gives a variable its value, once."""
        raise NotImplementedError

    def returned(self, value: Expression) -> str:
        """The statement that ends a function; a sequence of results is returned as a list."""
        raise NotImplementedError

    def call(self, name: str, arguments: Sequence[Expression], kind: Kind = NUMBER) -> Expression:
        """A call of a translated function."""
        return Expression(f"{name}({', '.join([argument.text for argument in arguments])})", kind)

    def call_for_several(
        self, target: str, name: str, arguments: Sequence[Expression], n: int
    ) -> tuple[str, list[Expression]]:
        """The statement that calls a function for n numbers, and those numbers."""
        call = self.call(name, arguments).text
        return self.assignment(target, call), [Expression(f"{target}[{k}]") for k in range(n)]


def definitions(path: Path, pattern: str) -> dict[str, str]:
    """The definitions of a file in that language, which empty lines separate, by the name that they define.

    Args:
        path: the file.
        pattern: a regular expression that finds the name, at the beginning of a line. Parts without one
            are left out.
    """
    parts = [part.strip() for part in path.read_text(encoding="utf-8").split("\n\n")]
    return {found[0]: part for part in parts if (found := re.findall(pattern, part, re.MULTILINE))}
