"""One operation on a row of numbers, for every operation of the table (§6, §7).

The text of two functions is written from the table and compiled: `op_forward(code, …)` computes an
operation on a row, `op_backward(code, …)` hands a row of adjoints on to the operands. Inside the loops
stand the table's own `forward` and `partials`, rebuilt so that the other operations that they call (the
cos in the derivative of sin) mean compiled functions as well. So a new graph is new data for the same
machine code, and a new operation in the table is here by itself.
"""

from __future__ import annotations

import builtins
import dis
import types
from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any

from micrograd_mlp.compiled.functions import NATIVE
from micrograd_mlp.compiled.native import inlined, separately
from micrograd_mlp.compiled.tape import CODES, ELEMENTWISE
from micrograd_mlp.engine.op import Op

Function = Callable[..., Any]


# The table's Python functions, for Numba


def compiled_forward(op: Op) -> Function:
    """The op's value as a compiled function of floats."""
    if op in CODES and op.name in NATIVE:
        native: Function = NATIVE[op.name]
        return native
    return _compiled(op.forward, op.arity or 0)


def compiled_partials(op: Op) -> Function:
    """The op's local derivatives as a compiled function of (output, *inputs)."""
    return _compiled(op.partials, 1 + (op.arity or 0))


_known: dict[Function, Function] = {}


def _compiled(function: Function, n_arguments: int = 0) -> Function:
    if function not in _known:
        if isinstance(function, types.FunctionType):
            _known[function] = inlined(_rebuilt(function))
        else:  # operator.add, math.cos: Numba compiles a call of it
            names = ", ".join(f"x{k}" for k in range(n_arguments))
            _known[function] = inlined(eval(f"lambda {names}: function({names})", {"function": function}))
    return _known[function]


def _rebuilt(function: types.FunctionType) -> types.FunctionType:
    """The same code, where each name of an operation or a function means its compiled version."""
    code, known = function.__code__, function.__globals__
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    inside = {name: _stand_in(known[name]) for name in names if name in known}
    cells = tuple([types.CellType(_stand_in(cell.cell_contents)) for cell in function.__closure__ or ()])
    rebuilt = types.FunctionType(
        code, {"__builtins__": builtins, **inside}, function.__name__, function.__defaults__, cells
    )
    rebuilt.__kwdefaults__ = function.__kwdefaults__
    return rebuilt


def _stand_in(thing: Any) -> Any:
    op = thing if isinstance(thing, Op) else getattr(thing, "op", None)
    if isinstance(op, Op):
        return compiled_forward(op)
    if isinstance(thing, types.FunctionType):
        return _compiled(thing)
    if isinstance(thing, types.ModuleType) and thing.__name__.startswith("micrograd_mlp"):
        module = types.ModuleType(thing.__name__)  # for a rule that says ops.cos(x)
        vars(module).update({name: _stand_in(f) for name, f in vars(thing).items() if hasattr(f, "op")})
        return module
    return thing


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


def _compile(text: str, name: str, kinds: str, compile_op: Callable[[Op], Function]) -> Function:
    scope: dict[str, Any] = {f"{name}_{k}": compile_op(op) for k, op in enumerate(ELEMENTWISE)}
    scope["__name__"] = __name__
    exec(compile(text, __file__, "exec"), scope)  # under this file's name, so that Numba caches it
    return separately(kinds)(scope[name])


op_forward = _compile(_forward_text(ELEMENTWISE), "op_forward", "iaiiii", compiled_forward)
op_backward = _compile(_backward_text(ELEMENTWISE), "op_backward", "iaaiiiiiii", compiled_partials)
