"""One operation on a row of numbers, for every operation of the table with one or two inputs (§6, §7).

The text of two functions is written from the table and compiled: `op_forward` computes an operation on a row,
`op_backward` hands a row of adjoints on to the operands. Inside the loops stand the table's own `forward`
and `partials`, see `rebuild`. So a new graph is new data for the same machine code, and a new operation
in the table is here by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any, NamedTuple

from micrograd_mlp.compiled.native import Floats, Function, separately
from micrograd_mlp.compiled.plan import CODES, ELEMENTWISE
from micrograd_mlp.compiled.rebuild import Rebuilder
from micrograd_mlp.engine.op import Op


class Row(NamedTuple):
    """Where the numbers of one operation are in the buffers.

    Attributes:
        o, a, b: where the results begin among the values, and the left and the right operands; with one
            input both are the same.
        g, da, db: the same among the adjoints.
        n: how many results there are.
    """

    o: int
    a: int
    b: int
    g: int
    da: int
    db: int
    n: int


def _forward_text(ops: Sequence[Op]) -> str:
    text = "def op_forward(code, v, row):\n"
    for k, op in enumerate(ops):
        operands = ", ".join(f"v[row.{name} + i]" for name in "ab"[: op.arity])
        loop = f"for i in range(row.n):\n    v[row.o + i] = op_forward_{k}({operands})\n"
        text += indent(f"{'elif' if k else 'if'} code == {CODES[op]}:\n" + indent(loop, "    "), "    ")
    return text


def _backward_text(ops: Sequence[Op]) -> str:
    text = "def op_backward(code, v, d, row):\n"
    for k, op in enumerate(ops):
        names = "ab"[: op.arity]
        operands = ", ".join(f"v[row.{name} + i]" for name in names)
        loop = f"for i in range(row.n):\n    p = op_backward_{k}(v[row.o + i], {operands})\n"
        loop += "".join(
            [f"    d[row.d{name} + i] += p[{j}] * d[row.g + i]\n" for j, name in enumerate(names)]
        )
        text += indent(f"{'elif' if k else 'if'} code == {CODES[op]}:\n" + indent(loop, "    "), "    ")
    return text


def _compile(text: str, name: str, compile_op: Callable[[Op], Function], **kinds: Any) -> Function:
    scope: dict[str, Any] = {f"{name}_{k}": compile_op(op) for k, op in enumerate(ELEMENTWISE)}
    scope["__name__"] = __name__
    exec(compile(text, __file__, "exec"), scope)  # under this file's name, so that Numba caches it
    function: Function = scope[name]
    function.__annotations__ = {**kinds, "return": None}
    return separately(function)


_rebuilder = Rebuilder()
op_forward = _compile(
    _forward_text(ELEMENTWISE), "op_forward", _rebuilder.forward, code=int, v=Floats, row=Row
)
op_backward = _compile(
    _backward_text(ELEMENTWISE), "op_backward", _rebuilder.partials, code=int, v=Floats, d=Floats, row=Row
)
