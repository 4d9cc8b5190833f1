"""Turn a record's own Python functions into source in another language (§6).

A page, a C program or a PyTorch function computes what the records say: `forward` and `partials` are
read as Python's syntax tree and written again, operation by operation in the same order, so that the
numbers agree. What can be turned is arithmetic: numbers, conditions, early returns, loops and
comprehensions over the inputs of an n-ary operation, the functions of `math`, other operations, and
plain helper functions. Numbers from closures and globals become constants. Everything else is a
`TranslationError` that names the operation and the expression.

This file walks the tree and knows Python. A `Language` knows how one other language writes what the
walk finds; `javascript.py` is the first.

>>> from micrograd_mlp.engine.javascript import JAVASCRIPT
>>> from micrograd_mlp.engine.table import TABLE
>>> translation = Translation(JAVASCRIPT)
>>> translation.forward(TABLE["relu"])
'relu'
>>> print(translation.source())
function relu(z) {
  return z < 0.0 ? 0.0 : z;
}
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import math
import operator
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Any

from micrograd_mlp.engine.language import (
    ATOM,
    BOOLEAN,
    NUMBER,
    NUMBERS,
    PRODUCT,
    STAR,
    Expression,
    Item,
    Kind,
    Language,
    sequence_of,
)
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE

if TYPE_CHECKING:
    from micrograd_mlp.engine.straight import StraightBody


class TranslationError(TypeError):
    """A function of a record uses something that can't be said in the other language."""


class UntranslatableError(Exception):
    """Why one expression can't be turned; `Translation` adds the operation's name."""

    def __init__(self, node: ast.AST, reason: str) -> None:
        super().__init__(f"`{ast.unparse(node).splitlines()[0]:.80}`: {reason}")


# Functions of Python for which languages have words of their own.
_WORDS: dict[Any, str] = {
    getattr(math, name): name
    for name in (
        "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees erf erfc exp exp2 expm1 "
        "fabs floor fmod fsum gamma hypot isfinite isinf isnan lgamma log log10 log1p log2 pow prod radians "
        "remainder sin sinh sqrt tan tanh trunc"
    ).split()
} | {abs: "fabs", operator.abs: "fabs", round: "round", int: "trunc", len: "len"}
_UFUNCS = {
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "absolute": "fabs", "power": "pow",
} | {
    name: name
    for name in (
        "cbrt copysign cos cosh exp exp2 expm1 fabs fmod hypot isfinite isinf isnan log log10 log1p log2 "
        "sin sinh sqrt tan tanh"
    ).split()
}  # fmt: skip
"""Words for NumPy's functions, by their names there."""
ON_SEQUENCES = {"fsum", "prod", "len"}
_INTEGERS = {"ceil", "floor", "round", "trunc"}
"""Where other languages have -0.0, Python's integers have 0."""
_CONDITIONS = {"isfinite", "isinf", "isnan"}
_OPERATORS: dict[Any, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/",
    operator.floordiv: "//", operator.mod: "%", operator.pow: "**",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=",
    operator.eq: "==", operator.ne: "!=",
}  # fmt: skip
_FUNCTIONS = {sign: function for function, sign in _OPERATORS.items()}
_SIGNS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_POLES = {"atanh", "gamma", "lgamma", "log", "log10", "log1p", "log2"}
"""Where these are infinite, Python raises a ValueError; elsewhere it is an OverflowError."""
UNKNOWN = object()


class Translation:
    """The functions of some records, each written once, as source in one language.

    Args:
        language: the words to write with.

    Raises:
        TranslationError: from `forward` and `partials`, when a function can't be turned.
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self._functions: dict[Any, tuple[str, Kind]] = {}
        self._in_progress: list[Any] = []
        self._names = {*language.reserved, *language.runtime}
        self._variables: set[str] = set()
        self._runtime: dict[str, str] = {}
        self._definitions: list[str] = []

    def forward(self, op: Op, n_inputs: int = 0) -> str:
        """The name of the function that computes the operation's value from its inputs.

        Args:
            op: the operation.
            n_inputs: how many inputs an operation of any number gets, in a language without lists.
        """
        with _blamed_on(op, "forward", self.language):
            return self.function(op.forward, op.name, self._inputs(op, n_inputs))[0]

    def partials(self, op: Op, n_inputs: int = 0) -> str:
        """The name of the function that gives the local derivatives from the output and the inputs."""
        with _blamed_on(op, "partials", self.language):
            kinds = [NUMBER, *self._inputs(op, n_inputs)]
            return self.function(op.partials, f"{op.name}_partials", kinds)[0]

    def _inputs(self, op: Op, n_inputs: int) -> list[Kind]:
        several = [STAR] if self.language.has_lists else [NUMBER] * n_inputs
        return several if op.arity is None else [NUMBER] * op.arity

    def expanded(self, function: Callable[..., Any], arguments: Sequence[Expression]) -> Expression:
        """What a function returns, step by step, in a language whose expressions are names of results."""
        return self._straight(function, [argument.kind for argument in arguments]).expanded(arguments)

    def value(self, op: Op, arguments: Sequence[Expression]) -> Expression:
        """An operation of these arguments, each of which is a name or a literal."""
        with _blamed_on(op, "forward", self.language):
            is_call = self.language.inlines_all or self.is_short(op, arguments)
            inline = None if is_call else self.inline(op.forward, arguments)
            body = self._straight(op.forward, [argument.kind for argument in arguments])
            return inline or body.apply(op, [(False, argument) for argument in arguments], ast.Name(op.name))

    def is_short(self, op: Op, arguments: Sequence[Expression]) -> bool:
        """Whether a call is as good as the function's own words."""
        return self.operation(op, arguments) is not None or op.forward in _OPERATORS

    def slopes(self, op: Op, out: Expression, arguments: Sequence[Expression]) -> list[Expression] | str:
        """The local derivatives of these arguments, or the name of the function that gives them."""
        with _blamed_on(op, "partials", self.language):
            inline = self.inline(op.partials, [out, *arguments])
            if inline is not None and inline.items is not None:
                return list(inline.items)
            return self.partials(op, len(arguments))

    def slope_of_each(self, op: Op, out: Expression, inputs: Expression) -> Expression | None:
        """The derivative by one of many inputs, where it depends on that input and on the output alone.

        This is so for `lambda out, *z: tuple([... for z_k in z])`: then the same words are right for all
        inputs at once, in a language of arrays, and for each of them in a loop.
        """
        body = self._straight(op.partials, [NUMBER, NUMBER])
        first, *others = body.statements()
        result = first.value if isinstance(first, ast.Return) else None
        if isinstance(result, ast.Call) and body.static(result.func) is tuple and len(result.args) == 1:
            result = result.args[0]
        if others or not isinstance(result, (ast.ListComp, ast.GeneratorExp)) or len(result.generators) != 1:
            return None
        loop, several, names = result.generators[0], body.tree.args.vararg, body.tree.args.args
        if several is None or len(names) != 1 or loop.ifs or not isinstance(loop.target, ast.Name):
            return None
        if _names_of(loop.iter) != [several.arg] or several.arg in _names_of(result.elt):
            return None
        arguments = ast.arguments([], [names[0], ast.arg(loop.target.id)], None, [], [], None, [])
        body.tree = ast.Lambda(arguments, result.elt)
        return body.inline_with([out, inputs])

    def operation(self, op: Op, arguments: Sequence[Expression]) -> Expression | None:
        """The language's own word for an operation of the table, if it has one."""
        template = self.language.operations.get(op.name) if self.is_of_table(op) else None
        if template is None:
            return None
        return self.written(template, arguments)

    def is_of_table(self, op: Op) -> bool:
        """Whether the package ships the operation, so that a language may know it by its name."""
        return TABLE.get(op.name) is op

    def inline(self, function: Callable[..., Any], arguments: Sequence[Expression]) -> Expression | None:
        """A function's result as an expression of these arguments; None if it takes more than that.

        A result of several numbers has them in `items`.
        """
        return self._straight(function, [argument.kind for argument in arguments]).inline_with(arguments)

    def source(self) -> str:
        """All definitions so far; a function stands below those that it calls."""
        return self.language.between.join([*self._runtime.values(), *self._definitions])

    def function(self, function: Callable[..., Any], name: str, kinds: Sequence[Kind]) -> tuple[str, Kind]:
        """The name of a Python function's translation for arguments of these kinds, and what it returns."""
        key = (function, tuple(kinds))
        if key not in self._functions:
            if key in self._in_progress:
                raise UntranslatableError(ast.Name(name), "the function calls itself")
            self._in_progress.append(key)
            try:
                make = self._body if self.language.has_lists else self._straight
                body = make(function, kinds)
                body.bind(kinds)
                lines = body.translated()
            finally:
                self._in_progress.pop()
            unique = self.unused(name)
            self._functions[key] = unique, body.result
            self._definitions.append(self.language.function(unique, body.parameters, lines))
        return self._functions[key]

    def _body(self, function: Callable[..., Any], kinds: Sequence[Kind]) -> Body:
        return Body(self, *_found(function, kinds))

    def _straight(self, function: Callable[..., Any], kinds: Sequence[Kind]) -> StraightBody:
        from micrograd_mlp.engine.straight import StraightBody  # here, since it is made of this file's Body

        return StraightBody(self, *_found(function, kinds))

    def word(
        self, name: str, arguments: Sequence[Expression], node: ast.AST, kind: Kind = NUMBER
    ) -> Expression:
        """A call of a function that the language has a word for."""
        template = self.language.functions.get(name)
        if template is None:
            raise UntranslatableError(node, f"{self.language.name} has no {name}")
        return self.written(template, arguments, kind)

    def written(self, template: str, arguments: Sequence[Expression], kind: Kind = NUMBER) -> Expression:
        """A template with arguments; what it needs of the runtime is taken along."""
        self.take_along(template)
        arguments = [self.language.argument(argument) for argument in arguments]
        texts = ", ".join([argument.text for argument in arguments])
        has_operator = re.search(r"\} (\*|/|%)", template) is not None
        text = template.format(*arguments, args=texts, n=len(arguments))
        return Expression(text, kind, PRODUCT if has_operator else ATOM)

    def take_along(self, text: str) -> None:
        """The definitions of the runtime that a text calls, below those that they call."""
        for name, definition in self.language.runtime.items():
            if name not in self._runtime and re.search(rf"(?<![\w.]){name}\(", text):
                self._runtime[name] = ""
                self.take_along(definition)
                del self._runtime[name]
                self._runtime[name] = definition

    def unused(self, name: str) -> str:
        """A name for a function: the identifier, with underscores behind it until nothing else has it."""
        unique = _identifier(name)
        while unique in self._names or unique in self._variables:
            unique += "_"
        self._names.add(unique)
        return unique

    def variable(self, name: str) -> str:
        """A name for a variable. Variables of different functions may share it."""
        unique = _identifier(name)
        while unique in self._names:
            unique += "_"
        self._variables.add(unique)
        return unique


def _identifier(name: str) -> str:
    text = name.replace("<lambda>", "f")
    text = "".join(c if c == "_" or (c.isascii() and c.isalnum()) else f"u{ord(c):x}" for c in text)
    return "f" + text if text[:1].isdigit() else text


@contextmanager
def _blamed_on(op: Op, which: str, language: Language) -> Iterator[None]:
    try:
        yield
    except UntranslatableError as error:
        raise TranslationError(
            f"op {op.name!r}: its {which} can't be turned into {language.name}, at {error}"
        ) from None


# Finding a function's source.


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _tree(function: Callable[..., Any]) -> ast.FunctionDef | ast.Lambda:
    """The syntax tree of one Python function; of several lambdas in a line, the right one."""
    code = getattr(function, "__code__", None)
    if code is None:
        raise UntranslatableError(ast.Name(repr(function)), "it is not a function that is written in Python")
    try:
        lines, _ = inspect.findsource(code)
        module = _parsed("".join(lines))
    except (OSError, SyntaxError):
        raise UntranslatableError(ast.Name(code.co_name), "its source can't be found") from None
    around = [node for node in module.body if _is_around(node, code.co_firstlineno)]
    candidates: list[Any] = [n for node in around for n in ast.walk(node) if _is_source_of(n, code)]
    if not candidates:
        raise UntranslatableError(ast.Name(code.co_name), "its source has changed since it was read")
    if len(candidates) > 1:  # the lambda inside of another lambda is the shorter one
        candidates.sort(key=lambda node: len(ast.unparse(node)))
    tree: ast.FunctionDef | ast.Lambda = candidates[0]
    return tree


def _is_around(node: ast.stmt, line: int) -> bool:
    """Whether a statement, with its decorators, contains a line."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *[decorator.lineno for decorator in decorators]])
    return first <= line <= (node.end_lineno or node.lineno)


def _is_source_of(node: ast.AST, code: CodeType) -> bool:
    """Whether a function's instructions all come from this part of the source."""
    if isinstance(node, ast.FunctionDef):
        first_lines = [node.lineno, *[decorator.lineno for decorator in node.decorator_list]]
        return node.name == code.co_name and code.co_firstlineno in first_lines
    if not isinstance(node, ast.Lambda) or code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
        return False
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    places = [place for place in code.co_positions() if None not in place and place[2] != place[3]]
    return all(start <= (line, column) and (last, until) <= end for line, last, column, until in places)


def _found(
    function: Callable[..., Any], kinds: Sequence[Kind]
) -> tuple[ast.FunctionDef | ast.Lambda, Callable[[str], Any]]:
    """A function's syntax tree, and what looks up its names; of a built-in one, a function around it."""
    is_built_in = any(function in known for known in (_OPERATORS, _BUILT_IN, [operator.neg]))
    if not is_built_in and not _word_for(function):
        return _tree(function), _free_variables(function)
    names = ", ".join("xyz"[: len(kinds)]) if len(kinds) <= 3 and STAR not in kinds else "*x"
    tree: Any = ast.parse(f"lambda {names}: f({names})", mode="eval").body
    return tree, {"f": function}.get


def _free_variables(function: Callable[..., Any]) -> Callable[[str], Any]:
    """Looks a name up as the function itself does: closure, globals, builtins."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))

    def look_up(name: str) -> Any:
        if name in cells:
            return cells[name].cell_contents
        return function.__globals__.get(name, getattr(builtins, name, None))

    return look_up


# Walking a function.


class Body:
    """One function on its way: its variables with their kinds, and what it returns."""

    def __init__(
        self,
        translation: Translation,
        tree: ast.FunctionDef | ast.Lambda,
        look_up: Callable[[str], Any],
    ) -> None:
        self.translation, self.language = translation, translation.language
        self.tree, self.look_up = tree, look_up
        self.kinds: dict[str, Kind] = {}
        self.names: dict[str, str] = {}
        self.assignments: dict[str, int] = {}
        self.declared: set[str] = set()
        self.returned: Kind | None = None
        self.parameters: list[str] = []
        self.first_lines: list[str] = []

    @property
    def result(self) -> Kind:
        """The kind of what the function returns."""
        return self.returned or NUMBER

    def statements(self) -> list[ast.stmt]:
        """What the function does, without its docstring."""
        if isinstance(self.tree, ast.Lambda):
            return [ast.Return(self.tree.body)]
        first = self.tree.body[0]
        has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        return self.tree.body[1:] if has_docstring else self.tree.body

    def translated(self) -> list[str]:
        """The lines of the function's body."""
        self._count_assignments(self.statements())
        return self.first_lines + self.block(self.statements())

    # Variables.

    def positional(self) -> list[tuple[str, ast.expr | None]]:
        """The parameters that stand for one argument each, with their defaults."""
        arguments = self.tree.args
        if arguments.kwonlyargs or arguments.kwarg:
            raise UntranslatableError(self.tree, "keyword parameters can't be turned")
        names = [parameter.arg for parameter in (*arguments.posonlyargs, *arguments.args)]
        missing = [None] * (len(names) - len(arguments.defaults))
        return list(zip(names, [*missing, *arguments.defaults]))

    def bind(self, kinds: Sequence[Kind]) -> None:
        """Enter the parameters, for arguments of these kinds."""
        remaining = list(kinds)
        for parameter, default in self.positional():
            if remaining and remaining[0] != STAR:
                self.parameters.append(self._enter(parameter, remaining.pop(0)))
            elif default is None or remaining:
                raise UntranslatableError(self.tree, f"its parameter {parameter} gets no argument of its own")
            else:
                value = self.expression(default)
                name = self._enter(parameter, value.kind)
                self.first_lines.append(self.language.assignment(name, value.text, "declare"))
        if self.tree.args.vararg:
            self.parameters.append("*" + self._enter(self.tree.args.vararg.arg, NUMBERS))
        elif remaining:
            raise UntranslatableError(
                self.tree, f"it takes {len(self.parameters)} arguments, got {len(kinds)}"
            )
        self.declared.update(self.names)

    def _enter(self, name: str, kind: Kind) -> str:
        """A variable's name in the other language; from here on it has this kind."""
        self.kinds[name] = kind
        return self.names.setdefault(name, self.translation.variable(name))

    def _count_assignments(self, statements: Sequence[ast.stmt]) -> None:
        """How often each variable is assigned; one that outlives the block it begins in is declared first."""
        begins_in: dict[str, Sequence[ast.stmt]] = {}

        def look(block: Sequence[ast.stmt]) -> None:
            for statement in block:
                for name in _assigned(statement):
                    self.assignments[name] = self.assignments.get(name, 0) + 1
                    begins_in.setdefault(name, block)
                for inner in _blocks(statement):
                    look(inner)

        look(statements)
        for name, block in begins_in.items():
            if _mentions(name, block) != _mentions(name, statements) and name not in self.declared:
                self.declared.add(name)
                self.names[name] = self.translation.variable(name)
                self.first_lines.append(self.language.undefined(self.names[name]))

    # Statements.

    def block(self, statements: Sequence[ast.stmt]) -> list[str]:
        """The lines of some statements."""
        lines: list[str] = []
        for statement in statements:
            translate = getattr(self, f"on_{type(statement).__name__.lower()}", None)
            if translate is None:
                raise UntranslatableError(statement, "a statement of this kind can't be turned")
            lines += translate(statement)
        return lines

    def on_return(self, node: ast.Return) -> list[str]:
        if node.value is None:
            raise UntranslatableError(node, "it returns nothing")
        value = self.expression(node.value)
        if value.kind is BOOLEAN and self.returned is not BOOLEAN and self.returned is not None:
            value = self.language.from_boolean(value)
        self.returned = value.kind
        return [self.language.returned(value)]

    def assigned(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> tuple[ast.expr, ast.expr | None]:
        """The target of an assignment and its value, which a mere annotation does not have."""
        if isinstance(node, ast.AugAssign):
            variable = ast.Name(getattr(node.target, "id", ""), ast.Load())
            return node.target, ast.BinOp(variable, node.op, node.value)
        if isinstance(node, ast.AnnAssign):
            return node.target, node.value
        if len(node.targets) != 1:
            raise UntranslatableError(node, "several targets of one assignment can't be turned")
        return node.targets[0], node.value

    def on_assign(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[str]:
        target, source = self.assigned(node)
        if source is None:
            return []
        value = self.expression(source)
        text = self._target(target, value.kind)
        names = set(_names_of(target))
        if names & self.declared:
            return [self.language.assignment(text, value.text, "assign")]
        self.declared |= names
        once = all(self.assignments[name] == 1 for name in names)
        return [self.language.assignment(text, value.text, "once" if once else "declare")]

    on_annassign = on_augassign = on_assign

    def _target(self, target: ast.expr, kind: Kind) -> str:
        """What stands left of an assignment or in a loop; it enters the variables."""
        if isinstance(target, ast.Name):
            return self._enter(target.id, kind)
        if isinstance(target, (ast.Tuple, ast.List)) and kind.parts:
            kinds = kind.parts if kind.name == "tuple" else kind.parts * len(target.elts)
            if len(kinds) == len(target.elts):
                return self.language.unpacking([self._target(t, k) for t, k in zip(target.elts, kinds)])
        raise UntranslatableError(target, "a target of this kind can't be turned")

    def on_if(self, node: ast.If) -> list[str]:
        condition = self.condition(node.test)
        return self.language.branch(condition, self.block(node.body), self.block(node.orelse))

    def on_for(self, node: ast.For) -> list[str]:
        if node.orelse:
            raise UntranslatableError(node, "a loop with an else can't be turned")
        over = self.sequence(node.iter)
        fresh = set(_names_of(node.target)) - self.declared
        target = self._target(node.target, over.kind.parts[0])
        self.declared |= fresh
        body = self.block(node.body)
        self.declared -= fresh
        if not fresh:
            return self.language.loop(target, over, body, "assign")
        once = not any(name in self.assignments for name in fresh)
        return self.language.loop(target, over, body, "once" if once else "declare")

    def on_while(self, node: ast.While) -> list[str]:
        if node.orelse:
            raise UntranslatableError(node, "a loop with an else can't be turned")
        return self.language.while_loop(self.condition(node.test), self.block(node.body))

    def on_break(self, node: ast.Break | ast.Continue) -> list[str]:
        return [self.language.jump("break" if isinstance(node, ast.Break) else "continue")]

    on_continue = on_break

    def on_pass(self, node: ast.Pass) -> list[str]:
        return []

    def on_raise(self, node: ast.Raise) -> list[str]:
        """A function on floats never raises; where it does, the result is nan."""
        return [self.language.returned(self.language.number(math.nan))]

    def on_try(self, node: ast.Try) -> list[str]:
        lines = self.block(self.tried(node))
        for handler in reversed(node.handlers):
            condition = self.caught(node, handler)
            if condition is not None:
                lines = self.language.branch(condition, self.block(handler.body), lines)
        return lines

    def tried(self, node: ast.Try) -> list[ast.stmt]:
        """What is done inside of try if nothing is raised."""
        if len(node.body) != 1 or not isinstance(node.body[0], (ast.Return, ast.Assign)) or node.finalbody:
            raise UntranslatableError(node, "only one `return` or assignment inside of try can be turned")
        return [*node.body, *node.orelse]

    def caught(self, node: ast.Try, handler: ast.ExceptHandler) -> Expression | None:
        """When a handler is reached: a result is nan or infinite without a reason in the arguments."""
        raised = [c for inner in ast.walk(node.body[0]) for c in self._raised(inner, _caught_by(handler))]
        return self.connected("or", raised) if raised else None

    def _raised(self, node: ast.AST, caught: set[str]) -> list[Expression]:
        """When one operation raises one of these exceptions."""
        if isinstance(node, (ast.IfExp, ast.BoolOp, ast.Lambda, ast.ListComp, ast.GeneratorExp)):
            raise UntranslatableError(node, "inside of try it can't be turned")
        zero = self.language.number(0.0)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mod)):
            by_zero = self.language.compare("==", self.number(node.right), zero)
            return [by_zero] if "ZeroDivisionError" in caught else []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            word, arguments, at_pole = "**", [node.left, node.right], "ZeroDivisionError"
        elif isinstance(node, ast.Call) and (found := _word_for(self.static(node.func))):
            word, arguments, at_pole = found, node.args, "ValueError"
        else:
            return []
        inputs = [self.number(argument) for argument in arguments]
        question = [self.expression(node), *inputs]
        undefined = self.translation.word("is_undefined", question, node, BOOLEAN)
        infinite = self.translation.word("is_overflow", question, node, BOOLEAN)
        raised = [undefined] if "ValueError" in caught else []
        if word in _POLES:
            return [undefined, infinite] if "ValueError" in caught else []
        if word not in ("pow", "**") or {at_pole, "OverflowError"} <= caught:
            return [*raised, infinite] if "OverflowError" in caught else raised
        is_pole = self.language.compare("==", inputs[0], zero)
        if at_pole in caught:
            raised.append(self.language.logical("and", [infinite, is_pole]))
        if "OverflowError" in caught:
            raised.append(self.language.logical("and", [infinite, self.language.negation(is_pole)]))
        return raised

    # Expressions.

    def expression(self, node: ast.expr) -> Expression:
        """A Python expression in the other language."""
        value = self.static(node)
        if value is not UNKNOWN:
            return self._constant(value, node)
        translate = getattr(self, f"on_{type(node).__name__.lower()}", None)
        if translate is None:
            raise UntranslatableError(node, "an expression of this kind can't be turned")
        result: Expression = translate(node)
        return result

    def condition(self, node: ast.expr) -> Expression:
        """An expression of which only the truth is asked."""
        if isinstance(node, ast.BoolOp):
            word = "and" if isinstance(node.op, ast.And) else "or"
            return self.language.logical(word, [self.condition(value) for value in node.values])
        return self._truth(self.expression(node), node)

    def number(self, node: ast.expr) -> Expression:
        """An expression that arithmetic is done with: True counts as 1."""
        return self.as_number(self.expression(node), node)

    def as_number(self, value: Expression, node: ast.expr) -> Expression:
        if value.is_sequence:
            raise UntranslatableError(node, "a number is expected here")
        return self.language.as_number(value)

    def sequence(self, node: ast.expr) -> Expression:
        value = self.expression(node)
        if not value.is_sequence:
            raise UntranslatableError(node, "a sequence is expected here")
        return value

    def _truth(self, value: Expression, node: ast.expr) -> Expression:
        if value.kind is BOOLEAN:
            return value
        if value.is_sequence:
            value = self.translation.word("len", [value], node)
        return self.language.compare("!=", value, self.language.number(0))

    def is_variable(self, name: str) -> bool:
        """Whether a name belongs to the function."""
        return name in self.kinds or name in self.assignments

    def static(self, node: ast.expr) -> Any:
        """What an expression is worth if it does not depend on the function's variables."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return UNKNOWN if self.is_variable(node.id) else self.look_up(node.id)
        children = [self.static(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if any(child is UNKNOWN for child in children):
            return UNKNOWN
        try:
            if isinstance(node, ast.Attribute):
                return getattr(children[0], node.attr)
            if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
                return children[0][children[1]]
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                return -children[0]
            if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS and all(map(is_number, children)):
                return _FUNCTIONS[_SIGNS[type(node.op)]](*children)
            if isinstance(node, ast.Call) and not node.keywords and children[0] in (*_WORDS, float):
                return children[0](*children[1:])
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            pass
        return UNKNOWN

    def _constant(self, value: Any, node: ast.expr) -> Expression:
        if isinstance(value, (tuple, list)):
            return self.display([(False, self._constant(item, node)) for item in value])
        if not is_number(value):
            raise UntranslatableError(node, "it is not a number")
        return self.language.number(value if isinstance(value, (bool, int, float)) else float(value))

    def on_name(self, node: ast.Name) -> Expression:
        if node.id not in self.kinds:
            raise UntranslatableError(node, "it has no value yet")
        return Expression(self.names[node.id], self.kinds[node.id])

    def on_unaryop(self, node: ast.UnaryOp) -> Expression:
        if isinstance(node.op, ast.Not):
            return self.language.negation(self.condition(node.operand))
        if isinstance(node.op, ast.Invert):
            raise UntranslatableError(node, "bits can't be turned")
        value = self.number(node.operand)
        return self.language.negated(value) if isinstance(node.op, ast.USub) else value

    def on_binop(self, node: ast.BinOp) -> Expression:
        if type(node.op) not in _SIGNS:
            raise UntranslatableError(node, "bits and matrices can't be turned")
        left, right = self.expression(node.left), self.expression(node.right)
        return self._binary(_SIGNS[type(node.op)], left, right, node)

    def _binary(self, sign: str, left: Expression, right: Expression, node: ast.expr) -> Expression:
        if sign == "+" and left.is_sequence and right.is_sequence:
            return self.display([(True, left), (True, right)])
        if sign == "*" and (left.is_sequence or right.is_sequence):
            return self.repeated(left, right, node) if left.is_sequence else self.repeated(right, left, node)
        if left.is_sequence or right.is_sequence:
            raise UntranslatableError(node, "it mixes numbers and sequences")
        left, right = self.language.as_number(left), self.language.as_number(right)
        if sign in ("+", "-", "*", "/"):
            return self.language.arithmetic(sign, left, right)
        if sign == "**":
            return self.translation.word("power", [left, right], node)
        if sign in ("//", "%"):
            return self.translation.word("floordiv" if sign == "//" else "mod", [left, right], node)
        return self.language.compare(sign, left, right)

    def repeated(self, items: Expression, times: Expression, node: ast.expr) -> Expression:
        """A sequence several times."""
        return self.translation.word("repeat", [items, times], node, items.kind)

    def on_compare(self, node: ast.Compare) -> Expression:
        sides = [node.left, *node.comparators]
        if not all(type(op) in _SIGNS for op in node.ops):
            raise UntranslatableError(node, "only numbers can be compared, with < <= > >= == !=")
        comparisons = [
            self.language.compare(_SIGNS[type(op)], self.number(left), self.number(right))
            for left, op, right in zip(sides, node.ops, sides[1:])
        ]
        return self.connected("and", comparisons)

    def connected(self, word: str, conditions: Sequence[Expression]) -> Expression:
        """One or several conditions, with "and" or "or" between them."""
        return conditions[0] if len(conditions) == 1 else self.language.logical(word, conditions)

    def on_boolop(self, node: ast.BoolOp) -> Expression:
        """`x or y` is a condition if both are; of numbers it is one of the two."""
        values = [self.expression(value) for value in node.values]
        if all(value.kind is BOOLEAN for value in values):
            return self.condition(node)
        result = values[-1]
        for value, source in list(zip(values, node.values))[-2::-1]:
            truth = self._truth(value, source)
            is_and = isinstance(node.op, ast.And)
            result = self.either(truth, result if is_and else value, value if is_and else result, node)
        return result

    def on_ifexp(self, node: ast.IfExp) -> Expression:
        condition = self.condition(node.test)
        return self.either(condition, self.expression(node.body), self.expression(node.orelse), node)

    def either(self, condition: Expression, yes: Expression, no: Expression, node: ast.expr) -> Expression:
        if yes.kind != no.kind:
            if yes.is_sequence or no.is_sequence:
                raise UntranslatableError(node, "its two values are of different kinds")
            yes, no = self.language.as_number(yes), self.language.as_number(no)
        return self.language.select(condition, yes, no)

    def on_tuple(self, node: ast.Tuple | ast.List) -> Expression:
        return self.display(self.items(node.elts))

    def items(self, nodes: Sequence[ast.expr]) -> list[Item]:
        """Elements or arguments, with a mark for those that have a star."""
        items: list[Item] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items.append((True, self.sequence(node.value)))
            else:
                items.append((False, self.expression(node)))
        return items

    on_list = on_tuple

    def display(self, items: Sequence[Item]) -> Expression:
        kinds = [value.kind.parts[0] if starred else value.kind for starred, value in items]
        if {NUMBER, BOOLEAN} == set(kinds) and not any(starred for starred, _ in items):
            items = [(False, self.language.as_number(value)) for _, value in items]
            kinds = [NUMBER] * len(items)
        kind = (
            sequence_of(kinds[0] if kinds else NUMBER)
            if len(set(kinds)) <= 1
            else Kind("tuple", tuple(kinds))
        )
        return self.language.sequence(items, kind)

    def on_listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> Expression:
        outside = dict(self.kinds), dict(self.names)
        loops = []
        for generator in node.generators:
            over = self.sequence(generator.iter)
            target = self._target(generator.target, over.kind.parts[0])
            loops.append((target, over, [self.condition(test) for test in generator.ifs]))
        result = self.language.comprehension(self.expression(node.elt), loops)
        self.kinds, self.names = outside
        return result

    on_generatorexp = on_listcomp

    def on_subscript(self, node: ast.Subscript) -> Expression:
        items = self.sequence(node.value)
        if isinstance(node.slice, ast.Slice):
            word, missing = "slice" if node.slice.upper else "rest", self.language.number(0)
            if node.slice.step:
                word, missing = "strided", Expression(self.language.constants["none"])
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            given = [self.number(bound) if bound else missing for bound in bounds]
            return self.translation.word(word, [items, *given], node, items.kind)
        if items.kind.name == "tuple":
            raise UntranslatableError(node, "take a tuple apart by names instead of an index")
        return self.language.index(items, self.number(node.slice), items.kind.parts[0])

    # Calls.

    def on_getattr(self, node: ast.Call) -> Expression:
        """getattr(x, "data", x): the default, since x is a number and has no such attribute."""
        _, name, *default = node.args
        if not default or not isinstance(name, ast.Constant) or hasattr(0.0, str(name.value)):
            raise UntranslatableError(node, "it asks for an attribute")
        return self.number(default[0])

    def on_call(self, node: ast.Call) -> Expression:
        function = self.static(node.func)
        if function is UNKNOWN or function is None:
            raise UntranslatableError(
                node.func, "it is not known before the function runs, or it is a method"
            )
        if node.keywords:
            node = _without_keywords(node, function)
        if function in _BUILT_IN:
            return _BUILT_IN[function](self, node)
        return self.apply(function, self.items(node.args), node)

    def apply(self, function: Any, arguments: Sequence[Item], node: ast.expr) -> Expression:
        """A call of an operation, of a function that the language has a word for, or of a helper."""
        function = getattr(function, "op", function)
        name = getattr(function, "__name__", "f")
        values = [value for _, value in arguments]
        if isinstance(function, Op):
            if function.arity is None and len(arguments) == 1 and values[0].is_sequence:
                arguments = [(True, values[0])]  # prod(values) means prod(*values)
            if own := self.translation.operation(function, values):
                return own
            function, name = function.forward, function.name
        if function in _OPERATORS and len(values) == 2:
            return self._binary(_OPERATORS[function], values[0], values[1], node)
        if function is operator.neg:
            return self.language.negated(values[0])
        if word := _word_for(function):
            return self.word_call(word, arguments, node)
        return self.call(function, name, arguments, node)

    def call(
        self, function: Callable[..., Any], name: str, arguments: Sequence[Item], node: ast.expr
    ) -> Expression:
        """A call of a function that is translated for it."""
        kinds = [STAR if starred else value.kind for starred, value in arguments]
        name, result = self.translation.function(function, name, kinds)
        return self.language.call(name, arguments, result)

    def word_call(self, word: str, arguments: Sequence[Item], node: ast.expr) -> Expression:
        """A call of a function that the language has a word for."""
        if not (word in ON_SEQUENCES or any(starred for starred, _ in arguments)):
            arguments = [(False, self.as_number(value, node)) for _, value in arguments]
        return self.worded(word, self._spread(arguments), node)

    def worded(self, word: str, arguments: Sequence[Expression], node: ast.expr) -> Expression:
        """The language's word for a function of these numbers."""
        if word == "log" and len(arguments) == 2:
            x, base = [self.worded("log", [argument], node) for argument in arguments]
            return self._binary("/", x, base, node)
        result = self.translation.word(word, arguments, node, BOOLEAN if word in _CONDITIONS else NUMBER)
        return self.language.arithmetic("+", result, self.language.number(0)) if word in _INTEGERS else result

    def _spread(self, arguments: Sequence[Item]) -> list[Expression]:
        return [self.language.spread(value) if starred else value for starred, value in arguments]

    def _mapped(self, items: Expression, change: Callable[[Expression], Expression]) -> Expression:
        """A sequence with every element changed."""
        name = self.translation.variable("item")
        return self.language.comprehension(change(Expression(name, items.kind.parts[0])), [(name, items, [])])

    def _numbers(self, node: ast.expr) -> Expression:
        items = self.sequence(node)
        return self._mapped(items, self.language.from_boolean) if items.kind.parts[0] is BOOLEAN else items

    def _truths(self, node: ast.expr) -> Expression:
        items = self.sequence(node)
        return (
            items if items.kind.parts[0] is BOOLEAN else self._mapped(items, lambda x: self._truth(x, node))
        )

    # Python's own functions that take or give sequences.

    def on_max(self, node: ast.Call, word: str) -> Expression:
        plain = len(node.args) == 1 and not isinstance(node.args[0], ast.Starred)
        items = self._numbers(node.args[0] if plain else ast.List(node.args, ast.Load()))
        return self.translation.word(word, [items], node)

    def on_sum(self, node: ast.Call) -> Expression:
        start = self.number(node.args[1]) if len(node.args) > 1 else self.language.number(0.0)
        return self.translation.word("sum", [self._numbers(node.args[0]), start], node)

    def on_any(self, node: ast.Call, word: str) -> Expression:
        return self.translation.word(word, [self._truths(node.args[0])], node, BOOLEAN)

    def on_zip(self, node: ast.Call) -> Expression:
        return self._zipped([self.sequence(argument) for argument in node.args], node)

    def _zipped(self, sequences: Sequence[Expression], node: ast.expr) -> Expression:
        kinds = tuple([items.kind.parts[0] for items in sequences])
        return self.translation.word("zip", sequences, node, sequence_of(Kind("tuple", kinds)))

    def on_enumerate(self, node: ast.Call) -> Expression:
        items = self.sequence(node.args[0])
        start = self.number(node.args[1]) if len(node.args) > 1 else self.language.number(0)
        kind = sequence_of(Kind("tuple", (NUMBER, items.kind.parts[0])))
        return self.translation.word("enumerate", [items, start], node, kind)

    def on_range(self, node: ast.Call) -> Expression:
        bounds = [self.number(argument) for argument in node.args]
        if len(bounds) == 1:
            bounds = [self.language.number(0), *bounds]
        bounds += [self.language.number(1)] * (3 - len(bounds))
        return self.translation.word("range", bounds, node, NUMBERS)

    def on_rearranged(self, node: ast.Call, word: str) -> Expression:
        items = self.rearranged(node)
        return self.translation.word(word, [items], node, items.kind)

    def rearranged(self, node: ast.Call) -> Expression:
        """What `sorted` or `reversed` gets."""
        if len(node.args) != 1:
            raise UntranslatableError(node, "only the order of the numbers themselves can be turned")
        return self.sequence(node.args[0])

    def on_reduce(self, node: ast.Call) -> Expression:
        raise UntranslatableError(node, f"{self.language.name} has no reduce")

    def on_list_call(self, node: ast.Call) -> Expression:
        return self.sequence(node.args[0]) if node.args else self.display([])

    def on_map(self, node: ast.Call) -> Expression:
        sequences = [self.sequence(argument) for argument in node.args[1:]]
        function = self.static(node.args[0])
        names = [self.translation.variable(f"item{k}" if k else "item") for k in range(len(sequences))]
        items: list[Item] = [(False, Expression(n, s.kind.parts[0])) for n, s in zip(names, sequences)]
        element = self.apply(function, items, node)
        if len(sequences) == 1:
            return self.language.comprehension(element, [(names[0], sequences[0], [])])
        target = self.language.unpacking(names)
        return self.language.comprehension(element, [(target, self._zipped(sequences, node), [])])


_BUILT_IN: dict[Any, Callable[[Body, ast.Call], Expression]] = {
    max: lambda body, node: body.on_max(node, "largest"),
    min: lambda body, node: body.on_max(node, "smallest"),
    any: lambda body, node: body.on_any(node, "any"),
    all: lambda body, node: body.on_any(node, "all"),
    reversed: lambda body, node: body.on_rearranged(node, "reversed"),
    sorted: lambda body, node: body.on_rearranged(node, "sorted"),
    sum: lambda body, node: body.on_sum(node),
    zip: lambda body, node: body.on_zip(node),
    enumerate: lambda body, node: body.on_enumerate(node),
    range: lambda body, node: body.on_range(node),
    map: lambda body, node: body.on_map(node),
    functools.reduce: lambda body, node: body.on_reduce(node),
    list: lambda body, node: body.on_list_call(node),
    tuple: lambda body, node: body.on_list_call(node),
    float: lambda body, node: body.number(node.args[0]),
    getattr: lambda body, node: body.on_getattr(node),
    bool: lambda body, node: body.condition(node.args[0]),
}


def _word_for(function: Any) -> str | None:
    if type(function).__name__ == "ufunc":
        return _UFUNCS.get(function.__name__)
    return _WORDS.get(function) if isinstance(function, Hashable) else None


def compared(sign: ast.cmpop, left: float, right: float) -> Any:
    """The truth of a comparison of two known numbers."""
    function = _FUNCTIONS.get(_SIGNS.get(type(sign), ""))
    return function(left, right) if function else UNKNOWN


def is_number(value: Any) -> bool:
    """Whether it is one number: NumPy's scalars are too, Values and arrays are not."""
    is_one = isinstance(value, (bool, int, float)) or hasattr(value, "__float__")
    return is_one and not hasattr(value, "__len__") and not hasattr(value, "local_grads")


def _caught_by(handler: ast.ExceptHandler) -> set[str]:
    """The names of the arithmetic exceptions that an `except` takes."""
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = ["Exception" if t is None else getattr(t, "id", "") for t in types]
    errors = (OverflowError, ValueError, ZeroDivisionError)
    return {e.__name__ for e in errors if {c.__name__ for c in e.__mro__}.intersection(names)}


def _mentions(name: str, statements: Sequence[ast.stmt]) -> int:
    return sum(_names_of(statement).count(name) for statement in statements)


def _names_of(target: ast.AST) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def _assigned(statement: ast.stmt) -> list[str]:
    """The variables that a statement itself assigns; those of a loop belong to the loop."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if isinstance(statement, ast.For):
        return []
    return [name for target in targets if target is not None for name in _names_of(target)]


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks inside a statement."""
    blocks = [getattr(statement, "body", []), getattr(statement, "orelse", [])]
    return blocks + [handler.body for handler in getattr(statement, "handlers", [])]


def _without_keywords(node: ast.Call, function: Any) -> ast.Call:
    """The same call with every argument in its position."""
    forward = getattr(getattr(function, "op", function), "forward", function)
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    arguments = list(node.args)
    try:
        parameters = list(inspect.signature(forward).parameters.values())[len(arguments) :]
    except (TypeError, ValueError):
        parameters = []
    for parameter in parameters:
        if not named:
            break
        default = named.pop(parameter.name, None)
        arguments.append(default if default is not None else ast.Constant(parameter.default))
    if named:
        raise UntranslatableError(node, f"the argument {next(iter(named))} can't be turned")
    return ast.Call(node.func, arguments, [])
