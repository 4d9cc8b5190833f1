"""`loss_and_grad` in JavaScript; the words of the language are `engine.javascript`."""

from __future__ import annotations

from collections.abc import Sequence

from micrograd_mlp.engine.javascript import FUNCTIONS, JavaScript
from micrograd_mlp.export.languages.loops import LoopWriter
from micrograd_mlp.export.plan import Plan

OPERATIONS = {name: FUNCTIONS[name] for name in (
    "exp expm1 log log1p log2 log10 sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "erf erfc cbrt floor atan2"
).split()} | {"div": "{0:atom} / {1:atom}", "abs": "Math.abs({0})"}  # fmt: skip


class JavaScriptSource(JavaScript):
    """JavaScript with its own functions for operations of the table that have one."""

    operations = OPERATIONS
    reserved = JavaScript.reserved | frozenset("theta X Y n i j k gradient loss_and_grad total_loss".split())


class JavaScriptWriter(LoopWriter):
    """`loss_and_grad` on plain arrays."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, JavaScriptSource())

    def declare(self, name: str, size: int) -> None:
        if size > 1:
            self.head.append(f"  const {name} = new Float64Array({size});")
        else:
            self.line(f"let {name};")

    def declare_zeros(self, name: str, size: int) -> None:
        if size > 1:
            self.head.append(f"  const {name} = new Float64Array({size});")
            self.line(f"{name}.fill(0);")
        else:
            self.line(f"let {name} = 0;")

    def constant(self, name: str, value: str) -> str:
        return f"const {name} = {value};"

    def loop_head(self, index: str, count: str) -> str:
        return f"for (let {index} = 0; {index} < {count}; {index}++) {{"

    def call_for_slopes(self, function: str, target: str, arguments: Sequence[str]) -> list[str]:
        return [f"const {target} = {function}({', '.join(arguments)});"]

    def table_line(self, name: str, numbers: Sequence[str], whole: bool) -> str:
        return f"  const {name} = [{', '.join(numbers)}];"

    def comment(self, text: str) -> str:
        return f"// {text}"

    def text(self) -> str:
        plan = self.plan
        self.uniform_forward()
        if plan.outputs.varying:
            self.line("for (let i = 0; i < n; i++) {")
            self.depth = 2
            for vector, name, shape in zip(plan.inputs, "XY", plan.shapes):
                self.line(f"const {vector.name} = {f'{name}[i]' if shape else f'[{name}[i]].flat()'};")
            self.varying_both()
            self.line(f"total_loss += {self.at(plan.outputs, '0')};")
            self.seed("1 / n")
            self.backward(plan.varying)
            self.depth = 1
            self.line("}")
            result = "total_loss / n"
        else:
            self.seed("1")
            result = self.at(plan.outputs, "0").text
        self.backward(plan.uniform)
        offsets = [f"{name} = {at}" for name, at in self.offsets()]
        tables = self.table_lines()
        functions = self.translation.source()
        return "\n".join(
            [
                *([functions, ""] if functions else []),
                "// The mean loss of the examples, and its gradient in the order of theta.",
                "function loss_and_grad(theta, X, Y) {",
                *([f"  const {', '.join(offsets)};  // where parameters begin in theta"] if offsets else []),
                *tables,
                f"  const gradient = new Array({len(plan.theta)}).fill(0);",
                *(["  const n = X.length;", "  let total_loss = 0;"] if plan.outputs.varying else []),
                *self.head,
                *self.lines,
                f"  return [{result}, gradient];",
                "}",
                "",
            ]
        )


def write(plan: Plan) -> str:
    """The program in JavaScript."""
    return JavaScriptWriter(plan).text()
