"""Formulas as text, such as `tanh(w*x + b)` on the command line.

Python's own `ast` parses the text, which is never evaluated as Python. Numbers, names, + - * / **,
parentheses and the functions of the table of primitives are understood; an error marks the position of
anything else.
"""

from __future__ import annotations

import ast
import math
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from operator import itemgetter

from micrograd_mlp._require import nearest
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.engine.value import Constant, Value

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 200  # levels of nesting

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
    ast.USub: "neg",
}


Recorder = Callable[[Mapping[str, Value]], Value]


class ExpressionError(ValueError):
    """The text is not an expression; the message marks the position."""

    def __init__(self, what: str, text: str = "", column: int = 0) -> None:
        if text:
            start = max(column - 50, 0)
            shown = "".join(c if c.isprintable() else "?" for c in text[start : column + 50])
            what += f"\n  {shown}\n  {' ' * (column - start)}^"
        super().__init__(what)


def parse(text: str) -> Expression:
    """Read a formula.

    Args:
        text: at most 10,000 characters, nested at most 200 levels deep.

    Raises:
        ExpressionError: the text is not understood; this ValueError marks the position.

    >>> parse("tanh(w*x + b)").names
    ('w', 'x', 'b')
    >>> parse("sigmiod(w*x + b)")
    Traceback (most recent call last):
    micrograd_mlp.app.formulas.ExpressionError: there is no function 'sigmiod'; did you mean sigmoid?
      sigmiod(w*x + b)
      ^
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text):,} characters, more than {MAX_LENGTH:,}")
    text = "".join(" " if c.isspace() else c for c in text).strip()
    if not text:
        raise ExpressionError('the expression is empty: write one such as "tanh(w*x + b)"')
    expression = Expression(text)
    if not expression.names:
        raise ExpressionError("the expression has no variable, such as x, to differentiate by", text)
    return expression


def parse_assignment(text: str) -> tuple[str, float]:
    """Read a name and its number, such as `w=0.5`.

    Raises:
        ExpressionError: the text has another form, or the number is not finite.

    >>> parse_assignment("w=0.5")
    ('w', 0.5)
    """
    name, equals, number = text.partition("=")
    name = unicodedata.normalize("NFKC", name.strip())  # as Python does with the names of a program
    if not equals or not name.isidentifier():
        raise ExpressionError(f"expected a name and its number, such as w=0.5, got {text!r:.60}")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ExpressionError(f"{name}: expected a finite number, got {number!r:.60}")
    return name, value


def _syntax_tree(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns about 1if, which is refused below anyway
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        column = min((error.offset or len(text) + 1) - 1, len(text))  # 0 means the end
        raise ExpressionError(error.msg, text, column) from None
    except (MemoryError, RecursionError):
        raise ExpressionError("the expression is nested too deeply", text) from None
    except ValueError as error:  # a null character, or half of a character
        raise ExpressionError(str(error), text) from None


class Expression:
    """A parsed formula: a function that records the formula's graph on a Value for each name.

    Attributes:
        text: the formula as it was written, on one line.
        names: its variables, in the order of their first occurrence.

    >>> x = Value(3.0, "x")
    >>> parse("x**2 + 1")({"x": x}).data
    10.0
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._seen: dict[str, None] = {}  # a set that keeps the order
        self._record = self._read(_syntax_tree(text), 0)
        self.names = tuple(self._seen)

    def __call__(self, values: Mapping[str, Value]) -> Value:
        """Record the graph on these Values."""
        return self._record(values)

    def _read(self, node: ast.expr, depth: int) -> Recorder:
        if depth > MAX_DEPTH:
            raise self._error(f"the expression is nested more than {MAX_DEPTH} deep", node)
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return self._constant(number, node)
            case ast.Name(id=name):
                if name in TABLE:
                    raise self._error(f"{name} is a function: write {name}(…)", node)
                self._seen[name] = None
                return itemgetter(name)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._read(operand, depth + 1)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return self._constant(-number, node)
            case ast.UnaryOp(op=ast.USub() as operator, operand=operand):
                return self._apply(OPERATORS[type(operator)], [operand], depth)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
                return self._apply(OPERATORS[type(operator)], [left, right], depth)
            case ast.BinOp(op=ast.BitXor(), left=left):
                column = self.text.index("^", self._column(left.end_col_offset))
                raise ExpressionError("^ does not mean a power here: write x**2", self.text, column)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._apply(name, self._arguments(name, node, arguments), depth)
            case _:
                raise self._error("only numbers, names, + - * / **, ( ) and functions are understood", node)

    def _apply(self, name: str, arguments: list[ast.expr], depth: int) -> Recorder:
        op, operands = TABLE[name], [self._read(argument, depth + 1) for argument in arguments]
        return lambda values: op(*[operand(values) for operand in operands])

    def _arguments(self, name: str, call: ast.Call, arguments: list[ast.expr]) -> list[ast.expr]:
        """The operands of a call; lists are flattened, as in total([a, b]) and dot([a, b], [c, d])."""
        if name not in TABLE:
            similar = nearest(name, TABLE)
            hint = f"did you mean {similar}?" if similar else f"there are {', '.join(TABLE)}"
            raise self._error(f"there is no function {name!r:.40}; {hint}", call)
        op = TABLE[name]
        if op.arity is not None:
            if len(arguments) != op.arity:
                raise self._error(f"{name} takes {op.arity} input(s), got {len(arguments)}", call)
            return arguments
        lists = [x.elts if isinstance(x, ast.List | ast.Tuple) else [x] for x in arguments]
        if name == "dot" and (len(lists) != 2 or len(lists[0]) != len(lists[1])):
            raise self._error("dot takes two lists of one length, such as dot([w1, w2], [x1, x2])", call)
        flat = [x for each in lists for x in each]
        if not flat:
            raise self._error(f"{name} takes at least one input", call)
        return flat

    def _constant(self, number: int | float, node: ast.expr) -> Recorder:
        try:
            x = float(number)
        except OverflowError:
            raise self._error("the number is too large", node) from None
        return lambda values: Constant(x)

    def _error(self, what: str, node: ast.expr) -> ExpressionError:
        return ExpressionError(what, self.text, self._column(node.col_offset))

    def _column(self, offset: int | None) -> int:
        """The position in the text in characters; `ast` counts bytes."""
        return len(self.text.encode()[:offset].decode())
