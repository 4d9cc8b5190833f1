"""The words of C99: how expressions, functions and loops are written in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from micrograd_mlp.engine.language import AND, BOOLEAN, Expression, Language, definitions
from micrograd_mlp.export.languages.loops import LoopWriter, combined
from micrograd_mlp.export.plan import Vector
from micrograd_mlp.export.write import OWN_FUNCTIONS

FUNCTIONS = {name: f"{name}({{0}})" for name in (
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh erf erfc exp exp2 expm1 fabs floor lgamma log log10 "
    "log1p log2 sin sinh sqrt tan tanh trunc isfinite isinf isnan"
).split()} | {
    name: f"{name}({{0}}, {{1}})" for name in ("atan2", "copysign", "fmod", "pow", "remainder")
} | {
    name: f"{c_name}((const double[]){{{{{{args}}}}}}, {{n}})" for name, c_name in {
        "is_undefined": "is_undefined", "is_overflow": "is_overflow", "sum": "sum", "fsum": "exact_sum",
        "prod": "product", "hypot": "length", "largest": "largest", "smallest": "smallest",
    }.items()
} | {
    "power": "pow({0}, {1})", "gamma": "tgamma({0})", "round": "rint({0})",
    "floordiv": "floor_divide({0}, {1})", "mod": "modulo({0}, {1})",
    "degrees": "{0:atom} * (180.0 / 3.141592653589793)",
    "radians": "{0:atom} * (3.141592653589793 / 180.0)",
}  # fmt: skip
OPERATIONS = {name: f"{name}({{0}})" for name in OWN_FUNCTIONS} | {
    "div": "{0:atom} / {1:atom}", "abs": "fabs({0})", "pow": "pow({0}, {1})", "atan2": "atan2({0}, {1})",
}  # fmt: skip
# Keywords, what <math.h> and gcc know, and the names that `loss_and_grad` has itself.
RESERVED = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int "
    "long register restrict return short signed sizeof static struct switch typedef union unsigned void "
    "volatile while _Bool _Complex _Imaginary main acos acosh asin asinh atan atan2 atanh cbrt ceil "
    "copysign cos cosh drem erf erfc exp exp2 exp10 expm1 fabs fdim floor fma fmax fmin fmod frexp gamma "
    "hypot ilogb isfinite isinf isnan isnormal j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 "
    "logb lrint lround modf nan nearbyint nextafter nexttoward pow remainder remquo rint round scalb "
    "scalbln scalbn signbit signgam significand sin sinh sqrt tan tanh tgamma trunc y0 y1 yn finite "
    "INFINITY NAN HUGE_VAL theta X Y n gradient loss_and_grad i k partials abs labs llabs div exit abort "
    "printf puts putchar malloc free calloc realloc strlen memcpy memset memcmp strcmp strcpy index "
    "rindex bcopy bzero ffs tolower toupper".split()
)


class C(Language):
    """C99 with <math.h>, and nothing else."""

    name = "C"
    functions = FUNCTIONS
    operations = OPERATIONS
    runtime = definitions(Path(__file__).with_name("runtime.c"), r"^static \w+ (\w+)")
    reserved = RESERVED
    constants = {"inf": "INFINITY", "nan": "NAN", "True": "1", "False": "0"}  # noqa: RUF012
    infix = {"and": "&&", "or": "||"}  # noqa: RUF012
    indent = "    "

    def number(self, value: float) -> Expression:
        x = super().number(value)
        # An integer would be divided as one: 1 / 2 is 0 in C.
        return Expression(x.text + ".0", x.kind, x.level) if re.fullmatch(r"-?\d+", x.text) else x

    def logical(self, word: str, conditions: Sequence[Expression]) -> Expression:
        # Inside of ||, gcc warns about && without parentheses.
        inner = [Expression(f"({c})", BOOLEAN) if c.level == AND and word == "or" else c for c in conditions]
        return super().logical(word, inner)

    def assignment(self, target: str, value: str) -> str:
        return f"const double {target} = {value};"

    def returned(self, value: Expression) -> str:
        if value.items is None:
            return f"return {value};"
        return "\n".join(f"partials[{k}] = {item};" for k, item in enumerate(value.items))

    def function(self, name: str, parameters: Sequence[str], body: Sequence[str]) -> str:
        lines = [line for text in body for line in text.splitlines()]
        words = set(re.findall(r"\w+", " ".join(lines)))
        lines = [f"(void){p};" for p in parameters if p not in words] + lines
        several = lines[-1].startswith("partials[")
        listed = ", ".join([f"double {p}" for p in parameters] + ["double *partials"] * several)
        kind = "void" if several else "double"
        return "\n".join(
            [f"static {kind} {name}({listed or 'void'})", "{", *[self.indent + x for x in lines], "}"]
        )

    def call_for_several(
        self, target: str, name: str, arguments: Sequence[Expression], n: int
    ) -> tuple[str, list[Expression]]:
        listed = ", ".join([*[argument.text for argument in arguments], target])
        return f"double {target}[{n}];\n{name}({listed});", [Expression(f"{target}[{k}]") for k in range(n)]


class CWriter(LoopWriter):
    """`loss_and_grad` in C: no heap, nothing but <math.h>."""

    integer, constant, comment = "int", "const double", "/* {} */"

    def declare(self, name: str, size: int) -> None:
        self.line(f"double {name}[{size}];" if size > 1 else f"double {name};")

    def declare_zeros(self, name: str, size: int) -> None:
        self.line(f"double {name}[{size}] = {{0.0}};" if size > 1 else f"double {name} = 0.0;")

    def table_line(self, name: str, numbers: Sequence[str], whole: bool) -> str:
        kind = "int" if whole else "double"
        return f"static const {kind} {name}[{len(numbers)}] = {{{', '.join(numbers)}}};"

    def example(self, vector: Vector, name: str) -> str:
        return f"const double *{vector.name} = {name} + {combined('i', len(vector), '0')};"

    def text(self) -> str:
        plan, result = self.plan, self.write_both()
        code = " ".join(self.lines)
        unused = [name for name in ("theta", "X", "Y", "n") if not re.search(rf"\b{name}\b", code)]
        offsets = ", ".join(self.offsets())
        body = [
            *[f"(void){name};" for name in unused],
            *([f"enum {{ {offsets} }};  /* where parameters begin in theta */"] if offsets else []),
            *(["double total_loss = 0.0;"] if plan.outputs.varying else []),
            f"for (int k = 0; k < {len(plan.theta)}; k++) gradient[k] = 0.0;",
        ]
        functions, tables = self.translation.source(), self.table_lines()
        arguments = "const double *theta, const double *X, const double *Y, int n, double *gradient"
        return "\n".join(
            [
                "#include <math.h>",
                "",
                *([functions, ""] if functions else []),
                *([*tables, ""] if tables else []),
                "/* The mean loss of n examples, and its gradient in the order of theta. */",
                f"double loss_and_grad({arguments})",
                "{",
                *[self.language.indent + line for line in body],
                *self.lines,
                f"    return {result};",
                "}",
                "",
            ]
        )
