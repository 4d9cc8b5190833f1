"""`loss_and_grad` in JavaScript; the words of the language are `engine.javascript`."""

from __future__ import annotations

from collections.abc import Sequence

from micrograd_mlp.engine.javascript import FUNCTIONS, JavaScript
from micrograd_mlp.export.languages.loops import LoopWriter
from micrograd_mlp.export.plan import Vector
from micrograd_mlp.export.write import OWN_FUNCTIONS

OPERATIONS = {name: FUNCTIONS[name] for name in (*OWN_FUNCTIONS, "atan2")} | {
    "div": "{0:atom} / {1:atom}", "abs": "Math.abs({0})",
}  # fmt: skip


class JavaScriptSource(JavaScript):
    """JavaScript with its own functions for operations of the table that have one."""

    operations = OPERATIONS
    reserved = JavaScript.reserved | frozenset("theta X Y n i j k gradient loss_and_grad total_loss".split())


class JavaScriptWriter(LoopWriter):
    """`loss_and_grad` on plain arrays."""

    integer, constant, comment = "let", "const", "// {}"

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

    def table_line(self, name: str, numbers: Sequence[str], whole: bool) -> str:
        return f"  const {name} = [{', '.join(numbers)}];"

    def example(self, vector: Vector, name: str) -> str:
        is_row = self.plan.shapes["XY".index(name)]
        return f"const {vector.name} = {f'{name}[i]' if is_row else f'[{name}[i]].flat()'};"

    def text(self) -> str:
        plan, result = self.plan, self.write_both()
        offsets, functions = ", ".join(self.offsets()), self.translation.source()
        return "\n".join(
            [
                *([functions, ""] if functions else []),
                "// The mean loss of the examples, and its gradient in the order of theta.",
                "function loss_and_grad(theta, X, Y) {",
                *([f"  const {offsets};  // where parameters begin in theta"] if offsets else []),
                *self.table_lines(),
                f"  const gradient = new Array({len(plan.theta)}).fill(0);",
                *(["  const n = X.length;", "  let total_loss = 0;"] if plan.outputs.varying else []),
                *self.head,
                *self.lines,
                f"  return [{result}, gradient];",
                "}",
                "",
            ]
        )
