"""Python functions as straight-line code: no branch, no loop, no list; for arrays of examples and for C (§6).

An array language computes both sides of an `if` and selects; C has no lists. So a function is turned for
one number of inputs: a sequence is known element by element, a loop over it is written out, and a branch
becomes a selection between the values that variables have after either side. Every variable is assigned
once.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from micrograd_mlp.engine.language import NUMBERS, Expression, Item, Kind
from micrograd_mlp.engine.translate import (
    ON_SEQUENCES,
    UNKNOWN,
    Body,
    UntranslatableError,
    compared,
    is_number,
)

_INTEGER = re.compile(r"(-?\d+)(?:\.0)?")


class _Ready(ast.expr):
    """An expression that is translated already, in the place of one of Python's."""

    def __init__(self, value: Expression) -> None:
        super().__init__()
        self.value = value


class StraightBody(Body):
    """One function as a list of assignments and a result."""

    def translated(self) -> list[str]:
        """The assignments that the result needs, and the result."""
        result = self.language.as_number(self._result())
        self.returned = result.kind
        return [*self._needed(result), self.language.returned(result)]

    def inline_with(self, arguments: Sequence[Expression]) -> Expression | None:
        """What the function returns for these arguments as one expression, if it needs no assignment."""
        try:
            self.bind([], arguments)
            result = self._run(self.statements())
        except UntranslatableError:
            return None
        return None if self.lines else result

    def expanded(self, arguments: Sequence[Expression]) -> Expression:
        """What the function returns for these arguments, in a language whose expressions are names."""
        self.bind([], arguments)
        return self._result()

    def _result(self) -> Expression:
        result = self._run(self.statements())
        if result is None:
            raise UntranslatableError(self.tree, "it returns nothing at its end")
        return result

    def _needed(self, result: Expression) -> list[str]:
        texts = [item.text for item in result.items or (result,)]
        needed = set(re.findall(r"\w+", " ".join(texts)))
        lines = []
        for name, text in reversed(self.lines):
            if name in needed:
                lines.append(text)
                needed.update(re.findall(r"\w+", text))
        return lines[::-1]

    # Variables: each stands for an expression, which is a name, a literal, or a sequence of those.

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.values: dict[str, Expression] = {}
        self.known: dict[str, Any] = {}
        self.lines: list[tuple[str, str]] = []
        self.used: set[str] = set()

    def bind(self, kinds: Sequence[Kind], arguments: Sequence[Expression] = ()) -> None:
        """Enter the parameters; with arguments given, they stand for those."""
        remaining = list(arguments or [Expression("", kind) for kind in kinds])
        for parameter, default in self.positional():
            if remaining:
                self.values[parameter] = self._parameter(parameter, remaining.pop(0))
            elif default is not None:
                self._assign_name(parameter, default, self.expression(default))
            else:
                raise UntranslatableError(self.tree, f"its parameter {parameter} gets no argument")
        if self.tree.args.vararg:
            name = self.tree.args.vararg.arg
            self.values[name] = self._several(
                [self._parameter(f"{name}{k}", argument) for k, argument in enumerate(remaining)]
            )
        elif remaining:
            raise UntranslatableError(self.tree, f"it takes {len(self.values)} arguments, got {len(kinds)}")

    def _parameter(self, name: str, argument: Expression) -> Expression:
        if argument.text or argument.items is not None:
            return argument
        if argument.kind.name == "tuple":
            parts = enumerate(argument.kind.parts)
            return self._several([self._parameter(f"{name}{k}", Expression("", kind)) for k, kind in parts])
        unique = self._fresh(name)
        self.parameters.append(unique)
        return Expression(unique, argument.kind)

    def _fresh(self, name: str) -> str:
        """A name that no other variable of this function has."""
        unique, count = self.translation.variable(name), 0
        while unique in self.used:
            count += 1
            unique = self.translation.variable(f"{name}_{count}")
        self.used.add(unique)
        return unique

    def _several(self, items: Sequence[Expression]) -> Expression:
        return Expression("", Kind("tuple", tuple([item.kind for item in items])), items=tuple(items))

    def _hold(self, name: str, value: Expression) -> Expression:
        """The value as something that can be written often: a name or a literal."""
        if value.items is not None:
            return self._several([self._hold(f"{name}_{k}", item) for k, item in enumerate(value.items)])
        if re.fullmatch(r"-?\w+(\.\w+)*(\[\w+\])*", value.text):
            return value
        unique = self._fresh(name)
        self.lines.append((unique, self.language.assignment(unique, value.text, "once")))
        return Expression(unique, value.kind)

    def _assign_name(self, name: str, node: ast.expr, value: Expression) -> None:
        static = self.static(node)
        self.known.pop(name, None)
        if static is not UNKNOWN and is_number(static):
            self.known[name] = static
        self.values[name] = self._hold(name, value)

    def _assign_to(self, target: ast.expr, value: Expression, node: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._assign_name(target.id, node, value)
        elif isinstance(target, (ast.Tuple, ast.List)) and value.items is not None:
            if len(target.elts) != len(value.items):
                raise UntranslatableError(target, f"{len(value.items)} values for {len(target.elts)} names")
            held = [self._hold("item", item) for item in value.items]
            for part, item in zip(target.elts, held):
                self._assign_to(part, item, _Ready(item))
        else:
            raise UntranslatableError(target, "a target of this kind can't be turned")

    # Statements: each list of them is run to its end, and gives what it returns.

    def _run(self, statements: Sequence[ast.stmt]) -> Expression | None:
        for position, node in enumerate(statements):
            rest = statements[position + 1 :]
            if isinstance(node, ast.Return):
                if node.value is None:
                    raise UntranslatableError(node, "it returns nothing")
                return self.expression(node.value)
            if isinstance(node, ast.Raise):
                if not self.language.errors_are_nan:
                    raise UntranslatableError(node, "straight-line code can't raise an error")
                return self.language.number(math.nan)
            if isinstance(node, ast.Try):
                node = self._as_if(node)
            if isinstance(node, ast.For):
                return self._run([*self._iterations(node), *rest])
            if isinstance(node, ast.If):
                test = self._static_truth(node.test)
                if test is not None:
                    return self._run([*(node.body if test else node.orelse), *rest])
                if any(isinstance(inner, (ast.Return, ast.Raise)) for inner in ast.walk(node)):
                    return self._returned_by(node, rest)
                self._merge(node)
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                target, source = self.assigned(node)
                if source is not None:
                    self._assign_to(target, self.expression(source), source)
            elif not isinstance(node, ast.Pass):
                reason = "a statement of this kind can't be turned into straight-line code"
                raise UntranslatableError(node, reason)
        return None

    def _static_truth(self, test: ast.expr) -> bool | None:
        """Whether a condition holds, if that is known: it depends on numbers of inputs alone."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self._static_truth(test.operand)
            return None if inner is None else not inner
        known = self.values.get(test.id) if isinstance(test, ast.Name) else None
        if known is not None and known.items is not None:
            return bool(known.items)
        value = self.static(test)
        return bool(value) if value is not UNKNOWN else None

    def _returned_by(self, node: ast.If, rest: Sequence[ast.stmt]) -> Expression | None:
        """What an if returns whose branches do, now or after the statements that follow."""
        condition = self._hold("condition", self.condition(node.test))
        before = dict(self.values), dict(self.known)
        yes = self._run([*node.body, *rest])
        self.values, self.known = dict(before[0]), dict(before[1])
        no = self._run([*node.orelse, *rest])
        return None if yes is None or no is None else self.either(condition, yes, no, node.test)

    def _merge(self, node: ast.If) -> None:
        """After an if, a variable has the one value or the other."""
        condition = self._hold("condition", self.condition(node.test))
        before = dict(self.values), dict(self.known)
        self._run(node.body)
        yes = self.values
        self.values, self.known = dict(before[0]), dict(before[1])
        self._run(node.orelse)
        no = self.values
        for name in sorted(yes.keys() & no.keys()):
            if yes[name] != no[name]:
                self.known.pop(name, None)
                self.values[name] = self._hold(name, self.either(condition, yes[name], no[name], node.test))

    def _iterations(self, node: ast.For) -> list[ast.stmt]:
        """The loop's body once for each element."""
        jumps = any(isinstance(inner, (ast.Break, ast.Continue)) for inner in ast.walk(node))
        if jumps or node.orelse:
            raise UntranslatableError(node, "break, continue and else need branches")
        statements: list[ast.stmt] = []
        for item in self.sequence(node.iter).items or ():
            held = self._hold("item", item)
            statements += [ast.Assign([node.target], _Ready(held)), *node.body]
        return statements

    def _as_if(self, node: ast.Try) -> ast.If:
        result: list[ast.stmt] = self.tried(node)
        for handler in reversed(node.handlers):
            condition = self.caught(node, handler)
            if condition is not None:
                result = [ast.If(_Ready(condition), handler.body, result)]
        [statement] = result if isinstance(result[0], ast.If) else [ast.If(ast.Constant(True), result, [])]
        assert isinstance(statement, ast.If)
        return statement

    # Expressions: sequences have their elements in `items`.

    def static(self, node: ast.expr) -> Any:
        """What is known before the function runs: also how many inputs there are."""
        if isinstance(node, _Ready):
            return self._literal(node.value)
        if isinstance(node, ast.Name) and node.id in self.values:
            return self.known.get(node.id, UNKNOWN)
        if isinstance(node, ast.Call) and len(node.args) == 1 and super().static(node.func) is len:
            items = self.expression(node.args[0]).items
            return UNKNOWN if items is None else len(items)
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = self.static(node.left), self.static(node.comparators[0])
            if left is UNKNOWN or right is UNKNOWN or not (is_number(left) and is_number(right)):
                return UNKNOWN
            return compared(node.ops[0], left, right)
        return super().static(node)

    @staticmethod
    def _literal(value: Expression) -> Any:
        number = _INTEGER.fullmatch(value.text) if value.items is None else None
        return int(number[1]) if number else UNKNOWN

    def is_variable(self, name: str) -> bool:
        """Whether a name belongs to the function."""
        return name in self.values

    def on__ready(self, node: _Ready) -> Expression:
        return node.value

    def on_name(self, node: ast.Name) -> Expression:
        if node.id not in self.values:
            raise UntranslatableError(node, "it has no value here")
        return self.values[node.id]

    def on_ifexp(self, node: ast.IfExp) -> Expression:
        test = self._static_truth(node.test)
        if test is not None:
            return self.expression(node.body if test else node.orelse)
        return super().on_ifexp(node)

    def either(self, condition: Expression, yes: Expression, no: Expression, node: ast.expr) -> Expression:
        """One of two values, element by element."""
        if yes.items is None or no.items is None:
            return super().either(condition, yes, no, node)
        if len(yes.items) != len(no.items):
            raise UntranslatableError(node, "its two sides have different lengths")
        pairs = zip(yes.items, no.items)
        return self._several([self.either(condition, a, b, node) for a, b in pairs])

    def display(self, items: Sequence[Item]) -> Expression:
        """A list: its elements one after another."""
        elements: list[Expression] = []
        for starred, value in items:
            elements += (value.items or ()) if starred else [value]
        return self._several(elements)

    def repeated(self, items: Expression, times: Expression, node: ast.expr) -> Expression:
        """A sequence several times."""
        return self._several((items.items or ()) * self._integer(times, node))

    def _integer(self, value: Expression, node: ast.expr) -> int:
        number = _INTEGER.fullmatch(value.text)
        if number is None:
            raise UntranslatableError(node, "it has to be known before the function runs")
        return int(number[1])

    def _truth(self, value: Expression, node: ast.expr) -> Expression:
        if value.items is not None:
            return self.language.number(bool(value.items))
        return super()._truth(value, node)

    def on_listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> Expression:
        outside = dict(self.values), dict(self.known)
        elements: list[Expression] = []

        def loop(generators: Sequence[ast.comprehension]) -> None:
            if not generators:
                elements.append(self.expression(node.elt))
                return
            generator = generators[0]
            for item in self.sequence(generator.iter).items or ():
                self._assign_to(generator.target, item, _Ready(item))
                tests = [self._static_truth(test) for test in generator.ifs]
                if None in tests:
                    raise UntranslatableError(node, "its length depends on numbers")
                if all(tests):
                    loop(generators[1:])

        loop(node.generators)
        self.values, self.known = outside
        return self._several(elements)

    on_generatorexp = on_listcomp

    def on_subscript(self, node: ast.Subscript) -> Expression:
        items = self.sequence(node.value).items or ()
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            bounds = [self._known_integer(part) if part else None for part in parts]
            return self._several(items[slice(*bounds)])
        return items[self._known_integer(node.slice)]

    def _known_integer(self, node: ast.expr) -> int:
        value = self.static(node)
        if value is UNKNOWN:
            value = self._integer(self.expression(node), node)
        return int(value)

    # Calls.

    def call(
        self, function: Callable[..., Any], name: str, arguments: Sequence[Item], node: ast.expr
    ) -> Expression:
        """A call of a helper, with sequences as so many arguments."""
        values = self.display(arguments).items or ()
        if self.language.inlines_all:
            return self.translation.expanded(function, values)
        unique, result = self.translation.function(function, name, [value.kind for value in values])
        if result.parts and self.language.has_lists:
            raise UntranslatableError(node, "it returns a list, whose elements are not known one by one")
        texts = [leaf for value in values for leaf in _leaves(value)]
        if result.name != "tuple":
            return self.language.call(unique, [(False, value) for value in texts], result)
        several = self._fresh("several")
        text, items = self.language.call_for_several(several, unique, texts, len(result.parts))
        self.lines.append((several, text))
        return self._several(items)

    def word_call(self, word: str, arguments: Sequence[Item], node: ast.expr) -> Expression:
        """A function that the language has a word for: of sequences, of their elements."""
        values = [self.as_number(leaf, node) for _, value in arguments for leaf in _leaves(value)]
        return self.worded(word, self._listed(values) if word in ON_SEQUENCES else values, node)

    def _listed(self, values: Sequence[Expression]) -> list[Expression]:
        """Numbers for a word that takes a list, in a language that has them."""
        if not self.language.has_lists:
            return list(values)
        return [self.language.sequence([(False, value) for value in values], NUMBERS)]

    def _items(self, node: ast.expr) -> tuple[Expression, ...]:
        return self.sequence(node).items or ()

    def on_max(self, node: ast.Call, word: str) -> Expression:
        """The largest or the smallest of several."""
        values = self.display(self.items(node.args)).items or ()
        if len(values) == 1 and values[0].items is not None:
            values = values[0].items
        numbers = [self.as_number(value, node) for value in values]
        return self.translation.word(word, self._listed(numbers), node)

    def on_sum(self, node: ast.Call) -> Expression:
        start = self.number(node.args[1]) if len(node.args) > 1 else self.language.number(0.0)
        values = [self.as_number(value, node) for value in self._items(node.args[0])]
        both = [*self._listed(values), start] if self.language.has_lists else [start, *values]
        return self.translation.word("sum", both, node)

    def on_any(self, node: ast.Call, word: str) -> Expression:
        """Whether one or all of several conditions hold."""
        values = [self._truth(value, node) for value in self._items(node.args[0])]
        if not values:
            return self.language.number(word == "all")
        return self.connected("or" if word == "any" else "and", values)

    def on_zip(self, node: ast.Call) -> Expression:
        columns = [self._items(argument) for argument in node.args]
        return self._several([self._several(row) for row in zip(*columns)])

    def on_enumerate(self, node: ast.Call) -> Expression:
        start = self._known_integer(node.args[1]) if len(node.args) > 1 else 0
        pairs = enumerate(self._items(node.args[0]), start)
        return self._several([self._several([self.language.number(k), item]) for k, item in pairs])

    def on_range(self, node: ast.Call) -> Expression:
        numbers = range(*[self._known_integer(argument) for argument in node.args])
        return self._several([self.language.number(k) for k in numbers])

    def on_rearranged(self, node: ast.Call, word: str) -> Expression:
        """A sequence from its end, or in order: each number goes down past those that are larger."""
        items = list(self.rearranged(node).items or ())
        if word == "reversed":
            return self._several(items[::-1])
        order: list[Expression] = []
        for item in items:
            order.append(self._hold("item", self.as_number(item, node)))
            for k in reversed(range(len(order) - 1)):
                low, high = order[k : k + 2]
                swap = self._hold("condition", self.language.compare("<", high, low))
                order[k] = self._hold("item", self.either(swap, high, low, node))
                order[k + 1] = self._hold("item", self.either(swap, low, high, node))
        return self._several(order)

    def on_reduce(self, node: ast.Call) -> Expression:
        """Two of a sequence become one, from its beginning, until one is left."""
        items = [*node.args[2:3], *[_Ready(item) for item in self._items(node.args[1])]]
        values = [self.expression(item) for item in items]
        if not values:
            raise UntranslatableError(node, "there is nothing to reduce")
        function, result = self.static(node.args[0]), values[0]
        for value in values[1:]:
            result = self._hold("item", self.apply(function, [(False, result), (False, value)], node))
        return result

    def on_call(self, node: ast.Call) -> Expression:
        """A call; of the methods of a sequence, `count`."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == "count" and len(node.args) == 1:
            items = self.expression(node.func.value).items
            if items is not None:
                value, count = self._hold("item", self.number(node.args[0])), self.language.number(0)
                for item in items:
                    is_equal = self.language.compare("==", self.as_number(item, node), value)
                    count = self.language.arithmetic("+", count, self.language.from_boolean(is_equal))
                return count
        return super().on_call(node)

    def on_map(self, node: ast.Call) -> Expression:
        columns = [self._items(argument) for argument in node.args[1:]]
        function = self.static(node.args[0])
        rows = zip(*columns)
        return self._several([self.apply(function, [(False, item) for item in row], node) for row in rows])


def _leaves(value: Expression) -> list[Expression]:
    """The numbers in a value: itself, or those in a sequence of sequences."""
    if value.items is None:
        return [value]
    return [leaf for item in value.items for leaf in _leaves(item)]
