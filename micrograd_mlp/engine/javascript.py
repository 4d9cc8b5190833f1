"""The words of JavaScript, and the functions of Python that JavaScript lacks.

Both languages compute with IEEE's 64-bit floats. Where their functions differ, the runtime in javascript.js
does what Python does: 1 to the power nan is 1, max() keeps the first of equals, // and % round down.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from micrograd_mlp.engine.language import Expression, Language, definitions

FUNCTIONS = {name: f"Math.{name}({{0}})" for name in (
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh exp expm1 floor log log10 log1p log2 sin sinh sqrt "
    "tan tanh trunc"
).split()} | {
    "atan2": "Math.atan2({0}, {1})", "fabs": "Math.abs({0})", "hypot": "Math.hypot({args})",
    "pow": "power({0}, {1})", "exp2": "Math.pow(2, {0})", "fmod": "{0:atom} % {1:atom}",
    "degrees": "{0:atom} * (180 / Math.PI)", "radians": "{0:atom} * (Math.PI / 180)",
    "isfinite": "Number.isFinite({0})", "isnan": "Number.isNaN({0})", "isinf": "is_infinite({0})",
} | {name: f"{name}({{args}})" for name in (
    "power floordiv mod copysign remainder round erf erfc is_undefined is_overflow sum fsum prod largest "
    "smallest"  # of the runtime
).split()}  # fmt: skip

CONSTANTS = {"inf": "Infinity", "nan": "NaN", "True": "true", "False": "false"}
INFIX = {"==": "===", "!=": "!==", "and": "&&", "or": "||"}
RESERVED = frozenset(
    "abstract arguments await boolean break byte case catch char class const continue debugger default "
    "delete do double else enum eval export extends false final finally float for function goto if "
    "implements import in instanceof int interface let long native new null package private protected "
    "public return short static super switch synchronized this throw throws transient true try typeof "
    "undefined var void volatile while with yield Array Boolean Infinity Math NaN Number Object _".split()
)


class JavaScript(Language):
    """JavaScript as every browser since 2022 and Node.js read it."""

    name = "JavaScript"
    functions = FUNCTIONS
    runtime = definitions(Path(__file__).with_suffix(".js"), r"^function (\w+)")
    reserved = RESERVED
    constants = CONSTANTS
    infix = INFIX

    def function(self, name: str, parameters: Sequence[str], body: Sequence[str]) -> str:
        lines = [self.indent + line for line in body]
        return "\n".join([f"function {name}({', '.join(parameters)}) {{", *lines, "}"])

    def assignment(self, target: str, value: str) -> str:
        return f"const {target} = {value};"

    def returned(self, value: Expression) -> str:
        if value.items is None:
            return f"return {value};"
        return f"return [{', '.join([item.text for item in value.items])}];"


JAVASCRIPT = JavaScript()
