"""The words of JavaScript, and the functions of Python that JavaScript lacks.

Both languages compute with IEEE's 64-bit floats. Where their functions differ, the runtime in javascript.js
does what Python does: 1 to the power nan is 1, max() keeps the first of equals, // and % round down.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from micrograd_mlp.engine.language import (
    Expression,
    Item,
    Kind,
    Language,
    Variable,
    definitions,
    sequence_of,
)

FUNCTIONS = {name: f"Math.{name}({{0}})" for name in (
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh exp expm1 floor log log10 log1p log2 sin sinh sqrt "
    "tan tanh trunc"
).split()} | {
    "atan2": "Math.atan2({0}, {1})", "fabs": "Math.abs({0})", "hypot": "Math.hypot({args})",
    "pow": "power({0}, {1})", "exp2": "Math.pow(2, {0})", "fmod": "{0:atom} % {1:atom}",
    "degrees": "{0:atom} * (180 / Math.PI)", "radians": "{0:atom} * (Math.PI / 180)",
    "isfinite": "Number.isFinite({0})", "isnan": "Number.isNaN({0})", "isinf": "is_infinite({0})",
    "len": "{0:atom}.length", "any": "{0:atom}.some(Boolean)", "all": "{0:atom}.every(Boolean)",
    "slice": "{0:atom}.slice({1}, {2})", "rest": "{0:atom}.slice({1})",
    "reversed": "{0:atom}.slice().reverse()", "sorted": "{0:atom}.slice().sort((x, y) => x - y)",
} | {name: f"{name}({{args}})" for name in (
    "power floordiv mod copysign remainder round erf erfc is_undefined is_overflow sum fsum prod largest "
    "smallest zip enumerate range repeat strided"  # of the runtime
).split()}  # fmt: skip

CONSTANTS = {"inf": "Infinity", "nan": "NaN", "True": "true", "False": "false", "none": "null"}
INFIX = {"==": "===", "!=": "!==", "and": "&&", "or": "||"}
RESERVED = frozenset(
    "abstract arguments await boolean break byte case catch char class const continue debugger default "
    "delete do double else enum eval export extends false final finally float for function goto if "
    "implements import in instanceof int interface let long native new null package private protected "
    "public return short static super switch synchronized this throw throws transient true try typeof "
    "undefined var void volatile while with yield Array Boolean Infinity Math NaN Number Object _".split()
)


DECLARED: dict[Variable, str] = {"once": "const ", "declare": "let ", "assign": ""}


class JavaScript(Language):
    """JavaScript as every browser since 2022 and Node.js read it."""

    name = "JavaScript"
    functions = FUNCTIONS
    runtime = definitions(Path(__file__).with_suffix(".js"), r"^function (\w+)")
    reserved = RESERVED
    constants = CONSTANTS
    infix = INFIX

    def sequence(self, items: Sequence[Item], kind: Kind) -> Expression:
        return Expression(f"[{self._listed(items)}]", kind)

    def _listed(self, items: Sequence[Item]) -> str:
        return ", ".join(self.spread(value).text if starred else value.text for starred, value in items)

    def spread(self, items: Expression) -> Expression:
        return Expression("..." + items.text, items.kind)

    def index(self, items: Expression, position: Expression, kind: Kind) -> Expression:
        return Expression(f"{items:atom}.at({position})", kind)

    def comprehension(
        self, element: Expression, loops: Sequence[tuple[str, Expression, Sequence[Expression]]]
    ) -> Expression:
        text = element.text
        for depth, (target, items, conditions) in enumerate(reversed(loops)):
            source = f"{items:atom}"
            for condition in conditions:
                source += f".filter(({target}) => {condition})"
            text = f"{source}.{'flatMap' if depth else 'map'}(({target}) => {text})"
        return Expression(text, sequence_of(element.kind))

    def function(self, name: str, parameters: Sequence[str], body: Sequence[str]) -> str:
        listed = ", ".join(p.replace("*", "...") for p in parameters)
        return "\n".join([f"function {name}({listed}) {{", *self._indented(body), "}"])

    def call(self, name: str, arguments: Sequence[Item], kind: Kind) -> Expression:
        return Expression(f"{name}({self._listed(arguments)})", kind)

    def unpacking(self, names: Sequence[str]) -> str:
        return f"[{', '.join(names)}]"

    def undefined(self, name: str) -> str:
        return f"let {name};"

    def assignment(self, target: str, value: str, variable: Variable) -> str:
        return f"{DECLARED[variable]}{target} = {value};"

    def returned(self, value: Expression) -> str:
        return f"return {value};"

    def loop(self, target: str, over: Expression, body: Sequence[str], variable: Variable) -> list[str]:
        return [f"for ({DECLARED[variable]}{target} of {over}) {{", *self._indented(body), "}"]

    def while_loop(self, condition: Expression, body: Sequence[str]) -> list[str]:
        return [f"while ({condition}) {{", *self._indented(body), "}"]

    def branch(self, condition: Expression, yes: Sequence[str], no: Sequence[str]) -> list[str]:
        lines = [f"if ({condition}) {{", *self._indented(yes)]
        return [*lines, "} else {", *self._indented(no), "}"] if no else [*lines, "}"]

    def jump(self, word: str) -> str:
        return f"{word};"

    def _indented(self, lines: Sequence[str]) -> list[str]:
        return [self.indent + line for line in lines]


JAVASCRIPT = JavaScript()
