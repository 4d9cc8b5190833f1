"""One operation on a row of numbers, for every operation of the table (§6, §7).

The text of two functions is written from the table and compiled: `op_forward(code, …)` computes an
operation on a row, `op_backward(code, …)` hands a row of adjoints on to the operands. Inside the loops
stand the table's own `forward` and `partials`, rebuilt so that the other operations that they call (the
cos in the derivative of sin) mean compiled functions as well. So a new graph is new data for the same
machine code, and a new operation in the table is here by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any

from micrograd_mlp.compiled.native import separately
from micrograd_mlp.compiled.rebuild import Rebuilder
from micrograd_mlp.compiled.tape import CODES, ELEMENTWISE
from micrograd_mlp.engine.op import Op

Function = Callable[..., Any]


# The rows. v is the flat array of values and d that of adjoints; o, a and b say where in v the row of
# the result and those of the operands begin, g, da and db where their adjoints are in d.


def _forward_text(ops: Sequence[Op]) -> str:
    text = "def op_forward(code, v, o, a, b, n):\n"
    for k, op in enumerate(ops):
        operands = ", ".join(f"v[{name} + i]" for name in "ab"[: op.arity])
        loop = f"for i in range(n):\n    v[o + i] = op_forward_{k}({operands})\n"
        text += indent(f"{'elif' if k else 'if'} code == {CODES[op]}:\n" + indent(loop, "    "), "    ")
    return text


def _backward_text(ops: Sequence[Op]) -> str:
    text = "def op_backward(code, v, d, o, a, b, g, da, db, n):\n"
    for k, op in enumerate(ops):
        names = "ab"[: op.arity]
        operands = ", ".join(f"v[{name} + i]" for name in names)
        loop = f"for i in range(n):\n    p = op_backward_{k}(v[o + i], {operands})\n"
        loop += "".join([f"    d[d{name} + i] += p[{j}] * d[g + i]\n" for j, name in enumerate(names)])
        text += indent(f"{'elif' if k else 'if'} code == {CODES[op]}:\n" + indent(loop, "    "), "    ")
    return text


_rebuilder = Rebuilder()


def _compile(text: str, name: str, kinds: str, compile_op: Callable[[Op], Function]) -> Function:
    scope: dict[str, Any] = {f"{name}_{k}": compile_op(op) for k, op in enumerate(ELEMENTWISE)}
    scope["__name__"] = __name__
    exec(compile(text, __file__, "exec"), scope)  # under this file's name, so that Numba caches it
    return separately(kinds)(scope[name])


op_forward = _compile(_forward_text(ELEMENTWISE), "op_forward", "iaiiii", _rebuilder.forward)
op_backward = _compile(_backward_text(ELEMENTWISE), "op_backward", "iaaiiiiiii", _rebuilder.partials)
