"""Python functions as straight-line code: no branch, no loop, no list (§6).

An array language computes both sides of an `if` and selects; C and machine code have no lists. So a function
is turned for one number of inputs: a sequence is known element by element, a loop over it is written out, and
a branch becomes a selection between the values that variables have after either side. Every variable is
assigned once.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import operator
import re
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from micrograd_mlp.engine.language import BOOLEAN, NUMBER, Expression, Kind
from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.source import UntranslatableError, free_variables, tree_of

if TYPE_CHECKING:
    from micrograd_mlp.engine.translate import Translation

# Functions of Python for which languages have words of their own.
_WORDS: dict[Any, str] = {
    getattr(math, name): name
    for name in (
        "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees erf erfc exp exp2 expm1 "
        "fabs floor fmod fsum gamma hypot isfinite isinf isnan lgamma log log10 log1p log2 pow prod radians "
        "remainder sin sinh sqrt tan tanh trunc"
    ).split()
} | {abs: "fabs", operator.abs: "fabs", round: "round", int: "trunc"}
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
_INTEGERS = {"ceil", "floor", "round", "trunc"}
"""Where other languages have -0.0, Python's integers have 0."""
_CONDITIONS = {"isfinite", "isinf", "isnan"}
_SIGNS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
OPERATORS: dict[Any, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/",
    operator.floordiv: "//", operator.mod: "%", operator.pow: "**",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=",
    operator.eq: "==", operator.ne: "!=",
}  # fmt: skip
_FUNCTIONS = {sign: function for function, sign in OPERATORS.items()}
_SIGNS_OF_WORDS = {"**": "power", "//": "floordiv", "%": "mod"}
_POLES = {"atanh", "gamma", "lgamma", "log", "log10", "log1p", "log2"}
"""Where these are infinite, Python raises a ValueError; elsewhere it is an OverflowError."""
_UNKNOWN = object()
_INTEGER = re.compile(r"(-?\d+)(?:\.0)?")


class _Ready(ast.expr):
    """An expression that is translated already, in the place of one of Python's."""

    def __init__(self, value: Expression) -> None:
        super().__init__()
        self.value = value


class _Variable(NamedTuple):
    """A variable as a name, a literal or a sequence of those; and its number, if that is known."""

    value: Expression
    number: Any = _UNKNOWN


class Body:
    """One function as a list of assignments and a result.

    Args:
        translation: what knows the language and all functions so far.
        function: the Python function.
        arguments: what its parameters stand for. One without text becomes a parameter in the language too.
    """

    def __init__(
        self, translation: Translation, function: Callable[..., Any], arguments: Sequence[Expression]
    ) -> None:
        self.translation, self.language = translation, translation.language
        self.arguments = arguments
        self.variables: dict[str, _Variable] = {}
        self.parameters: list[str] = []
        self.lines: list[tuple[str, str]] = []  # names, and the statements that assign them
        self.counts: dict[str, int] = {}  # how many variables have asked for a name
        self.used: set[str] = set()
        if function in OPERATORS or function in _BUILT_IN or function is operator.neg or _word_for(function):
            names = ", ".join(f"x{k}" for k in range(len(arguments)))  # there is no source: call it
            self.tree: Any = ast.parse(f"lambda {names}: f({names})", mode="eval").body
            self.look_up: Callable[[str], Any] = {"f": function}.get
        else:
            self.tree, self.look_up = tree_of(function), free_variables(function)

    def result(self) -> Expression:
        """What the function returns; the assignments before it are in `lines`."""
        self._bind()
        result = self._run(self.statements())
        if result is None:
            raise UntranslatableError(self.tree, "it returns nothing at its end")
        return result

    def inline(self) -> Expression | None:
        """What the function returns as one expression, if it needs no assignment."""
        try:
            result = self.result()
        except UntranslatableError:
            return None
        return None if self.lines else result

    def statements(self) -> list[ast.stmt]:
        """What the function does, without its docstring."""
        if isinstance(self.tree, ast.Lambda):
            return [ast.Return(self.tree.body)]
        first, *others = self.tree.body
        has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        return others if has_docstring else [first, *others]

    def needed(self, result: Expression) -> list[str]:
        """The assignments that a result depends on."""
        needed = set(re.findall(r"\w+", " ".join([leaf.text for leaf in result.leaves()])))
        lines = []
        for name, text in reversed(self.lines):
            if name in needed:
                lines.append(text)
                needed.update(re.findall(r"\w+", text))
        return lines[::-1]

    # Variables.

    def _bind(self) -> None:
        """Enter the parameters."""
        signature, remaining = self.tree.args, list(self.arguments)
        if signature.kwonlyargs or signature.kwarg:
            raise UntranslatableError(self.tree, "keyword parameters can't be turned")
        names = [parameter.arg for parameter in (*signature.posonlyargs, *signature.args)]
        missing = [None] * (len(names) - len(signature.defaults))
        for name, default in zip(names, [*missing, *signature.defaults]):
            if remaining:
                self.variables[name] = _Variable(self._parameter(name, remaining.pop(0)))
            elif default is not None:
                self._assign(ast.Name(name), default)
            else:
                raise UntranslatableError(self.tree, f"its parameter {name} gets no argument")
        if signature.vararg:
            name = signature.vararg.arg
            several = [self._parameter(f"{name}{k}", argument) for k, argument in enumerate(remaining)]
            self.variables[name] = _Variable(_several(several))
        elif remaining:
            raise UntranslatableError(
                self.tree, f"it takes {len(names)} arguments, got {len(self.arguments)}"
            )

    def _parameter(self, name: str, argument: Expression) -> Expression:
        if argument.text or argument.items is not None:
            return argument
        if argument.kind.parts:
            parts = enumerate(argument.kind.parts)
            return _several([self._parameter(f"{name}{k}", Expression("", kind)) for k, kind in parts])
        unique = self._fresh(name)
        self.parameters.append(unique)
        return Expression(unique, argument.kind)

    def _fresh(self, name: str) -> str:
        """A name that no other variable of this function has."""
        unique = self.translation.variable(name)
        while unique in self.used:
            self.counts[name] = self.counts.get(name, 0) + 1
            unique = self.translation.variable(f"{name}_{self.counts[name]}")
        self.used.add(unique)
        return unique

    def _hold(self, name: str, value: Expression) -> Expression:
        """The value as something that can be written often: a name or a literal."""
        if value.items is not None:
            return _several([self._hold(f"{name}_{k}", item) for k, item in enumerate(value.items)])
        if re.fullmatch(r"-?\w+(\.\w+)*(\[\w+\])*", value.text):
            return value
        unique = self._fresh(name)
        self.lines.append((unique, self.language.assignment(unique, value.text)))
        return Expression(unique, value.kind)

    def _assign(self, target: ast.expr, source: ast.expr) -> None:
        value = self.expression(source)
        if isinstance(target, ast.Name):
            number = self.static(source)
            known = number if number is not _UNKNOWN and is_number(number) else _UNKNOWN
            self.variables[target.id] = _Variable(self._hold(target.id, value), known)
        elif isinstance(target, (ast.Tuple, ast.List)) and value.items is not None:
            if len(target.elts) != len(value.items):
                raise UntranslatableError(target, f"{len(value.items)} values for {len(target.elts)} names")
            held = [self._hold("item", item) for item in value.items]
            for part, item in zip(target.elts, held):
                self._assign(part, _Ready(item))
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
                return self._run([*self._as_if(node), *rest])
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
                self._assignment(node)
            elif not isinstance(node, ast.Pass):
                reason = "a statement of this kind can't be turned into straight-line code"
                raise UntranslatableError(node, reason)
        return None

    def _assignment(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        if isinstance(node, ast.AugAssign):
            variable = ast.Name(getattr(node.target, "id", ""), ast.Load())
            self._assign(node.target, ast.BinOp(variable, node.op, node.value))
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:  # else it is a mere annotation
                self._assign(node.target, node.value)
        elif len(node.targets) != 1:
            raise UntranslatableError(node, "several targets of one assignment can't be turned")
        else:
            self._assign(node.targets[0], node.value)

    def _static_truth(self, test: ast.expr) -> bool | None:
        """Whether a condition holds, if that is known: it depends on numbers of inputs alone."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self._static_truth(test.operand)
            return None if inner is None else not inner
        known = self.variables.get(test.id) if isinstance(test, ast.Name) else None
        if known is not None and known.value.items is not None:
            return bool(known.value.items)
        value = self.static(test)
        return bool(value) if value is not _UNKNOWN else None

    def _returned_by(self, node: ast.If, rest: Sequence[ast.stmt]) -> Expression | None:
        """What an if returns whose branches do, now or after the statements that follow."""
        condition = self._hold("condition", self.condition(node.test))
        before = dict(self.variables)
        yes = self._run([*node.body, *rest])
        self.variables = before
        no = self._run([*node.orelse, *rest])
        return None if yes is None or no is None else self.either(condition, yes, no, node.test)

    def _merge(self, node: ast.If) -> None:
        """After an if, a variable has the one value or the other."""
        condition = self._hold("condition", self.condition(node.test))
        before = dict(self.variables)
        self._run(node.body)
        yes, self.variables = self.variables, before
        self._run(node.orelse)
        no = self.variables
        for name in sorted(yes.keys() & no.keys()):
            if yes[name].value != no[name].value:
                value = self.either(condition, yes[name].value, no[name].value, node.test)
                self.variables[name] = _Variable(self._hold(name, value))

    def _iterations(self, node: ast.For) -> list[ast.stmt]:
        """The loop's body once for each element."""
        jumps = any(isinstance(inner, (ast.Break, ast.Continue)) for inner in ast.walk(node))
        if jumps or node.orelse:
            raise UntranslatableError(node, "break, continue and else need branches")
        statements: list[ast.stmt] = []
        for item in self.sequence(node.iter):
            held = self._hold("item", item)
            statements += [ast.Assign([node.target], _Ready(held)), *node.body]
        return statements

    # Errors that are caught.

    def _as_if(self, node: ast.Try) -> list[ast.stmt]:
        """A try as an if: whether a handler is reached is asked of the numbers."""
        if len(node.body) != 1 or not isinstance(node.body[0], (ast.Return, ast.Assign)) or node.finalbody:
            raise UntranslatableError(node, "only one `return` or assignment inside of try can be turned")
        result: list[ast.stmt] = [*node.body, *node.orelse]
        for handler in reversed(node.handlers):
            caught = _caught_by(handler)
            raised = [c for inner in ast.walk(node.body[0]) for c in self._raised(inner, caught)]
            if raised:
                result = [ast.If(_Ready(self._connected("or", raised)), handler.body, result)]
        return result

    def _raised(self, node: ast.AST, caught: set[str]) -> list[Expression]:
        """When one operation raises one of these exceptions.

        Then its result is nan or infinite without a reason in its arguments.
        """
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

    # What is known before the function runs.

    def static(self, node: ast.expr) -> Any:
        """What an expression is worth if it does not depend on numbers that the function gets."""
        if isinstance(node, _Ready):
            return _integer(node.value)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            variable = self.variables.get(node.id)
            return self.look_up(node.id) if variable is None else variable.number
        if isinstance(node, ast.Call) and len(node.args) == 1 and self.static(node.func) is len:
            items = self.expression(node.args[0]).items
            return _UNKNOWN if items is None else len(items)
        children = [self.static(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if any(child is _UNKNOWN for child in children):
            return _UNKNOWN
        try:
            if isinstance(node, ast.Attribute):
                return getattr(children[0], node.attr)
            if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
                return children[0][children[1]]
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                return -children[0]
            if isinstance(node, ast.Call) and not node.keywords and children[0] in (*_WORDS, float):
                return children[0](*children[1:])
            if isinstance(node, ast.BinOp) or (isinstance(node, ast.Compare) and len(node.ops) == 1):
                sign = _SIGNS.get(type(node.op if isinstance(node, ast.BinOp) else node.ops[0]))
                if sign and all(map(is_number, children)):
                    return _FUNCTIONS[sign](*children)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            pass
        return _UNKNOWN

    def _known_integer(self, node: ast.expr) -> int:
        value = self.static(node)
        if value is _UNKNOWN:
            value = _integer(self.expression(node))
        if value is _UNKNOWN:
            raise UntranslatableError(node, "it has to be known before the function runs")
        return int(value)

    def _constant(self, value: Any, node: ast.expr) -> Expression:
        if isinstance(value, (tuple, list)):
            return _several([self._constant(item, node) for item in value])
        if not is_number(value):
            raise UntranslatableError(node, "it is not a number")
        return self.language.number(value if isinstance(value, (bool, int, float)) else float(value))

    # Expressions. Sequences have their elements in `items`.

    def expression(self, node: ast.expr) -> Expression:
        """A Python expression in the other language."""
        value = self.static(node)
        if value is not _UNKNOWN:
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
        return self._truth(self.expression(node))

    def _truth(self, value: Expression) -> Expression:
        if value.items is not None:
            return self.language.number(bool(value.items))
        if value.kind is BOOLEAN:
            return value
        return self.language.compare("!=", value, self.language.number(0))

    def number(self, node: ast.expr) -> Expression:
        """An expression that arithmetic is done with: True counts as 1."""
        return self._as_number(self.expression(node), node)

    def _as_number(self, value: Expression, node: ast.expr) -> Expression:
        if value.items is not None:
            raise UntranslatableError(node, "a number is expected here")
        return self.language.as_number(value)

    def sequence(self, node: ast.expr) -> tuple[Expression, ...]:
        """The elements of a sequence."""
        items = self.expression(node).items
        if items is None:
            raise UntranslatableError(node, "a sequence is expected here")
        return items

    def elements(self, nodes: Sequence[ast.expr]) -> list[Expression]:
        """Elements or arguments; those with a star are several."""
        values: list[Expression] = []
        for node in nodes:
            values += self.sequence(node.value) if isinstance(node, ast.Starred) else [self.expression(node)]
        return values

    def on__ready(self, node: _Ready) -> Expression:
        return node.value

    def on_name(self, node: ast.Name) -> Expression:
        return self.variables[node.id].value

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
        if sign == "+" and left.items is not None and right.items is not None:
            return _several(left.items + right.items)
        if sign == "*" and (left.items is not None or right.items is not None):
            items, times = (left.items, right) if left.items is not None else (right.items, left)
            return _several((items or ()) * self._known_integer(_Ready(times)))
        if left.items is not None or right.items is not None:
            raise UntranslatableError(node, "it mixes numbers and sequences")
        left, right = self.language.as_number(left), self.language.as_number(right)
        if sign in ("+", "-", "*", "/"):
            return self.language.arithmetic(sign, left, right)
        word = {"**": "power", "//": "floordiv", "%": "mod"}.get(sign)
        return (
            self.translation.word(word, [left, right], node)
            if word
            else self.language.compare(sign, left, right)
        )

    def on_compare(self, node: ast.Compare) -> Expression:
        sides = [node.left, *node.comparators]
        if not all(type(op) in _SIGNS for op in node.ops):
            raise UntranslatableError(node, "only numbers can be compared, with < <= > >= == !=")
        comparisons = [
            self.language.compare(_SIGNS[type(op)], self.number(left), self.number(right))
            for left, op, right in zip(sides, node.ops, sides[1:])
        ]
        return self._connected("and", comparisons)

    def _connected(self, word: str, conditions: Sequence[Expression]) -> Expression:
        """One or several conditions, with "and" or "or" between them."""
        return conditions[0] if len(conditions) == 1 else self.language.logical(word, conditions)

    def on_boolop(self, node: ast.BoolOp) -> Expression:
        """`x or y` is a condition if both are; of numbers it is one of the two."""
        values = [self.expression(value) for value in node.values]
        if all(value.kind is BOOLEAN for value in values):
            return self.condition(node)
        *others, result = values
        for value in reversed(others):
            yes, no = (result, value) if isinstance(node.op, ast.And) else (value, result)
            result = self.either(self._truth(value), yes, no, node)
        return result

    def on_ifexp(self, node: ast.IfExp) -> Expression:
        test = self._static_truth(node.test)
        if test is not None:
            return self.expression(node.body if test else node.orelse)
        condition = self.condition(node.test)
        return self.either(condition, self.expression(node.body), self.expression(node.orelse), node)

    def either(self, condition: Expression, yes: Expression, no: Expression, node: ast.expr) -> Expression:
        """One of two values; of sequences, element by element."""
        if yes.items is not None and no.items is not None:
            if len(yes.items) != len(no.items):
                raise UntranslatableError(node, "its two sides have different lengths")
            return _several([self.either(condition, a, b, node) for a, b in zip(yes.items, no.items)])
        if yes.kind != no.kind:
            if yes.items is not None or no.items is not None:
                raise UntranslatableError(node, "its two values are of different kinds")
            yes, no = self.language.as_number(yes), self.language.as_number(no)
        return self.language.select(condition, yes, no)

    def on_tuple(self, node: ast.Tuple | ast.List) -> Expression:
        return _several(self.elements(node.elts))

    on_list = on_tuple

    def on_listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> Expression:
        outside = dict(self.variables)
        elements: list[Expression] = []

        def loop(generators: Sequence[ast.comprehension]) -> None:
            if not generators:
                elements.append(self.expression(node.elt))
                return
            generator = generators[0]
            for item in self.sequence(generator.iter):
                self._assign(generator.target, _Ready(item))
                tests = [self._static_truth(test) for test in generator.ifs]
                if None in tests:
                    raise UntranslatableError(node, "its length depends on numbers")
                if all(tests):
                    loop(generators[1:])

        loop(node.generators)
        self.variables = outside
        return _several(elements)

    on_generatorexp = on_listcomp

    def on_subscript(self, node: ast.Subscript) -> Expression:
        items = self.sequence(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            bounds = [self._known_integer(part) if part else None for part in parts]
            return _several(items[slice(*bounds)])
        return items[self._known_integer(node.slice)]

    # Calls.

    def on_call(self, node: ast.Call) -> Expression:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "count" and len(node.args) == 1:
            items = self.expression(node.func.value).items
            if items is not None:
                return self._count(items, node)
        function = self.static(node.func)
        if function is _UNKNOWN or function is None:
            reason = "it is not known before the function runs, or it is a method"
            raise UntranslatableError(node.func, reason)
        if node.keywords:
            node = _without_keywords(node, function)
        if function in _BUILT_IN:
            return _BUILT_IN[function](self, node)
        return self.apply(function, self.elements(node.args), node)

    def apply(self, function: Any, arguments: Sequence[Expression], node: ast.expr) -> Expression:
        """A call of an operation, of a function that the language has a word for, or of a helper."""
        function = getattr(function, "op", function)
        name = getattr(function, "__name__", "f")
        if isinstance(function, Op):
            if function.arity is None and len(arguments) == 1 and arguments[0].items is not None:
                arguments = arguments[0].items  # prod(values) means prod(*values)
            if own := self.translation.operation(function, arguments):
                return own
            function, name = function.forward, function.name
        if function in OPERATORS and len(arguments) == 2:
            return self._binary(OPERATORS[function], arguments[0], arguments[1], node)
        if function is operator.neg:
            return self.language.negated(arguments[0])
        if word := _word_for(function):
            leaves = [leaf for argument in arguments for leaf in argument.leaves()]
            return self._worded(word, [self.language.as_number(leaf) for leaf in leaves], node)
        return self._call(function, name, arguments)

    def _call(self, function: Callable[..., Any], name: str, arguments: Sequence[Expression]) -> Expression:
        """A call of a helper, which gets the elements of sequences as so many arguments."""
        if self.language.inlines_all:
            return self.translation.expanded(function, arguments)
        unique, result = self.translation.function(function, name, [argument.kind for argument in arguments])
        leaves = [leaf for argument in arguments for leaf in argument.leaves()]
        if result.name != "tuple":
            return self.language.call(unique, leaves, result)
        several = self._fresh("several")
        text, items = self.language.call_for_several(several, unique, leaves, len(result.parts))
        self.lines.append((several, text))
        return _several(items)

    def _worded(self, word: str, arguments: Sequence[Expression], node: ast.expr) -> Expression:
        """The language's word for a function of these numbers."""
        if word == "log" and len(arguments) == 2:
            x, base = [self._worded("log", [argument], node) for argument in arguments]
            return self._binary("/", x, base, node)
        result = self.translation.word(word, arguments, node, BOOLEAN if word in _CONDITIONS else NUMBER)
        return self.language.arithmetic("+", result, self.language.number(0)) if word in _INTEGERS else result

    # Python's own functions of sequences, each of a call.

    def _count(self, items: Sequence[Expression], node: ast.Call) -> Expression:
        """values.count(x)."""
        value, count = self._hold("item", self.number(node.args[0])), self.language.number(0)
        for item in items:
            is_equal = self.language.compare("==", self._as_number(item, node), value)
            count = self.language.arithmetic("+", count, self.language.from_boolean(is_equal))
        return count

    def _extreme(self, node: ast.Call, word: str) -> Expression:
        """max or min."""
        values: Sequence[Expression] = self.elements(node.args)
        if len(values) == 1 and values[0].items is not None:
            values = values[0].items
        return self.translation.word(word, [self._as_number(value, node) for value in values], node)

    def _sum(self, node: ast.Call) -> Expression:
        start = self.number(node.args[1]) if len(node.args) > 1 else self.language.number(0.0)
        values = [self._as_number(value, node) for value in self.sequence(node.args[0])]
        return self.translation.word("sum", [start, *values], node)

    def _quantified(self, node: ast.Call, word: str) -> Expression:
        """any ("or") or all ("and") of several conditions."""
        values = [self._truth(value) for value in self.sequence(node.args[0])]
        return self._connected(word, values) if values else self.language.number(word == "and")

    def _zip(self, node: ast.Call) -> Expression:
        return _several([_several(row) for row in zip(*map(self.sequence, node.args))])

    def _enumerate(self, node: ast.Call) -> Expression:
        start = self._known_integer(node.args[1]) if len(node.args) > 1 else 0
        pairs = enumerate(self.sequence(node.args[0]), start)
        return _several([_several([self.language.number(k), item]) for k, item in pairs])

    def _range(self, node: ast.Call) -> Expression:
        return _several([self.language.number(k) for k in range(*map(self._known_integer, node.args))])

    def _in_order(self, node: ast.Call) -> Expression:
        """sorted: each number goes down past those that are larger."""
        if len(node.args) != 1:
            raise UntranslatableError(node, "only the order of the numbers themselves can be turned")
        order: list[Expression] = []
        for item in self.sequence(node.args[0]):
            order.append(self._hold("item", self._as_number(item, node)))
            for k in reversed(range(len(order) - 1)):
                low, high = order[k : k + 2]
                swap = self._hold("condition", self.language.compare("<", high, low))
                order[k] = self._hold("item", self.either(swap, high, low, node))
                order[k + 1] = self._hold("item", self.either(swap, low, high, node))
        return _several(order)

    def _reduce(self, node: ast.Call) -> Expression:
        """Two of a sequence become one, from its beginning, until one is left."""
        first = [self.expression(argument) for argument in node.args[2:3]]
        values = [*first, *self.sequence(node.args[1])]
        if not values:
            raise UntranslatableError(node, "there is nothing to reduce")
        function, result = self.static(node.args[0]), values[0]
        for value in values[1:]:
            result = self._hold("item", self.apply(function, [result, value], node))
        return result

    def _map(self, node: ast.Call) -> Expression:
        function, rows = self.static(node.args[0]), zip(*map(self.sequence, node.args[1:]))
        return _several([self.apply(function, row, node) for row in rows])

    def _getattr(self, node: ast.Call) -> Expression:
        """getattr(x, "data", x): the default, since x is a number and has no such attribute."""
        _, name, *default = node.args
        if not default or not isinstance(name, ast.Constant) or hasattr(0.0, str(name.value)):
            raise UntranslatableError(node, "it asks for an attribute")
        return self.number(default[0])

    def _sequence(self, node: ast.Call) -> Expression:
        """list or tuple."""
        return _several(self.sequence(node.args[0]) if node.args else ())


_BUILT_IN: dict[Any, Callable[[Body, ast.Call], Expression]] = {
    max: lambda body, node: body._extreme(node, "largest"),
    min: lambda body, node: body._extreme(node, "smallest"),
    any: lambda body, node: body._quantified(node, "or"),
    all: lambda body, node: body._quantified(node, "and"),
    reversed: lambda body, node: _several(body.sequence(node.args[0])[::-1]),
    float: lambda body, node: body.number(node.args[0]),
    bool: lambda body, node: body.condition(node.args[0]),
    sorted: Body._in_order, sum: Body._sum, zip: Body._zip, enumerate: Body._enumerate, range: Body._range,
    map: Body._map, functools.reduce: Body._reduce, list: Body._sequence, tuple: Body._sequence,
    getattr: Body._getattr,
}  # fmt: skip


def _several(items: Sequence[Expression]) -> Expression:
    return Expression("", Kind("tuple", tuple([item.kind for item in items])), items=tuple(items))


def _integer(value: Expression) -> Any:
    """The number of an expression that is written as an integer."""
    number = _INTEGER.fullmatch(value.text) if value.items is None else None
    return int(number[1]) if number else _UNKNOWN


def _word_for(function: Any) -> str | None:
    if type(function).__name__ == "ufunc":
        return _UFUNCS.get(function.__name__)
    return _WORDS.get(function) if isinstance(function, Hashable) else None


def is_number(value: Any) -> bool:
    """Whether it is one number: NumPy's scalars are too, Values and arrays are not."""
    is_one = isinstance(value, (bool, int, float)) or hasattr(value, "__float__")
    return is_one and not hasattr(value, "__len__") and not hasattr(value, "local_grads")


def names_of(node: ast.AST) -> list[str]:
    """The variables in an expression."""
    return [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]


def _caught_by(handler: ast.ExceptHandler) -> set[str]:
    """The names of the arithmetic exceptions that an `except` takes."""
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = ["Exception" if t is None else getattr(t, "id", "") for t in types]
    errors = (OverflowError, ValueError, ZeroDivisionError)
    return {e.__name__ for e in errors if {c.__name__ for c in e.__mro__}.intersection(names)}


def _without_keywords(node: ast.Call, function: Any) -> ast.Call:
    """The same call with every argument in its position."""
    forward = getattr(getattr(function, "op", function), "forward", function)
    named: dict[Any, ast.expr] = {keyword.arg: keyword.value for keyword in node.keywords}
    try:
        bound = inspect.signature(forward).bind(*node.args, **named)
    except (TypeError, ValueError):
        raise UntranslatableError(node, f"the argument {next(iter(named))} can't be turned") from None
    bound.apply_defaults()
    values = [*bound.args, *bound.kwargs.values()]
    return ast.Call(node.func, [x if isinstance(x, ast.expr) else ast.Constant(x) for x in values], [])
