"""Turn a record's own Python functions into source in another language (§6).

A page, a C program or a PyTorch function computes what the records say: `forward` and `partials` are
read as Python's syntax tree and written again, operation by operation in the same order, so that the
numbers agree. What can be turned is arithmetic: numbers, conditions, early returns, loops and
comprehensions over the inputs of an n-ary operation, the functions of `math`, other operations, and
plain helper functions. Numbers from closures and globals become constants. Everything else is a
`TranslationError` that names the operation and the expression.

A `Translation` collects the functions, `straight.py` walks through each of them, and a `Language` knows how
to write what that finds; `javascript.py` is the first.

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
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from micrograd_mlp.engine.language import ATOM, NUMBER, PRODUCT, Expression, Kind, Language
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.source import UntranslatableError as UntranslatableError
from micrograd_mlp.engine.straight import OPERATORS, Body, names_of
from micrograd_mlp.engine.table import TABLE


class TranslationError(TypeError):
    """A function of a record uses something that can't be said in the other language."""


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

    def forward(self, op: Op, n_inputs: int = 1) -> str:
        """The name of the function that computes the operation's value from its inputs.

        Args:
            op: the operation.
            n_inputs: how many inputs an operation of any number gets.
        """
        with _blamed_on(op, "forward", self.language):
            return self.function(op.forward, op.name, [NUMBER] * (op.arity or n_inputs))[0]

    def partials(self, op: Op, n_inputs: int = 1) -> str:
        """The name of the function that gives the local derivatives from the output and the inputs."""
        with _blamed_on(op, "partials", self.language):
            kinds = [NUMBER] * (1 + (op.arity or n_inputs))
            return self.function(op.partials, f"{op.name}_partials", kinds)[0]

    def expanded(self, function: Callable[..., Any], arguments: Sequence[Expression]) -> Expression:
        """What a function returns, step by step, in a language whose expressions are names of results."""
        return Body(self, function, arguments).result()

    def value(self, op: Op, arguments: Sequence[Expression]) -> Expression:
        """An operation of these arguments, each of which is a name or a literal."""
        with _blamed_on(op, "forward", self.language):
            is_call = self.language.inlines_all or self.is_short(op, arguments)
            inline = None if is_call else self.inline(op.forward, arguments)
            return inline or Body(self, op.forward, arguments).apply(op, arguments, ast.Name(op.name))

    def is_short(self, op: Op, arguments: Sequence[Expression]) -> bool:
        """Whether a call is as good as the function's own words."""
        return self.operation(op, arguments) is not None or op.forward in OPERATORS

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
        body = Body(self, op.partials, [out, inputs])
        first, *others = body.statements()
        result = first.value if isinstance(first, ast.Return) else None
        if isinstance(result, ast.Call) and body.static(result.func) is tuple and len(result.args) == 1:
            result = result.args[0]
        if others or not isinstance(result, (ast.ListComp, ast.GeneratorExp)) or len(result.generators) != 1:
            return None
        loop, several, names = result.generators[0], body.tree.args.vararg, body.tree.args.args
        if several is None or len(names) != 1 or loop.ifs or not isinstance(loop.target, ast.Name):
            return None
        if names_of(loop.iter) != [several.arg] or several.arg in names_of(result.elt):
            return None
        arguments = ast.arguments([], [names[0], ast.arg(loop.target.id)], None, [], [], None, [])
        body.tree = ast.Lambda(arguments, result.elt)
        return body.inline()

    def operation(self, op: Op, arguments: Sequence[Expression]) -> Expression | None:
        """The language's own word for an operation of the table, if it has one."""
        template = self.language.operations.get(op.name) if self.is_of_table(op) else None
        return None if template is None else self.written(template, arguments)

    def is_of_table(self, op: Op) -> bool:
        """Whether the package ships the operation, so that a language may know it by its name."""
        return TABLE.get(op.name) is op

    def inline(self, function: Callable[..., Any], arguments: Sequence[Expression]) -> Expression | None:
        """A function's result as an expression of these arguments; None if it takes more than that.

        A result of several numbers has them in `items`.
        """
        return Body(self, function, arguments).inline()

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
                body = Body(self, function, [Expression("", kind) for kind in kinds])
                result = self.language.as_number(body.result())
            finally:
                self._in_progress.pop()
            unique = self.unused(name)
            self._functions[key] = unique, result.kind
            lines = [*body.needed(result), self.language.returned(result)]
            self._definitions.append(self.language.function(unique, body.parameters, lines))
        return self._functions[key]

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
